"""`python -m pbg_env.generators.stackgan_v2.training --data FOLDER`: trains a generator on your pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid, save_image
from tqdm import tqdm

from pbg_env.generators.base import resolve_device
from pbg_env.generators.stackgan_v2.networks import scale_size
from pbg_env.generators.stackgan_v2.training.data import DataError, batches
from pbg_env.generators.stackgan_v2.training.snapshot import latest_snapshot, read_state, write_snapshot
from pbg_env.generators.stackgan_v2.training.trainer import Recipe, Trainer
from pbg_env.noise import sample_noise_tensor

_LOG_EVERY = 50
_SAMPLES = 64


def train(
    data: str,
    recipe: Recipe | Mapping[str, Any] | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    snapshot_every: int = 2000,
    keep: int = 2,
    workers: int = 2,
    threads: int = 0,
    device: str = "auto",
) -> Path:
    """Trains StackGAN-v2 without conditions.

    Args:
        data: a folder of pictures (subfolders included), or "avatars" for drawn portraits.
        recipe: what shapes the weights, whole or some of its fields; the others are as in the run to go on with, or
            the defaults.
        out: the run's folder; runs/training_… unless told.
        resume: the folder of a run to go on with from its newest snapshot, exactly; of its recipe `steps` alone may be
            others.
        snapshot_every: steps between snapshots.
        keep: how many of the newest snapshots stay.
        workers: processes that read and prepare pictures.
        threads: of the arithmetic on CPU; 0 leaves it to torch.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", …

    Returns:
        The folder of the last snapshot.

    Raises:
        DataError: there are no such pictures, or too few.
        FileNotFoundError: there is no run to go on with.
        ValueError: an unknown field, a number out of range, a run that is done, or another recipe for it.
    """
    if threads:
        torch.set_num_threads(threads)
    place = resolve_device(device)
    told = asdict(recipe) if isinstance(recipe, Recipe) else dict(recipe or {})
    names = [field.name for field in fields(Recipe)]
    if unknown := told.keys() - set(names):
        raise ValueError(f"a recipe has no {', '.join(sorted(unknown))}; it has {', '.join(names)}")
    state = None
    if resume is None:
        recipe = Recipe(**told)
    else:
        state = read_state(latest_snapshot(resume / "snapshots"))
        recipe = _taken_over(resume, state, told)
    folder = resume or out or Path("runs") / time.strftime("training_%Y-%m-%d_%H-%M-%S")
    trainer = Trainer(recipe, place)
    if state is not None:
        trainer.load_state(state)
    loader = batches(
        data,
        [scale_size(scale) for scale in range(recipe.scales)],
        batch_size=recipe.batch_size,
        start=trainer.step,
        stop=recipe.steps,
        flip=recipe.flip,
        workers=workers,
        seed=recipe.seed,
    )
    folder.mkdir(parents=True, exist_ok=True)
    print(f"training on {place}, snapshots and TensorBoard events in {folder}", file=sys.stderr)
    snapshot = folder
    with SummaryWriter(str(folder), purge_step=trainer.step) as writer:
        writer.add_text("recipe", f"```\n{asdict(recipe)}\n```", trainer.step)
        progress = tqdm(loader, desc="training", unit="step", initial=trainer.step, total=recipe.steps)
        for real in progress:
            losses = trainer.train_step(real)
            if trainer.step % _LOG_EVERY == 0:
                figures = {name: loss.item() for name, loss in losses.items()}
                for name, value in figures.items():
                    writer.add_scalar(f"loss/{name}", value, trainer.step)
                progress.set_postfix({name: f"{value:.2f}" for name, value in figures.items()}, refresh=False)
            if trainer.step % snapshot_every == 0 or trainer.step == recipe.steps:
                snapshot = _save(trainer, folder, keep, writer)
    print(f"done: {snapshot}", file=sys.stderr)
    return snapshot


def _taken_over(run: Path, state: Mapping[str, Any], told: Mapping[str, Any]) -> Recipe:
    """The recipe of a run in this state, with as many steps as are told."""
    begun = Recipe(**state["recipe"])
    others = [name for name, value in told.items() if name != "steps" and value != getattr(begun, name)]
    if others:
        raise ValueError(
            f"{run} was begun with {', '.join(f'--recipe.{name} {getattr(begun, name)}' for name in others)}, and goes "
            f"on so; leave that out, or begin another run with --out instead of --resume"
        )
    recipe = replace(begun, steps=told.get("steps", begun.steps))
    if state["step"] >= recipe.steps:
        raise ValueError(f"{run} has done {state['step']} of {recipe.steps} steps; give more with --recipe.steps")
    return recipe


def _save(trainer: Trainer, folder: Path, keep: int, writer: SummaryWriter) -> Path:
    generator = trainer.averaged_generator()
    noise = sample_noise_tensor(_SAMPLES, trainer.recipe.z_dim, torch.Generator().manual_seed(0))
    with torch.no_grad():
        pictures = generator(noise.to(trainer.device))
    for scale, samples in enumerate(pictures):
        grid = make_grid((samples.float().cpu() + 1) / 2, nrow=8)
        writer.add_image(f"samples/{scale_size(scale)}px", grid, trainer.step)
        save_image(grid, folder / f"samples_{scale_size(scale)}px.png")
    discriminators = [network.state_dict() for network in trainer.discriminators]
    return write_snapshot(
        folder / "snapshots", trainer.step, generator.state_dict(), discriminators, trainer.state(), keep
    )


def main() -> None:
    line = jsonargparse.ArgumentParser(
        prog="python -m pbg_env.generators.stackgan_v2.training",
        description="Trains StackGAN-v2 without conditions on your pictures.",
    )
    line.add_argument("--config", action="config", help="a YAML file with these options")
    line.add_class_arguments(Recipe, "recipe")
    line.add_function_arguments(train, as_group=False, skip={"recipe"})
    # What is not told is left to `train`, which has the same defaults.
    told = vars(line.parse_args(defaults=False))
    recipe = vars(told.pop("recipe", jsonargparse.Namespace()))
    told.pop("config", None)
    try:
        train(recipe=recipe, **told)
    except (DataError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
