"""Fourth stage of a round: the best action so far, decided by questions of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from agents.base import Noise
from agents.reference.memory import Comparison
from pbg_env import Preference


class Tracker(ABC):
    """Follows the best action over the rounds."""

    champion: Noise | None = None

    def clear(self) -> None:
        self.champion = None

    @abstractmethod
    def begin(self, actions: Noise, answers: Sequence[tuple[int, int, Preference]]) -> None:
        """Takes in the pairs of a round: indices of two actions (count, noise_dim) and the answer."""

    @abstractmethod
    def next_challenger(self) -> Noise | None:
        """Who is to be asked against the champion, (noise_dim,), or None when the round is decided."""

    @abstractmethod
    def decide(self, preference: Preference) -> None:
        """The answer to challenger (first) against champion (second)."""

    @abstractmethod
    def conclusions(self, actions: Noise, round: int) -> list[Comparison]:
        """What follows from the champion for the actions of the round."""


class BestActionTracker(Tracker):
    """Actions that lost to nothing challenge the champion; who wins is taken to be preferred to all of the round."""

    def __init__(self) -> None:
        self._challengers: list[Noise] = []

    def begin(self, actions: Noise, answers: Sequence[tuple[int, int, Preference]]) -> None:
        lost = {second for _, second, answer in answers if answer in (Preference.FIRST, Preference.BOTH_BAD)}
        lost |= {first for first, _, answer in answers if answer in (Preference.SECOND, Preference.BOTH_BAD)}
        asked = {index for first, second, _ in answers for index in (first, second)}
        self._challengers = [actions[index] for index in sorted(asked - lost)]
        if self.champion is None and self._challengers:
            self.champion = self._challengers.pop(0)

    def next_challenger(self) -> Noise | None:
        return self._challengers[0] if self._challengers else None

    def decide(self, preference: Preference) -> None:
        challenger = self._challengers.pop(0)
        if preference == Preference.FIRST:
            self.champion = challenger

    def conclusions(self, actions: Noise, round: int) -> list[Comparison]:
        if self.champion is None:
            return []
        return [
            Comparison(self.champion, action, Preference.FIRST.label, round)
            for action in actions
            if not np.array_equal(action, self.champion)
        ]


class NoTracker(Tracker):
    """Spends no questions on a champion."""

    def begin(self, actions: Noise, answers: Sequence[tuple[int, int, Preference]]) -> None:
        return None

    def next_challenger(self) -> Noise | None:
        return None

    def decide(self, preference: Preference) -> None:
        raise RuntimeError("no challenger was named")

    def conclusions(self, actions: Noise, round: int) -> list[Comparison]:
        return []
