"""Fifth stage of a round: what is remembered of the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.base import Noise


class Comparison(NamedTuple):
    """One pair and what is known of it, by an answer or by inference from answers."""

    first: Noise
    second: Noise
    label: tuple[float, float]
    """Weight on first and second, as `Preference.label`."""
    round: int


class Dataset(NamedTuple):
    """Comparisons as arrays, ready to be fitted."""

    pairs: NDArray[np.float32]
    """(count, 2, noise_dim)."""
    labels: NDArray[np.float32]
    """(count, 2), weights on first and second, discounted."""


class Memory(ABC):
    """Keeps comparisons and hands them out for a fit. What was stored is never changed."""

    def __init__(self) -> None:
        self._comparisons: list[Comparison] = []

    def clear(self) -> None:
        self._comparisons = []

    def add(self, comparisons: Sequence[Comparison]) -> None:
        self._comparisons.extend(comparisons)

    @abstractmethod
    def weight(self, age: int) -> float:
        """What a comparison weighs that is `age` rounds old; 0 forgets it."""

    def dataset(self, round: int) -> Dataset:
        """What is remembered in a round."""
        weighted = [(item, self.weight(round - item.round)) for item in self._comparisons]
        kept = [(item, weight) for item, weight in weighted if weight > 0]
        if not kept:
            return Dataset(np.empty((0, 2, 0), np.float32), np.empty((0, 2), np.float32))
        pairs = np.stack([np.stack((item.first, item.second)) for item, _ in kept])
        labels = np.array([[weight * side for side in item.label] for item, weight in kept], dtype=np.float32)
        return Dataset(pairs, labels)


class RecentRounds(Memory):
    """The last rounds, each older one weighing less.

    Args:
        rounds: how many are remembered.
        discount: factor on the labels for each round of age, in (0, 1].
    """

    def __init__(self, rounds: int = 10, discount: float = 0.99) -> None:
        super().__init__()
        if rounds < 1:
            raise ValueError(f"rounds is {rounds}, expected at least 1")
        if not 0 < discount <= 1:
            raise ValueError(f"discount is {discount}, expected above 0 and at most 1")
        self.rounds = rounds
        self.discount = discount

    def weight(self, age: int) -> float:
        return self.discount**age if age < self.rounds else 0.0


class Everything(Memory):
    """All comparisons, whatever their age, at full weight."""

    def weight(self, age: int) -> float:
        return 1.0
