"""Finds a generator or a discriminator by name or file."""

from __future__ import annotations

from pathlib import Path

import torch

from pbg_env.generators.base import Discriminator, Generator, resolve_device
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from pbg_env.generators.stackgan_v2.networks import scale_size

_ASSETS = Path(__file__).resolve().parent.parent / "assets"
_FILES = (".pth", ".pt", ".safetensors")

EMBEDDED = {"avatars": 1}
"""The models in the package, with the number of their scales."""


def load_generator(
    source: str | Path = "avatars",
    *,
    config: str | Path | None = None,
    scale: int = -1,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Generator:
    """Loads a StackGAN-v2 generator trained without conditions.

    Args:
        source: the name of an embedded model, a `netG_*.pth` of the published code, or a `.safetensors` file.
        config: the published YAML configuration, checked against the checkpoint.
        scale: 0 to 3 for pictures of 64, 128, 256, 512 px; −1 for the largest the checkpoint has.
        device: "auto" (CUDA where there is one), "cpu", "cuda", …
        dtype: of the weights, the noise and the pictures.

    Raises:
        ValueError: unknown name or device, or the file is no such generator (`CheckpointError`).
        FileNotFoundError: no such file.
    """
    path = _ASSETS / f"{source}_generator.safetensors" if source in EMBEDDED else _file(source, "generator")
    return StackGANGenerator.load(path, _path(config), scale, resolve_device(device), dtype)


def load_discriminator(
    source: str | Path = "avatars",
    *,
    config: str | Path | None = None,
    scale: int = -1,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Discriminator:
    """Loads a StackGAN-v2 discriminator trained without conditions.

    Args:
        source: the name of an embedded model, a `netD*.pth` of the published code, or a `.safetensors` file.
        config: the published YAML configuration, checked against the checkpoint.
        scale: of an embedded model, as for `load_generator`; of a file, which holds one scale, that scale or −1.
        device: "auto" (CUDA where there is one), "cpu", "cuda", …
        dtype: of the weights and the pictures.

    Raises:
        ValueError: unknown name, scale or device, or the file is no such discriminator (`CheckpointError`).
        FileNotFoundError: no such file.
    """
    if source in EMBEDDED:
        scales = EMBEDDED[str(source)]
        if not -1 <= scale < scales:
            raise ValueError(f"scale {scale} asked for, but {source!r} has the scales 0 to {scales - 1}, or -1")
        path = _ASSETS / f"{source}_discriminator_{scale_size(scale % scales)}.safetensors"
    else:
        path = _file(source, "discriminator")
    return StackGANDiscriminator.load(path, _path(config), scale, resolve_device(device), dtype)


def _file(source: str | Path, what: str) -> Path:
    path = Path(source)
    if path.suffix.lower() not in _FILES and not path.is_file():
        raise ValueError(
            f"unknown {what} {str(source)!r}; expected the name of an embedded model ({', '.join(EMBEDDED)}) or a file "
            f"({', '.join('*' + suffix for suffix in _FILES)})"
        )
    return path


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
