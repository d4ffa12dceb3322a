"""When the agent asks no more. The oracle's satisfaction and the budget end a search without it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from agents.base import Noise


class Stop(ABC):
    """Decides after each round whether the agent is done."""

    @abstractmethod
    def reason(self, path: Sequence[Noise]) -> str:
        """Why no more is asked, or "" to go on.

        Args:
            path: the destinations (noise_dim,) so far: where the search began, then that of each round.
        """


class AfterRounds(Stop):
    """A number of rounds.

    Args:
        rounds: after how many the agent is done; None goes on as long as it is asked.
    """

    def __init__(self, rounds: int | None = None) -> None:
        if rounds is not None and rounds < 1:
            raise ValueError(f"rounds is {rounds}, expected at least 1, or null for no limit")
        self.rounds = rounds

    def reason(self, path: Sequence[Noise]) -> str:
        return "rounds" if self.rounds is not None and len(path) > self.rounds else ""


class NoMovement(Stop):
    """The destination rests.

    Args:
        rounds: in so many rounds, one after the other,
        distance: it moved by less than this, in units of noise.
    """

    def __init__(self, rounds: int = 5, distance: float = 0.1) -> None:
        if not (rounds >= 1 and distance > 0):
            raise ValueError(f"rounds is {rounds} and distance {distance}, expected at least 1 and above 0")
        self.rounds = rounds
        self.distance = distance

    def reason(self, path: Sequence[Noise]) -> str:
        if len(path) <= self.rounds:
            return ""
        moves = np.linalg.norm(np.diff(np.stack(path[-self.rounds - 1 :]), axis=0), axis=1)
        return "no movement" if (moves < self.distance).all() else ""
