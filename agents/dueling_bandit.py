"""A dueling bandit: finds the best of a fixed handful of prior samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent, Noise
from pbg_env import Answer, Discriminator, Generator, sample_noise


class DuelingBandit(Agent):
    """Double Thompson sampling (Wu & Liu 2016, algorithm 1) over samples of the prior, its arms.

    The first of a pair beats the most others in a draw of all probabilities to win, among the arms that may still be
    the Copeland winner by their upper confidence bounds. The second beats it most surely in another draw, among those
    whose lower confidence bound leaves the matter open, or among all where it is settled against each. Unlike in the
    paper the two are never the same arm: asking about one picture would tell nothing.

    A tie is half a win for each, a both-bad answer tells nothing of the order. The recommendation is the Copeland
    winner by the posterior means, and of several the one with the highest mean of these (Borda).

    Args:
        arms: samples of the prior, at least 2.
        exploration: α, which widens the confidence bounds, above 0; the paper's bounds on the regret hold above 0.5.
    """

    def __init__(self, arms: int = 50, exploration: float = 0.51) -> None:
        super().__init__()
        if arms < 2 or exploration <= 0:
            raise ValueError(f"arms is {arms} and exploration {exploration}, expected at least 2 and above 0")
        self.arms = arms
        self.exploration = exploration

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._noise = sample_noise((self.arms, generator.noise_dim), rng)
        self._wins = np.zeros((self.arms, self.arms))
        """Of the row's arm over the column's."""
        self._choose()

    def _start_from(self, noise: Noise, rng: np.random.Generator) -> None:
        self._noise[0] = noise
        self._wins[0, 1:] = 1.0
        self._choose()

    def _question(self) -> tuple[Noise, Noise]:
        return self._noise[self._first], self._noise[self._second]

    def _learn(self, answer: Answer) -> None:
        first, second = (self._arm(noise) for noise in (answer.first, answer.second))
        # Answers about other media than the arms are passed over.
        if first is not None and second is not None:
            of_first, of_second = answer.preference.label
            self._wins[first, second] += of_first
            self._wins[second, first] += of_second
        self.rounds += 1
        self._choose()

    @property
    def destination(self) -> Noise:
        mean = (self._wins + 1) / (self._wins + self._wins.T + 2)  # (arms, arms), ½ on the diagonal
        copeland = (mean > 0.5).sum(axis=1)
        return self._noise[np.lexsort((mean.sum(axis=1), copeland))[-1]]

    def _arm(self, noise: Noise) -> int | None:
        found = np.flatnonzero((self._noise == noise).all(axis=1))
        return int(found[0]) if len(found) else None

    def _choose(self) -> None:
        lower, upper = self._bounds()
        possible = _most((upper > 0.5).sum(axis=1), np.full(self.arms, True))
        beaten = (self._draw() > 0.5).sum(axis=1)
        self._first = int(self._rng.choice(np.flatnonzero(_most(beaten, possible))))
        against = self._draw()[:, self._first]
        others = np.arange(self.arms) != self._first
        unsettled = others & (lower[:, self._first] <= 0.5)
        self._second = int(np.flatnonzero(_most(against, unsettled if unsettled.any() else others))[0])

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper confidence bounds (arms, arms) of the row's arm winning over the column's."""
        asked = self._wins + self._wins.T
        known = np.maximum(asked, 1e-9)
        radius = np.sqrt(self.exploration * math.log(max(self.rounds, 1)) / known)
        mean = np.where(asked > 0, self._wins / known, 0.5)
        # Nothing is known of a pair that was not asked; of an arm against itself there is nothing to know.
        lower, upper = (
            np.where(asked > 0, bound, limit) for bound, limit in ((mean - radius, 0.0), (mean + radius, 1.0))
        )
        for bound in (lower, upper):
            np.fill_diagonal(bound, 0.5)
        return lower, upper

    def _draw(self) -> NDArray[np.float64]:
        """Probabilities (arms, arms) of the row's arm winning, drawn from their posterior."""
        upper = np.triu(self._rng.beta(self._wins + 1, self._wins.T + 1), 1)
        drawn: NDArray[np.float64] = upper + np.tril(1 - upper.T, -1)
        np.fill_diagonal(drawn, 0.5)
        return drawn


def _most(values: NDArray[np.generic], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which have the highest value among some, (count,)."""
    return among & (values == values[among].max())
