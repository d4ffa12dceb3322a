"""Snapshots of a training run: written whole or not at all, in the published layout and as safetensors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pbg_env.generators.stackgan_v2.networks import scale_size

_STATE = "training_state.pt"
_UNFINISHED = ".unfinished"


def write_snapshot(
    folder: Path,
    step: int,
    generator: dict[str, Tensor],
    discriminators: list[dict[str, Tensor]],
    state: dict[str, Any],
    keep: int,
) -> Path:
    """Writes `folder/step_…/` and removes all but the newest `keep` snapshots.

    Args:
        folder: of all snapshots of a run.
        generator: the averaged generator's `state_dict`.
        discriminators: one `state_dict` a scale.
        state: everything else that going on needs, tensors and plain values only.

    Returns:
        The snapshot's folder: `netG_{step}.pth`, `netD{i}.pth`, `generator.safetensors`,
        `discriminator_{side}.safetensors` and the training state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step_{step:08d}"
    unfinished = folder / (final.name + _UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    generator = _plain(generator)
    torch.save(generator, unfinished / f"netG_{step}.pth")
    save_file(generator, unfinished / "generator.safetensors")
    for scale, discriminator in enumerate(map(_plain, discriminators)):
        torch.save(discriminator, unfinished / f"netD{scale}.pth")
        save_file(discriminator, unfinished / f"discriminator_{scale_size(scale)}.safetensors")
    torch.save(state, unfinished / _STATE)
    for path in unfinished.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    # A folder's renaming is atomic: whoever looks sees the whole snapshot or none.
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)
    for old in _finished(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest_snapshot(folder: Path) -> Path:
    """The newest whole snapshot of a run.

    Raises:
        FileNotFoundError: there is none.
    """
    finished = _finished(folder)
    if not finished:
        raise FileNotFoundError(f"no snapshot in {folder}; give --resume the folder of a run that has written one")
    return finished[-1]


def read_state(snapshot: Path) -> dict[str, Any]:
    """The training state of a snapshot; never runs code from the file."""
    return torch.load(snapshot / _STATE, map_location="cpu", weights_only=True)


def _finished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step_*") if path.is_dir() and not path.name.endswith(_UNFINISHED))


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
