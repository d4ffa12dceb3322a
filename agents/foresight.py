"""What is done while a person looks: what waits to be written, and what an agent would ask after each answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy

import numpy as np

from agents.base import Agent, Noise
from pbg_env import Preference


class Foresight:
    """Lets copies of an agent observe each of the possible answers to a question, one after the other.

    The agent is left as it is, and must be until `take`; the generator is nobody else's until `stop`.

    Args:
        agent: who asks.
        action: the question, (1, 2, noise_dim).
        number: the answer will have.
        before: what is to be done first.
    """

    def __init__(self, agent: Agent, action: Noise, number: int, before: Sequence[Callable[[], None]] = ()) -> None:
        self._agent = agent
        self._action = action
        self._number = number
        self._before = before
        self._error: Exception | None = None
        self._wanted = threading.Event()
        self._known: dict[Preference, Agent] = {}
        self._thread = threading.Thread(target=self._work, name="foresight", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for act in self._before:
                act()
        except Exception as error:
            self._error = error
            return
        # An agent that cannot be copied, or fails, is asked when the answer is there, and says then what is wrong.
        with suppress(Exception):
            self._foresee()

    def _foresee(self) -> None:
        for preference in Preference:
            if self._wanted.is_set():
                return
            twin = deepcopy(self._agent)
            twin.observe(self._action, np.array([preference]), [self._number])
            # Some agents work their next question out when they are asked for it.
            twin.act(None)
            self._known[preference] = twin

    def take(self, preference: Preference, number: int) -> Agent | None:
        """The agent that has observed this answer, or None where it is not known; ends the work."""
        self.stop()
        return self._known.get(preference) if number == self._number else None

    def stop(self) -> None:
        """Ends the work, after what is in hand.

        Raises:
            Exception: what went wrong in what was to be done first.
        """
        self._wanted.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
