"""Which directions of noise change a generator's media, and how much."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.base import Noise
from pbg_env import NOISE_BOUND, Generator, cache, clip_noise, sample_noise

Space = Literal["noise", "principal"]

# What this would put into the cache for the embedded generator on a CPU, half of what a first search waits for. (The
# rest, what views hold of its pictures, is 31 MB.)
_SHIPPED = Path(__file__).parent / "prepared"

_SAMPLES = 32
_STEP = 0.02
_BATCH = 64
# Directions that change nothing would make a coordinate of no extent.
_SMALLEST_SHARE = 1e-6


class EffectiveSubspace(NamedTuple):
    """Orthonormal directions of noise, from the one that changes media most.

    Under the prior the coordinates of noise along them are independent standard normals, but for its truncation.

    Attributes:
        directions: (count, noise_dim), orthonormal rows.
        eigenvalues: (count,), descending: the mean squared change of a medium's features for a step of length 1.
    """

    directions: Tensor
    eigenvalues: Tensor


def effective_directions(generator: Generator, count: int) -> EffectiveSubspace:
    """The leading eigenvectors of E[JᵀJ], J the Jacobian of the features of media with respect to noise, over 32 prior
    samples by finite differences. Computed once per generator, and kept on disk where it has `weights` to name it by;
    for the embedded one it comes with the code.

    Args:
        generator: any.
        count: of directions; at most noise_dim.

    Raises:
        ValueError: more directions than noise has, or less than one.
    """
    if not 1 <= count <= generator.noise_dim:
        raise ValueError(f"count is {count}, expected 1 to {generator.noise_dim}, the generator's noise_dim")
    if generator not in _known:
        _known[generator] = _moments(generator)
    values, vectors = np.linalg.eigh(_known[generator])
    # The sign of an eigenvector is free: its largest component is positive, on every machine.
    leading = vectors.T[::-1][:count]
    leading = leading * np.sign(np.take_along_axis(leading, np.abs(leading).argmax(axis=1)[:, None], axis=1))
    eigenvalues = values[::-1][:count].clip(min=0.0)
    return EffectiveSubspace(*(torch.tensor(np.ascontiguousarray(part)).float() for part in (leading, eigenvalues)))


_known: WeakKeyDictionary[Generator, NDArray[np.float64]] = WeakKeyDictionary()


def _moments(generator: Generator) -> NDArray[np.float64]:
    """E[JᵀJ], (noise_dim, noise_dim)."""
    weights = getattr(generator, "weights", None)
    noise = generator.sample_noise(_SAMPLES, np.random.default_rng(_SAMPLES))
    # What is computed elsewhere, or in another precision, is another one in the last digits.
    about = (_SAMPLES, _STEP, weights, generator.media.shape, noise.device.type, noise.dtype, noise.shape[1])
    key = ("moments", *map(str, about))
    if weights is not None and (found := cache.cached(*key, shipped=_SHIPPED)) is not None:
        return found
    total = torch.zeros(generator.noise_dim, generator.noise_dim, dtype=torch.float64)
    steps = _STEP * torch.eye(generator.noise_dim, device=generator.device)
    for one in noise:
        jacobian = (_features(generator, one + steps) - _features(generator, one[None])) / _STEP
        total += (jacobian @ jacobian.T).cpu() / jacobian.shape[1]
    moments = (total / len(noise)).numpy()
    if weights is not None:
        cache.store(moments, *key)
    return moments


@torch.no_grad()
def _features(generator: Generator, noise: Tensor) -> Tensor:
    return torch.cat([generator.media.features(generator.generate(part)) for part in noise.split(_BATCH)]).double()


class Coordinates(NamedTuple):
    """Orthonormal directions of noise along which a search is made; across them noise is zero.

    Under the prior each coordinate is a standard normal within ±4, but for the truncation.

    Attributes:
        directions: (dimensions, noise_dim), orthonormal rows.
        shares: (dimensions,), of the change of media; above 0, and about 1 in sum.
    """

    directions: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, generator: Generator, space: Space, dimensions: int) -> Coordinates:
        """Those of noise itself, or along the generator's effective directions, at most as many as noise has."""
        count = generator.noise_dim
        if space == "noise":
            return cls(np.eye(count), np.full(count, 1.0 / count))
        directions, eigenvalues = effective_directions(generator, min(dimensions, count))
        values = eigenvalues.double().numpy()
        shares = np.maximum(values / values.sum(), _SMALLEST_SHARE)
        return cls(directions.double().numpy(), shares)

    def of_noise(self, noise: NDArray[np.floating]) -> NDArray[np.float64]:
        """Noise (count, noise_dim) → coordinates (count, dimensions) within ±4."""
        along: NDArray[np.float64] = noise.astype(np.float64) @ self.directions.T
        return np.clip(along, -NOISE_BOUND, NOISE_BOUND)

    def to_noise(self, coordinates: NDArray[np.floating]) -> Noise:
        """Coordinates (count, dimensions) → noise (count, noise_dim) within ±4."""
        return clip_noise(coordinates @ self.directions)

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Coordinates (count, dimensions) of draws from the prior."""
        return sample_noise((count, len(self.shares)), rng).astype(np.float64)


def check_space(space: str, dimensions: int) -> None:
    """Raises ValueError for what describes no coordinates."""
    if space not in ("noise", "principal") or dimensions < 1:
        raise ValueError(
            f"space is {space!r} and dimensions {dimensions}; expected 'noise' or 'principal', and at least 1"
        )
