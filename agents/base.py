"""What a search strategy is: everything between the oracle's answers and the next question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env import Answer, Discriminator, Generator, Preference, sample_noise

Noise = NDArray[np.float32]

# Of a medium to begin again from, how many draws from the prior it is taken to be nearer than.
_NEARER_THAN = 16


class Agent(ABC):
    """Asks pairs of noise vectors and learns from the answers.

    What an agent believes is a function of its seed and the answers observed, in their order. That makes taking answers
    back exact: the agent starts over and observes all others again.

    A new strategy implements `_start`, `_learn`, `_question` and `destination`.
    """

    rounds = 0
    """Rounds of learning finished since the reset."""

    finished = False
    """Whether the agent wants no more answers."""

    finished_because: str = ""
    """Why it is finished, in a word or two such as "no movement"; left empty, it is "rounds"."""

    def __init__(self) -> None:
        self._history: list[Answer] = []
        self._beginning: tuple[Generator, Discriminator | None, int] | None = None
        self._begins_from: Noise | None = None
        self.metrics: dict[str, float] = {}

    def reset(self, generator: Generator, discriminator: Discriminator | None, seed: int) -> None:
        """Begins a search; generator and discriminator are the searcher's own tools, gradients included."""
        self._beginning = (generator, discriminator, seed)
        self._history = []
        self._begins_from = None
        self._begin()

    def act(self, observation: Any) -> Noise:
        """The next question, (1, 2, noise_dim). Asking twice without an answer gives the same question."""
        del observation
        first, second = self._question()
        return np.stack((first, second))[None]

    def observe(self, action: Noise, answers: NDArray[np.int64], ids: Sequence[int]) -> None:
        """Learns from answered pairs.

        Args:
            action: (pairs, 2, noise_dim), as asked.
            answers: (pairs,), each a `Preference`; pairs answered −1 were not asked and are passed over.
            ids: (pairs,), the numbers by which answers can be taken back.
        """
        for (first, second), answer, number in zip(action, answers, ids, strict=True):
            if answer >= 0:
                record = Answer(int(number), np.array(first), np.array(second), Preference(int(answer)))
                self._history.append(record)
                self._learn(record)

    def retract(self, ids: Sequence[int]) -> None:
        """Takes answers back: the agent is as if it had never observed them.

        Raises:
            ValueError: an id that was not observed.
        """
        back = {int(number) for number in ids}
        unknown = back - {record.id for record in self._history}
        if unknown:
            raise ValueError(f"answers {sorted(unknown)} were never observed, or are taken back already")
        self._history = [record for record in self._history if record.id not in back]
        self._begin()
        for record in self._history:
            self._learn(record)

    def restart(self, noise: Noise) -> None:
        """Begins again from `noise` (noise_dim,), and forgets all answers."""
        self._history = []
        self._begins_from = np.array(noise, dtype=np.float32)
        self._begin()

    def become(self, other: Agent) -> None:
        """Goes on where another agent of the same class stands, which is not to be used any more."""
        self.__dict__ = other.__dict__

    def __deepcopy__(self, memo: dict[int, Any]) -> Agent:
        """A copy that learns by itself, with the same generator and discriminator."""
        for tool in (self._beginning or ())[:2]:
            memo[id(tool)] = tool
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__ = {name: deepcopy(value, memo) for name, value in self.__dict__.items()}
        return twin

    def _begin(self) -> None:
        if self._beginning is None:
            raise RuntimeError("the agent was not reset; call reset(generator, discriminator, seed) first")
        generator, discriminator, seed = self._beginning
        self.rounds, self.finished, self.finished_because, self.metrics = 0, False, "", {}
        self._start(generator, discriminator, np.random.default_rng(seed))
        if self._begins_from is not None:
            self._start_from(self._begins_from, np.random.default_rng((seed, 1)))
            self.rounds = 0

    def _start_from(self, noise: Noise, rng: np.random.Generator) -> None:
        """Takes up what is known of `noise` (noise_dim,) when a search begins again from it, after `_start`.

        Unless told otherwise, that it is nearer to what is wanted than draws from the prior. An agent whose answers are
        about its own questions alone does something else.
        """
        for number, other in enumerate(sample_noise((_NEARER_THAN, len(noise)), rng), 1):
            self._learn(Answer(-number, noise, other, Preference.FIRST))

    @abstractmethod
    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        """Forgets everything and prepares the first question; all randomness to come is from `rng`."""

    @abstractmethod
    def _learn(self, answer: Answer) -> None:
        """Takes in one answer, which need not be to the question that was asked last."""

    @abstractmethod
    def _question(self) -> tuple[Noise, Noise]:
        """The pair to ask next, each (noise_dim,); changes nothing."""

    @property
    @abstractmethod
    def destination(self) -> Noise:
        """The noise the agent recommends now, (noise_dim,)."""

    @property
    def confidence(self) -> float | None:
        """How sure the agent is of its destination, from 0 before any answer to 1; None where it does not know."""
        return None

    def rate(self, noise: Tensor) -> Tensor | None:
        """The learned reward of noise (batch, noise_dim) → (batch,), or None where the strategy learns none."""
        del noise
        return None


class Learner(ABC):
    """Searches by stepping the environment itself, as reinforcement learning does.

    It meets `PBG-…-v0` with `action="unit"`: what it tries is asked against the incumbent.
    """

    @abstractmethod
    def learn(self, env: gym.Env[Any, Any], answers: int, seed: int) -> None:
        """Begins a search and learns from it.

        Args:
            env: fresh, of one search; every step is one answer. It ends the call by an exception of its own once the
                answers are spent, so a loop of a library's need not stop by itself.
            answers: how many there will be.
            seed: of everything random.
        """

    @property
    def destination(self) -> Noise | None:
        """The noise it recommends, (noise_dim,); None for the incumbent."""
        return None
