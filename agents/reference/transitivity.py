"""What follows from answers without being asked: a ≥ b and b ≥ c make a ≥ c."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pbg_env import Preference

Relation = NDArray[np.bool_]
"""(count, count): whether row and column stand in the relation."""


class Order(NamedTuple):
    """What is known of every two of `count` things."""

    better: Relation
    """Whether the row is strictly better than the column."""
    equal: Relation
    """Whether the row is as good as the column; symmetric, and false on the diagonal."""


def closure(answers: Order) -> Order:
    """All that follows from answers by chains of ≥, the answers included.

    A chain with a strict step makes its ends strictly ordered, a chain of ties alone makes them tied. Where a chain
    with a strict step returns to its begin, some answer on it is wrong, and nobody knows which: none of them is used.
    """
    better, equal = answers
    reached = _reachable(better | equal)
    circle = reached & reached.T
    contradicted = circle & (circle @ (better & circle).any(axis=1))[:, None]
    better, equal = better & ~contradicted, equal & ~contradicted
    reached = _reachable(better | equal)
    # Two things that reach each other do so by ties alone: circles with a strict step are taken out.
    return Order(reached @ better @ reached, reached & reached.T & ~np.eye(len(reached), dtype=bool))


def _reachable(steps: Relation) -> Relation:
    """Which are joined by any number of steps, none included (Warshall 1962)."""
    reached = steps | np.eye(len(steps), dtype=bool)
    for through in range(len(steps)):
        reached |= reached[:, through, None] & reached[through]
    return reached


class Concluded(NamedTuple):
    """What follows from answers and was not asked, as pairs of things."""

    strict: list[tuple[int, int]]
    """The first is better."""
    tied: list[tuple[int, int]]


class RoundOrder:
    """Collects answers about `count` things; both-bad says nothing about their order."""

    def __init__(self, count: int) -> None:
        self._better, self._equal, self._met = np.zeros((3, count, count), dtype=bool)

    def add(self, first: int, second: int, preference: Preference) -> None:
        self._met[first, second] = self._met[second, first] = True
        self._better[first, second] |= preference == Preference.FIRST
        self._better[second, first] |= preference == Preference.SECOND
        if preference == Preference.BOTH_GOOD:
            self._equal[first, second] = self._equal[second, first] = True

    def concluded(self) -> Concluded:
        order = closure(Order(self._better, self._equal))
        strict = np.argwhere(order.better & ~self._met).tolist()
        tied = np.argwhere(np.triu(order.equal & ~self._met)).tolist()
        return Concluded([(i, j) for i, j in strict], [(i, j) for i, j in tied])
