"""A strategy whose searches are quick, and what is made of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.base import Agent, Noise
from benchmarks.cell import Cell
from benchmarks.suite import Strategy, Suite, Task
from pbg_env import Answer, Discriminator, Generator, Preference, sample_noise


class Keeping(Agent):
    """Asks prior samples against the best so far, and ends, pauses, fails or dies when it is told to."""

    def __init__(
        self,
        ends: int | None = None,
        fails: bool = False,
        dies: bool = False,
        pauses: float = 0.0,
        shows_same: bool = False,
    ) -> None:
        super().__init__()
        self._ends, self._fails, self._dies, self._pauses, self._shows_same = ends, fails, dies, pauses, shows_same

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._best, self._next = sample_noise((2, generator.noise_dim), rng)

    def _learn(self, answer: Answer) -> None:
        # Time waited is no time thought.
        begun = time.process_time()
        while time.process_time() < begun + self._pauses:
            pass
        if self._fails and len(self._history) == 3:
            raise RuntimeError("three are too many")
        if self._dies and len(self._history) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if answer.preference == Preference.FIRST:
            self._best = answer.first
        self._next = sample_noise(self._best.shape, self._rng)
        self.finished = len(self._history) == self._ends

    def _question(self) -> tuple[Noise, Noise]:
        return (self._best if self._shows_same else self._next), self._best

    @property
    def destination(self) -> Noise:
        return self._best


def keeping(**arguments: Any) -> dict[str, Any]:
    return {"agent": {"class_path": "tests.benchmarks.conftest.Keeping", "init_args": arguments}}


def one_cell(small: str, strategy: dict[str, Any], *, task: dict[str, Any] | None = None, **changed: Any) -> Cell:
    settings: dict[str, Any] = {"targets": 1, "seeds": 1, "first_seed": 5, "checkpoints": [4, 8]} | changed
    tasks = [Task("exact", 12, generator=small, **(task or {}))]
    return next(Suite("one", tasks, {"only": Strategy(**strategy)}, **settings).cells())


@pytest.fixture
def small(checkpoint: Callable[..., Path]) -> str:
    """A checkpoint of a small generator, whose noise has 6 components."""
    return str(checkpoint())
