"""`python -m pbg_env.generators.avatars.figures`: how well a generator makes portraits, in figures and pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonargparse
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import to_tensor
from torchvision.utils import save_image
from tqdm import tqdm

from pbg_env.ascent import ascend
from pbg_env.generators.avatars.dataset import AvatarDataset
from pbg_env.generators.base import Generator
from pbg_env.generators.loading import load_generator

_COMPONENTS = 64
_NEIGHBOURS = 5
_BATCH = 100
_NEAREST_OF = 1000


def mean_pairwise_rmse(media: Tensor) -> float:
    """Mean over all pairs of the root mean squared difference of two media; (batch, …) → a number."""
    flat = media.flatten(1).double()
    squared = torch.cdist(flat, flat, compute_mode="use_mm_for_euclid_dist") / flat.shape[1] ** 0.5
    return float(squared[~torch.eye(len(flat), dtype=torch.bool)].mean())


def principal_components(media: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Mean (values,) and leading directions (components, values) of media (batch, …)."""
    flat = media.flatten(1).double()
    mean = flat.mean(dim=0)
    # Of the batch × batch Gram matrix, as there are fewer media than values in one.
    values, vectors = torch.linalg.eigh((flat - mean) @ (flat - mean).T)
    top = vectors[:, -components:].flip(1)
    directions = (top.T @ (flat - mean)) / values[-components:].flip(0).clamp_min(1e-12).sqrt()[:, None]
    return mean, directions


def density_and_coverage(real: Tensor, fake: Tensor, neighbours: int) -> tuple[float, float]:
    """Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", eq. (2) and (3).

    Args:
        real: features of real media (reals, width).
        fake: features of generated media (fakes, width).
        neighbours: k of the balls around the real ones.

    Returns:
        Density, 1 where both have the same distribution and above it where fakes crowd where reals are dense; and
        coverage, the share of reals with a fake in their ball.
    """
    # The nearest is the medium itself.
    radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    distance = torch.cdist(real, fake)
    inside = distance < radius[:, None]
    density = inside.double().sum(dim=0).mean() / neighbours
    return float(density), float(inside.any(dim=1).double().mean())


def invert(
    generator: Generator, targets: Tensor, rng: np.random.Generator, *, starts: int = 3, steps: int = 300
) -> Tensor:
    """White-box search for noise that gives the targets: from the nearest of 1,000 prior pictures, by Adam.

    Args:
        targets: (batch, *shape).
        starts: ascents for each target.
        steps: of each.

    Returns:
        The best media found, (batch, *shape).
    """
    noise = generator.sample_noise(_NEAREST_OF, rng)
    pictures = _generate(generator, noise)
    best: list[Tensor] = []
    for target in tqdm(targets, desc="inverting", unit="portrait", leave=False):
        near = (pictures - target).square().flatten(1).mean(dim=1).topk(starts, largest=False).indices

        def likeness(z: Tensor, target: Tensor = target) -> Tensor:
            return -(generator.generate(z) - target).square().flatten(1).mean(dim=1)

        found, values = ascend(likeness, noise[near], steps=steps, learning_rate=0.1)
        best.append(found[values.argmax()])
    return _generate(generator, torch.stack(best))


@torch.no_grad()
def _generate(generator: Generator, noise: Tensor) -> Tensor:
    return torch.cat([generator.generate(part) for part in noise.split(_BATCH)])


def _drawn(count: int, size: int, seed: int) -> Tensor:
    portraits = AvatarDataset(count, size, seed=seed, transform=to_tensor)
    return torch.stack([portraits[index] for index in range(count)])


def figures(
    generator: str = "avatars",
    out: Path = Path("runs/figures"),
    count: int = 2000,
    inversions: int = 24,
    seed: int = 2**31,
) -> dict[str, float]:
    """Measures a generator of portraits against freshly drawn ones.

    Args:
        generator: "avatars", or a checkpoint.
        out: folder for `samples.png` (100 generated portraits), `inversions.png` (twelve drawn portraits, each above
            its inversion) and `figures.json`.
        count: generated and drawn portraits.
        inversions: drawn portraits to invert.
        seed: of the drawn portraits and the noise; must not be one that a generator was trained with.

    Returns:
        diversity, coverage, density, and reach in dB.
    """
    model = load_generator(generator)
    size = model.media.shape[-1]
    rng = np.random.default_rng(seed)
    fake = _generate(model, model.sample_noise(count, rng)).cpu()
    real = _drawn(count, size, seed)
    mean, directions = principal_components(real, _COMPONENTS)
    project = [(media.flatten(1).double() - mean) @ directions.T for media in (real, fake)]
    density, coverage = density_and_coverage(project[0], project[1], _NEIGHBOURS)
    result = {
        "diversity": mean_pairwise_rmse(fake) / mean_pairwise_rmse(real),
        "coverage": coverage,
        "density": density,
    }
    out.mkdir(parents=True, exist_ok=True)
    save_image(fake[:100], out / "samples.png", nrow=10)
    if inversions:
        targets = _drawn(inversions, size, seed + 1)
        found = invert(model, targets.to(model.device), rng).cpu()
        psnr: NDArray[np.float64] = -10 * (found - targets).square().flatten(1).mean(dim=1).log10().double().numpy()
        result["reach"] = float(psnr.mean())
        save_image(torch.cat((targets[:6], found[:6], targets[6:12], found[6:12])), out / "inversions.png", nrow=6)
    (out / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def main() -> None:
    try:
        result = jsonargparse.auto_cli(figures, as_positional=False)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
