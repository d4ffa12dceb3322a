"""The prior over noise, the standard normal truncated at ±4, and its maps to and from [-1, 1]."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NOISE_BOUND = 4.0
"""The prior, the action spaces and every target live within ± this bound."""

# Mass of the standard normal within the bound, over 2: Φ(x) − ½ spans ± this.
_HALF_MASS = 0.5 * math.erf(NOISE_BOUND / math.sqrt(2.0))


def unit_to_noise(unit: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps [-1, 1] to noise by the inverse distribution function: uniform in, prior out.

    Args:
        unit: any shape, values within [-1, 1].

    Returns:
        Noise of the same shape within ±4, float32.
    """
    half = torch.from_numpy(np.asarray(unit, dtype=np.float64) * _HALF_MASS)
    # Φ(x) = ½ + half; the inverse error function keeps full precision around 0.
    noise = math.sqrt(2.0) * torch.special.erfinv(2.0 * half)
    return clip_noise(noise.numpy())


def noise_to_unit(noise: NDArray[np.floating]) -> NDArray[np.float32]:
    """Inverse of `unit_to_noise`: noise of any shape within ±4 → [-1, 1], float32."""
    x = torch.from_numpy(np.asarray(noise, dtype=np.float64))
    unit = 0.5 * torch.special.erf(x / math.sqrt(2.0)) / _HALF_MASS
    return np.clip(unit.numpy(), -1.0, 1.0).astype(np.float32)


def clip_noise(noise: NDArray[np.floating]) -> NDArray[np.float32]:
    """Noise of any shape → the nearest within ±4, float32."""
    return np.clip(noise, -NOISE_BOUND, NOISE_BOUND).astype(np.float32)


def sample_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws from the prior.

    Args:
        shape: of the result, such as (count, noise_dim).
        rng: the only source of randomness.

    Returns:
        float32 within ±4.
    """
    noise = rng.standard_normal(shape)
    outside = np.abs(noise) > NOISE_BOUND
    while outside.any():
        noise[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(noise) > NOISE_BOUND
    return noise.astype(np.float32)


def sample_noise_tensor(count: int, noise_dim: int, rng: torch.Generator) -> Tensor:
    """Draws from the prior into a tensor (count, noise_dim) on the generator's device, for training."""
    uniform = torch.rand((count, noise_dim), generator=rng, device=rng.device, dtype=torch.float64)
    return (math.sqrt(2.0) * torch.special.erfinv(2.0 * _HALF_MASS * (2.0 * uniform - 1.0))).float()
