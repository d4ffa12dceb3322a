"""Fourth stage of a round: the best action so far, decided by questions of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from agents.base import Noise
from agents.reference.memory import Comparison
from agents.reference.pairing import Answered
from agents.reference.transitivity import RoundOrder
from pbg_env import Preference


class Tracker(ABC):
    """Follows the best action over the rounds."""

    champion: Noise | None = None

    def clear(self) -> None:
        self.champion = None

    @abstractmethod
    def begin(self, actions: Noise, answers: Sequence[Answered]) -> None:
        """Takes in the actions of a round (count, noise_dim) and what was answered about them."""

    @abstractmethod
    def next_challenger(self) -> Noise | None:
        """Who is to be asked against the champion, (noise_dim,), or None when the round is decided."""

    @abstractmethod
    def decide(self, preference: Preference) -> None:
        """The answer to challenger (first) against champion (second)."""

    @abstractmethod
    def conclusions(self, round: int) -> list[Comparison]:
        """What follows for the actions of the round without being asked."""


class BestActionTracker(Tracker):
    """Actions that lost to nothing challenge the champion; what was answered about others follows for who wins.

    The champion is taken to be preferred to what it beat, to what that beat, and so on. (To take it to be preferred to
    all of the round would be wrong about ties, and about actions that nobody was asked about.)
    """

    def __init__(self) -> None:
        self._challengers: list[int] = []
        self._order = RoundOrder(0)

    def begin(self, actions: Noise, answers: Sequence[Answered]) -> None:
        lost = {second for _, second, answer in answers if answer in (Preference.FIRST, Preference.BOTH_BAD)}
        lost |= {first for first, _, answer in answers if answer in (Preference.SECOND, Preference.BOTH_BAD)}
        asked = {index for first, second, _ in answers for index in (first, second)}
        self._actions = actions
        # The champion of the rounds before stands behind the actions of this one.
        self._reigning = len(actions)
        self._order = RoundOrder(len(actions) + 1)
        for first, second, answer in answers:
            self._order.add(first, second, answer)
        self._challengers = sorted(asked - lost)
        if self.champion is None and self._challengers:
            self._reign(self._challengers.pop(0))

    def next_challenger(self) -> Noise | None:
        return self._actions[self._challengers[0]] if self._challengers else None

    def decide(self, preference: Preference) -> None:
        challenger = self._challengers.pop(0)
        self._order.add(challenger, self._reigning, preference)
        if preference == Preference.FIRST:
            self._reign(challenger)

    def conclusions(self, round: int) -> list[Comparison]:
        if self.champion is None:
            return []
        worse = [index for better, index in self._order.concluded().strict if better == self._reigning]
        return [
            Comparison(self.champion, self._actions[index], Preference.FIRST.label, round)
            for index in worse
            if index < len(self._actions)
        ]

    def _reign(self, index: int) -> None:
        self._reigning, self.champion = index, self._actions[index]


class NoTracker(Tracker):
    """Spends no questions on a champion."""

    def begin(self, actions: Noise, answers: Sequence[Answered]) -> None:
        return None

    def next_challenger(self) -> Noise | None:
        return None

    def decide(self, preference: Preference) -> None:
        raise RuntimeError("no challenger was named")

    def conclusions(self, round: int) -> list[Comparison]:
        return []
