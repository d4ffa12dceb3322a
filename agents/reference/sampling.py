"""First stage of a round: which actions come into question."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from agents.base import Noise
from pbg_env import clip_noise, sample_noise


class Sampling(ABC):
    """Proposes actions for a round."""

    @abstractmethod
    def sample(self, destination: Noise, incumbent: Noise | None, round: int, rng: np.random.Generator) -> Noise:
        """Draws the actions of a round.

        Args:
            destination: where the search is, (noise_dim,).
            incumbent: the best action so far, (noise_dim,), or None where none is followed or known.
            round: which one it is, from 0.
            rng: the only source of randomness.

        Returns:
            Actions (count, noise_dim) within ±4, float32.
        """


class FromPrior(Sampling):
    """Draws from the prior.

    Args:
        count: actions a round, at least 2.
    """

    def __init__(self, count: int = 100) -> None:
        self.count = _at_least_two(count)

    def sample(self, destination: Noise, incumbent: Noise | None, round: int, rng: np.random.Generator) -> Noise:
        return sample_noise((self.count, len(destination)), rng)


class EpsilonGreedy(Sampling):
    """Neighbours of the destination first, then draws from the prior, which become fewer from round to round.

    Of the actions max(share · decay^round, floor) are from the prior. The rest are normal around the destination.

    Args:
        count: actions a round, at least 2.
        share: of the actions from the prior in the first round, in [0, 1].
        decay: factor on the share for each round, in (0, 1].
        floor: the least that the share comes down to, in [0, 1].
        spread: standard deviation around the destination, above 0.
    """

    def __init__(
        self, count: int = 100, share: float = 1.0, decay: float = 0.8, floor: float = 0.1, spread: float = 0.5
    ) -> None:
        self.count = _at_least_two(count)
        for name, value in (("share", share), ("floor", floor)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, expected a share from 0 to 1")
        if not 0 < decay <= 1:
            raise ValueError(f"decay is {decay}, expected above 0 and at most 1")
        self.share = share
        self.decay = decay
        self.floor = floor
        self.spread = _above_zero(spread)

    def sample(self, destination: Noise, incumbent: Noise | None, round: int, rng: np.random.Generator) -> Noise:
        prior = int(np.rint(self.count * max(self.share * self.decay**round, self.floor)))
        near = _around(destination, self.count - prior, self.spread, rng)
        return np.concatenate((near, sample_noise((prior, len(destination)), rng)))


class AroundIncumbent(Sampling):
    """Normal around the best action so far, or around the destination while there is none.

    Args:
        count: actions a round, at least 2.
        spread: standard deviation, above 0.
    """

    def __init__(self, count: int = 100, spread: float = 0.5) -> None:
        self.count = _at_least_two(count)
        self.spread = _above_zero(spread)

    def sample(self, destination: Noise, incumbent: Noise | None, round: int, rng: np.random.Generator) -> Noise:
        return _around(destination if incumbent is None else incumbent, self.count, self.spread, rng)


class PriorAndDestination(Sampling):
    """The destination itself first, then neighbours of it, then draws from the prior.

    Neighbours are mixtures √(1 − s²) · destination + s · prior sample, as long as the prior makes noise.

    Args:
        count: draws from the prior, at least 2.
        near: neighbours of the destination, at least 0.
        spread: s in (0, 1], 0 being the destination and 1 the prior.
    """

    def __init__(self, count: int = 60, near: int = 39, spread: float = 0.5) -> None:
        self.count = _at_least_two(count)
        if near < 0:
            raise ValueError(f"near is {near}, expected at least 0")
        self.near = near
        if not 0 < spread <= 1:
            raise ValueError(f"spread is {spread}, expected above 0 and at most 1")
        self.spread = spread

    def sample(self, destination: Noise, incumbent: Noise | None, round: int, rng: np.random.Generator) -> Noise:
        prior = sample_noise((self.count + self.near, len(destination)), rng)
        around = np.sqrt(1 - self.spread**2) * destination + self.spread * prior[: self.near]
        actions = np.concatenate((destination[None], around, prior[self.near :]))
        return clip_noise(actions)


def _around(centre: Noise, count: int, spread: float, rng: np.random.Generator) -> Noise:
    """Normal around the centre (noise_dim,): (count, noise_dim), clipped to ±4."""
    return clip_noise(centre + spread * rng.standard_normal((count, len(centre))))


def _at_least_two(count: int) -> int:
    if count < 2:
        raise ValueError(f"count is {count}, expected at least 2: a pair needs two actions")
    return count


def _above_zero(spread: float) -> float:
    if not 0 < spread < np.inf:
        raise ValueError(f"spread is {spread}, expected a standard deviation above 0")
    return spread
