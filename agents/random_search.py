"""Random search: the best of prior samples, by a champion."""

from __future__ import annotations

import numpy as np

from agents.base import Agent, Noise
from pbg_env import Answer, Discriminator, Generator, Preference, sample_noise


class RandomSearch(Agent):
    """Asks a fresh prior sample against the best so far; who is preferred is the best. Ties keep it."""

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._best, self._candidate = sample_noise((2, generator.noise_dim), rng)

    def _question(self) -> tuple[Noise, Noise]:
        return self._candidate, self._best

    def _learn(self, answer: Answer) -> None:
        if answer.preference == Preference.FIRST:
            self._best = answer.first
        self._candidate = sample_noise(self._best.shape, self._rng)
        self.rounds += 1

    @property
    def destination(self) -> Noise:
        return self._best


class Origin(Agent):
    """Recommends z = 0, the middle of the prior, whatever is answered: the floor that a strategy must leave below."""

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._zero = np.zeros(generator.noise_dim, dtype=np.float32)
        self._candidate = sample_noise(self._zero.shape, rng)

    def _question(self) -> tuple[Noise, Noise]:
        return self._candidate, self._zero

    def _learn(self, answer: Answer) -> None:
        self._candidate = sample_noise(self._zero.shape, self._rng)

    @property
    def destination(self) -> Noise:
        return self._zero
