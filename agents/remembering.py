"""Agents that hold their last states, so that the last answers are taken back at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from agents.base import Agent

_REMEMBERED = 24


class RememberingAgent(Agent):
    """Takes the last answers back by going back to where it was before them; earlier ones by starting over.

    An agent of this kind implements `_state`, and calls `_remember` before it learns an answer. What is held must never
    be written to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: list[dict[str, Any]] = []

    def _begin(self) -> None:
        self._before = []
        super()._begin()

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What an answer changes, as it is now: attributes by their names."""

    def _remember(self) -> None:
        self._before = [*self._before[1 - _REMEMBERED :], self._state()]

    def retract(self, ids: Sequence[int]) -> None:
        back = {int(number) for number in ids}
        places = [place for place, answer in enumerate(self._history) if answer.id in back]
        if not places or len(places) != len(back) or len(self._history) - places[0] > len(self._before):
            super().retract(ids)
            return
        after = [answer for answer in self._history[places[0] :] if answer.id not in back]
        for name, value in self._before[places[0] - len(self._history)].items():
            setattr(self, name, value)
        del self._before[places[0] - len(self._history) :], self._history[places[0] :]
        for answer in after:
            self._history.append(answer)
            self._learn(answer)
