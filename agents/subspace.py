"""Which directions of noise change a generator's media, and how much."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env import Generator, cache

_SAMPLES = 32
_STEP = 0.02
_BATCH = 64


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
    samples by finite differences. Computed once per generator, and kept on disk where it has `weights` to name it by.

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
    key = ("moments", str(_SAMPLES), str(_STEP), str(weights), str(generator.noise_dim), str(generator.media.shape))
    if weights is not None and (found := cache.cached(*key)) is not None:
        return found
    noise = generator.sample_noise(_SAMPLES, np.random.default_rng(_SAMPLES))
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
