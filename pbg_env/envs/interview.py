"""A search whose answers come from a person, who may take them back, begin again, or say that it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.generators.base import Generator
from pbg_env.oracles.person import Person, Reply
from pbg_env.preference import NOT_ASKED, Answer, Preference


class Interview:
    """What one person has said in one search.

    Args:
        person: who answers.
        generator: whose media they judge.
        max_queries: answers there are at most.
        rng: the person's stream of randomness.
    """

    def __init__(self, person: Person, generator: Generator, max_queries: int, rng: np.random.Generator) -> None:
        self.person = person
        self.standing: list[Answer] = list(person.begin(generator, max_queries, rng))
        """The answers that stand, in the order they were given."""
        # Where nothing was answered since.
        self._start = person.restarted_from
        self.last: Reply | None = None
        """To the last step."""
        self.back: list[Answer] = []
        """The answers that the last step took back."""
        self._rng = rng

    def ask(self, noise: NDArray[np.float32], first: Tensor, second: Tensor) -> Reply:
        """Asks pairs of noise (pairs, 2, noise_dim), with media (pairs, *shape)."""
        reply = self.person.ask(noise, first, second, self._rng)
        self.last = reply
        self.back = [answer for answer in self.standing if answer.id in reply.retracted]
        self.standing = [answer for answer in self.standing if answer.id not in reply.retracted]
        for pair, answer, number in zip(noise, reply.answers, reply.ids, strict=True):
            if answer != NOT_ASKED:
                self.standing.append(Answer(int(number), pair[0], pair[1], Preference(int(answer))))
        return reply

    def infos(self) -> dict[str, NDArray[Any]]:
        """What `info` tells of the last step beside answers, with this search alone in front."""
        infos: dict[str, NDArray[Any]] = {"retracted": np.array([[answer.id for answer in self.back]], dtype=np.int64)}
        for name in ("restart_from", "accepted"):
            noise = getattr(self.last, name, None)
            if noise is not None:
                infos[name] = np.array(noise)[None]
        return infos

    @property
    def satisfied(self) -> bool:
        """Whether the person has said that it is found."""
        return self.last is not None and self.last.accepted is not None

    def incumbent(self) -> NDArray[np.float32] | None:
        """Where each question was a candidate against the best so far: the best, (noise_dim,), after what the last step
        took back; None where that is not known."""
        if self.last is not None and self.last.restart_from is not None:
            self._start = self.last.restart_from
            return self._start
        if self.back:
            return self.back[0].second
        if not self.standing:
            return self._start
        answer = self.standing[-1]
        return answer.first if answer.preference == Preference.FIRST else answer.second
