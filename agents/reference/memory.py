"""Fifth stage of a round: what is remembered of the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
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
    """(count, 2), weights on first and second, discounted; zeros for both-bad answers."""
    bad: NDArray[np.float32]
    """(count,), the discounted weight of each both-bad answer; 0 for all other comparisons."""


class Memory(ABC):
    """Keeps comparisons and hands them out for a fit. What was stored is never changed."""

    def __init__(self) -> None:
        self._comparisons: list[Comparison] = []

    def clear(self) -> None:
        self._comparisons = []

    def add(self, comparisons: Sequence[Comparison]) -> None:
        self._comparisons.extend(comparisons)

    @abstractmethod
    def weights(self, comparisons: Sequence[Comparison], round: int) -> NDArray[np.float64]:
        """What each comparison weighs in a round, (count,), at least 0; 0 leaves it out."""

    def dataset(self, round: int) -> Dataset:
        """What is remembered in a round."""
        weights = self.weights(self._comparisons, round)
        kept = np.flatnonzero(weights > 0)
        if len(kept) == 0:
            return Dataset(np.empty((0, 2, 0), np.float32), np.empty((0, 2), np.float32), np.empty(0, np.float32))
        pairs = np.stack([np.stack((self._comparisons[k].first, self._comparisons[k].second)) for k in kept])
        labels = np.array([self._comparisons[k].label for k in kept])
        # The zero label of a both-bad answer has nowhere to carry a weight.
        bad = weights[kept] * (labels.sum(axis=1) == 0)
        return Dataset(pairs, (weights[kept, None] * labels).astype(np.float32), bad.astype(np.float32))


class RecentRounds(Memory):
    """The last rounds, each older one weighing less.

    Args:
        rounds: how many are remembered, at least 1.
        discount: factor on the weight for each round of age, in (0, 1].
    """

    def __init__(self, rounds: int = 10, discount: float = 0.99) -> None:
        super().__init__()
        if not 0 < discount <= 1:
            raise ValueError(f"discount is {discount}, expected above 0 and at most 1")
        self.rounds = _at_least_one(rounds)
        self.discount = discount

    def weights(self, comparisons: Sequence[Comparison], round: int) -> NDArray[np.float64]:
        age = _ages(comparisons, round)
        return np.where(age < self.rounds, self.discount**age, 0.0)


class Everything(Memory):
    """All comparisons, whatever their age, at full weight."""

    def weights(self, comparisons: Sequence[Comparison], round: int) -> NDArray[np.float64]:
        return np.ones(len(comparisons))


class Balanced(Memory):
    """Every kind of answer weighs the same in all: first, second, both good and both bad, as far as they occur.

    Within a kind all comparisons weigh the same, and the sum of all weights is the number of comparisons remembered.
    A kind that is rare, such as a tie, so counts for as much as one that most answers are of.

    Args:
        rounds: how many of the last rounds are remembered, at least 1; None remembers all.
    """

    def __init__(self, rounds: int | None = None) -> None:
        super().__init__()
        self.rounds = None if rounds is None else _at_least_one(rounds)

    def weights(self, comparisons: Sequence[Comparison], round: int) -> NDArray[np.float64]:
        age = _ages(comparisons, round)
        recent = np.full(len(age), True) if self.rounds is None else age < self.rounds
        occurrences = Counter(item.label for item, kept in zip(comparisons, recent, strict=True) if kept)
        each = {label: occurrences.total() / len(occurrences) / count for label, count in occurrences.items()}
        return np.array([each[item.label] if kept else 0.0 for item, kept in zip(comparisons, recent, strict=True)])


def _ages(comparisons: Sequence[Comparison], round: int) -> NDArray[np.int64]:
    """In rounds, (count,)."""
    return round - np.array([item.round for item in comparisons], dtype=np.int64)


def _at_least_one(rounds: int) -> int:
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}, expected at least 1")
    return rounds
