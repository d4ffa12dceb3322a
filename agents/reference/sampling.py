"""First stage of a round: which actions come into question."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from agents.base import Noise
from pbg_env import NOISE_BOUND, sample_noise


class Sampling(ABC):
    """Proposes actions for a round."""

    @abstractmethod
    def sample(self, destination: Noise, rng: np.random.Generator) -> Noise:
        """The destination (noise_dim,) → actions (count, noise_dim) within ±4."""


class FromPrior(Sampling):
    """Draws from the prior.

    Args:
        count: actions a round.
    """

    def __init__(self, count: int = 100) -> None:
        self.count = _positive(count, "count")

    def sample(self, destination: Noise, rng: np.random.Generator) -> Noise:
        return sample_noise((self.count, len(destination)), rng)


class PriorAndDestination(Sampling):
    """The destination itself first, then neighbours of it, then draws from the prior.

    Neighbours are mixtures √(1 − s²) · destination + s · prior sample, as long as the prior makes noise.

    Args:
        count: draws from the prior.
        near: neighbours of the destination.
        spread: s in (0, 1], 0 being the destination and 1 the prior.
    """

    def __init__(self, count: int = 60, near: int = 39, spread: float = 0.5) -> None:
        self.count = _positive(count, "count")
        self.near = near
        if not 0 < spread <= 1:
            raise ValueError(f"spread is {spread}, expected above 0 and at most 1")
        self.spread = spread

    def sample(self, destination: Noise, rng: np.random.Generator) -> Noise:
        prior = sample_noise((self.count + self.near, len(destination)), rng)
        around = np.sqrt(1 - self.spread**2) * destination + self.spread * prior[: self.near]
        actions = np.concatenate((destination[None], around, prior[self.near :]))
        return np.clip(actions, -NOISE_BOUND, NOISE_BOUND).astype(np.float32)


def _positive(value: int, name: str) -> int:
    if value < 2:
        raise ValueError(f"{name} is {value}, expected at least 2: a pair needs two actions")
    return value
