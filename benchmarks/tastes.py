"""Tastes: simulated users who want no particular picture, each in many variants.

`similarity="benchmarks.tastes:warm_colours_3"` with `target=None` is somebody with the variant 3 of a taste, and any
teacher. All utilities are differentiable, and named for the cache of what is best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.factor_regressor import FACTORS, WEIGHTS, factor_regressor
from benchmarks.sources import file_hash
from pbg_env import Discriminator, Generator, load_discriminator, load_generator, sample_noise

Utility = Callable[[Tensor], Tensor]
"""Media (batch, *shape) in [0, 1] → (batch,), higher is better."""

_SEED = 2**31 + 6
_SAMPLES = 256
_BATCH = 32
_DIRECTIONS = 24


class WarmColours:
    """How much of a picture, of any size, has a wanted hue: a share in (0, 1) with soft bounds.

    Args:
        number: 0 wants orange, the others up to 9 hues that are a tenth of the circle apart, far ones first.

    Raises:
        ValueError: a number above 9.
    """

    def __init__(self, number: int) -> None:
        _demand_variant("warm_colours", number, 10)
        self.hue = (30.0 + 108.0 * number) % 360.0
        # Red, green and blue lie at 0°, 120° and 240°.
        self._axis = [math.cos(math.radians(self.hue - place)) for place in (0.0, 120.0, 240.0)]

    def __call__(self, media: Tensor) -> Tensor:
        _demand_pictures(media)
        # 0 for greys, and at most 1.
        leaning = torch.einsum("bchw,c->bhw", media, media.new_tensor(self._axis))
        return ((leaning - 0.2) / 0.15).sigmoid().mean(dim=(1, 2))


PAIRS: tuple[Mapping[str, float], ...] = (
    {"smile": 1.0, "glasses": 1.0},
    {"smile": 0.0, "hat": 1.0},
    {"hair_length": 1.0, "skin_lightness": 1.0},
    {"beard": 1.0, "hair_lightness": 1.0},
    {"glasses": 1.0, "hair_length": 0.0},
    {"gaze": 1.0, "eye_size": 1.0},
    {"hat": 1.0, "beard": 1.0},
    {"smile": 1.0, "hair_lightness": 0.0},
    {"face_width": 1.0, "scarf": 1.0},
    {"eye_spacing": 0.0, "hair_volume": 1.0},
)
"""Which two factors the variants of `SmileAndGlasses` want, and what of each: all or nothing."""


class SmileAndGlasses:
    """How near two factors of a portrait, as `factor_regressor` reads them, are to what is wanted: within (0, 1).

    Args:
        number: 0 wants a smile and glasses, the others up to 9 another pair.

    Raises:
        ValueError: a number above 9.
    """

    def __init__(self, number: int) -> None:
        _demand_variant("smile_and_glasses", number, len(PAIRS))
        self.wanted = PAIRS[number]
        self._columns = [FACTORS.index(name) for name in self.wanted]

    def __call__(self, media: Tensor) -> Tensor:
        _demand_pictures(media)
        read = factor_regressor(media.device)(media)[:, self._columns]  # (batch, 2)
        return 1.0 - (read - read.new_tensor(list(self.wanted.values()))).abs().mean(dim=1)


class LinearInFeatures:
    """A random direction among the embedded discriminator's features, for pictures of 64 px.

    In units of its spread over the prior, and 0 at its middle.

    Args:
        number: another direction for each.
    """

    def __init__(self, number: int) -> None:
        self._projected = _Projections(1, np.random.default_rng((_SEED, number)))

    def __call__(self, media: Tensor) -> Tensor:
        return self._projected(media)[:, 0]


class QuadraticInFeatures:
    """A random point that is best, for pictures of 64 px: what lies elsewhere in 24 directions is worse by its square.

    The directions are among the embedded discriminator's features; what they leave open does not matter.

    Args:
        number: other directions, another point and other weights for each.
    """

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng((_SEED + 1, number))
        self._projected = _Projections(_DIRECTIONS, rng)
        self._best = torch.from_numpy(sample_noise((_DIRECTIONS,), rng))
        self._weights = torch.from_numpy(rng.uniform(0.5, 2.0, _DIRECTIONS).astype(np.float32))

    def __call__(self, media: Tensor) -> Tensor:
        away = self._projected(media) - self._best.to(media)
        return -(self._weights.to(media) * away.square()).mean(dim=1)


class _Projections:
    """Pictures (batch, 3, 64, 64) → random projections of their features (batch, count), standardised on the prior."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        samples = _prior_features()  # (samples, width)
        directions = torch.from_numpy(rng.standard_normal((samples.shape[1], count), dtype=np.float32))
        projected = samples @ directions
        self._directions = directions / projected.std(dim=0)
        self._middle = (samples @ self._directions).mean(dim=0)

    def __call__(self, media: Tensor) -> Tensor:
        return _discriminator(media.device).features(media) @ self._directions.to(media) - self._middle.to(media)


@cache
def _generator() -> Generator:
    return load_generator("avatars", device="cpu")


@cache
def _discriminator(device: torch.device) -> Discriminator:
    return load_discriminator("avatars", device=device)


@cache
def _prior_features() -> Tensor:
    """Features of samples of the embedded generator's prior, (samples, width)."""
    noise = _generator().sample_noise(_SAMPLES, np.random.default_rng(_SEED))
    features = _discriminator(torch.device("cpu")).features
    with torch.no_grad():
        return torch.cat([features(_generator().generate(part)) for part in noise.split(_BATCH)])


_TASTES: dict[str, Callable[[int], Utility]] = {
    "warm_colours": WarmColours,
    "smile_and_glasses": SmileAndGlasses,
    "linear_in_features": LinearInFeatures,
    "quadratic_in_features": QuadraticInFeatures,
}
_NAME = re.compile(rf"({'|'.join(_TASTES)})_(0|[1-9][0-9]*)")


@cache
def taste(name: str, number: int = 0) -> Utility:
    """The utility of a variant, which takes pictures (batch, 3, size, size) alone.

    Args:
        name: "warm_colours", "smile_and_glasses", "linear_in_features" or "quadratic_in_features".
        number: of the variant, from 0.

    Raises:
        ValueError: there is no such variant.
    """
    if name not in _TASTES or number < 0:
        raise ValueError(f"no taste {name!r} with number {number}; expected {', '.join(_TASTES)}, and a number from 0")
    found: Any = _TASTES[name](number)
    # What the best is depends on the code, on what it reads factors with, and on whose features it is made of.
    files = map(file_hash, (Path(__file__), WEIGHTS))
    models = (getattr(model, "weights", "") for model in (_generator(), _discriminator(torch.device("cpu"))))
    found.name = ":".join((__name__, name, str(number), *files, *map(str, models)))
    return found


def _demand_pictures(media: Tensor) -> None:
    if media.ndim != 4 or media.shape[1] != 3:
        raise ValueError(f"tastes are about pictures (batch, 3, size, size), but the media are {tuple(media.shape)}")


def _demand_variant(name: str, number: int, count: int) -> None:
    if number >= count:
        raise ValueError(f"{name} has the numbers 0 to {count - 1}, but {number} was asked for")


def __getattr__(name: str) -> Any:
    """What a name such as "warm_colours_3" stands for."""
    if (found := _NAME.fullmatch(name)) is None:
        raise AttributeError(
            f"no taste {name!r}; expected {', '.join(_TASTES)}, with the number of the variant after it, as in "
            f"'warm_colours_3'"
        )
    return taste(found[1], int(found[2]))
