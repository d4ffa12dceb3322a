"""`python -m benchmarks.factor_regressor`: learns to read off a portrait what it was drawn from.

A simulated user who likes smiles needs to see them, in generated portraits too. The weights are in the checkout.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import get_type_hints

import jsonargparse
import numpy as np
import torch
import torch.nn.functional as F
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.transforms.functional import to_tensor
from tqdm import tqdm

from pbg_env.generators.avatars.drawing import draw_portrait
from pbg_env.generators.avatars.factors import Factors, sample_factors

WEIGHTS = Path(__file__).parent / "assets" / "factor_regressor.safetensors"

NUMBERS = tuple(name for name, kind in get_type_hints(Factors).items() if kind is float)
"""Those that a portrait is drawn from as they are."""
WEARS = ("glasses", "beard", "hat", "earrings")
"""1 for any kind of it, 0 for none."""
FACTORS = (*NUMBERS, *WEARS, "scarf", "skin_lightness", "hair_lightness")
"""What is read off a portrait, each in [0, 1]."""

SIZE = 64
"""Side of the pictures it reads, in pixels."""

TRAINING_SEED = 2**31 + 3
HELD_OUT_SEED = 2**31 + 4
"""Of portraits that neither it nor the embedded generator was trained on."""

_CHANNELS = (24, 48, 48, 96, 96, 96)
_STRIDES = (2, 2, 1, 2, 1, 2)
_BATCH = 100


class FactorRegressor(nn.Module):
    """Pictures (batch, 3, size, size) in [0, 1] → what they were drawn from (batch, factors), each in (0, 1).

    The factors are in the order of `FACTORS`. Pictures of other sizes than 64 px are resized. Differentiable.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels, stride in zip(_CHANNELS, _STRIDES, strict=True):
            size = 4 if stride == 2 else 3
            layers += [nn.Conv2d(before, channels, size, stride, padding=1, bias=False)]
            # Smooth, so that climbing what it reads is not walking on facets.
            layers += [nn.BatchNorm2d(channels), nn.SiLU()]
            before = channels
        side = SIZE // 2 ** _STRIDES.count(2)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, len(FACTORS)))

    def logits(self, pictures: Tensor) -> Tensor:
        """What `forward` returns before it is brought into (0, 1)."""
        if pictures.shape[-2:] != (SIZE, SIZE):
            pictures = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
        return self.layers(2.0 * pictures - 1.0)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.logits(pictures).sigmoid()


@cache
def factor_regressor(device: str | torch.device = "cpu") -> FactorRegressor:
    """The trained one, in evaluation mode; one for each device.

    Raises:
        FileNotFoundError: its weights are not in the checkout.
    """
    if not WEIGHTS.is_file():
        raise FileNotFoundError(f"no weights at {WEIGHTS}; train them with python -m benchmarks.factor_regressor")
    regressor = FactorRegressor()
    regressor.load_state_dict(load_file(WEIGHTS))
    return regressor.to(device).eval().requires_grad_(False)


def stored_r_squared() -> dict[str, float]:
    """R² of each factor on held-out portraits, as measured after training."""
    with safe_open(WEIGHTS, framework="pt") as file:
        found: dict[str, float] = json.loads(file.metadata()["r_squared"])
    return found


def values_of(factors: Factors) -> list[float]:
    """The factors of a portrait as numbers in [0, 1], in the order of `FACTORS`."""
    numbers = [float(getattr(factors, name)) for name in NUMBERS]
    worn = [float(getattr(factors, name) != "none") for name in WEARS]
    lightness = [sum(colour) / (3 * 255) for colour in (factors.skin, factors.hair)]
    return [*numbers, *worn, float(factors.collar == "scarf"), *lightness]


def drawn(seed: int, positions: range) -> tuple[Tensor, Tensor]:
    """Portraits of a stream (portraits, 3, 64, 64) in [0, 1], and their factors (portraits, factors)."""
    factors = [sample_factors(np.random.default_rng((seed, position))) for position in positions]
    pictures = torch.stack([to_tensor(draw_portrait(one, SIZE)) for one in factors])
    return pictures, torch.tensor([values_of(one) for one in factors])


def r_squared(regressor: FactorRegressor, seed: int, count: int) -> dict[str, float]:
    """Share of each factor's variance over `count` portraits of a stream that is explained; at most 1.

    Of what is worn or not it is that of the indicator, which is 0 or 1.
    """
    read, true = [], []
    for start in range(0, count, _BATCH):
        pictures, values = drawn(seed, range(start, min(start + _BATCH, count)))
        with torch.no_grad():
            read.append(regressor(pictures))
        true.append(values)
    wanted = torch.cat(true)
    unexplained = (torch.cat(read) - wanted).square().mean(dim=0) / wanted.var(dim=0, correction=0)
    return dict(zip(FACTORS, (1.0 - unexplained).tolist(), strict=True))


def roughened(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Pictures (batch, 3, 64, 64), each blurred and made noisy a little: generated ones are not as clean as drawn."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4.0
    blurred = F.conv2d(
        F.pad(pictures, (1, 1, 1, 1), mode="replicate"), torch.outer(kernel, kernel).expand(3, 1, 3, 3), groups=3
    )
    blur, noise = torch.rand(2, len(pictures), 1, 1, 1, generator=random)
    mixed = pictures + blur * (blurred - pictures)
    return (mixed + 0.06 * noise * torch.randn(pictures.shape, generator=random)).clamp(0.0, 1.0)


def train(
    steps: PositiveInt = 2600,
    batch_size: PositiveInt = 64,
    learning_rate: PositiveFloat = 3e-3,
    held_out: PositiveInt = 2000,
    seed: NonNegativeInt = 0,
    out: Path = WEIGHTS,
) -> dict[str, float]:
    """Trains on portraits of which none is seen twice, and writes the weights in half precision.

    Args:
        steps: of AdamW.
        batch_size: portraits a step.
        learning_rate: the highest, between a warm-up and a fall to 0 along half a cosine.
        held_out: fresh portraits on which the result is measured.
        seed: of the initial weights and of what is done to the portraits.
        out: the file; its metadata hold the R² of each factor.

    Returns:
        R² of each factor.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        regressor = FactorRegressor().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(regressor.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
    progress = tqdm(range(steps), desc="training", unit="step")
    for step in progress:
        pictures, values = drawn(TRAINING_SEED, range(step * batch_size, (step + 1) * batch_size))
        # Its least is at the mean of what is to be expected, as that of the squared error, but wrong answers that are
        # sure of themselves keep a gradient.
        loss = F.binary_cross_entropy_with_logits(regressor.logits(roughened(pictures, random)), values)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    # What is measured is what is stored.
    regressor.half().float().eval()
    result = r_squared(regressor, HELD_OUT_SEED, held_out)
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in regressor.state_dict().items()}
    save_file(weights, out, {"r_squared": json.dumps({name: round(value, 4) for name, value in result.items()})})
    return result


def main() -> None:
    try:
        result = jsonargparse.auto_cli(train, as_positional=False)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    for name, value in sorted(result.items(), key=lambda item: -item[1]):
        print(f"{name:16} {value:6.3f}")


if __name__ == "__main__":
    main()
