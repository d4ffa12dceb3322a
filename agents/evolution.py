"""Evolution by pairwise answers: (1+1)-ES, one-bit momentum, and CMA-ES on rankings that questions make."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent, Noise
from pbg_env import NOISE_BOUND, Answer, Discriminator, Generator, Preference, clip_noise, sample_noise

with warnings.catch_warnings():
    # It misses a library for plots, which nobody draws here.
    warnings.simplefilter("ignore", UserWarning)
    import cma


class OnePlusOne(Agent):
    """(1+1)-ES with the one-fifth rule (Rechenberg 1973, in the form of Kern et al. 2004).

    Asks a mutation of the best so far against it. A success lengthens the step, all else shortens it, so that it stays
    where one mutation in five succeeds.

    Args:
        step: at the begin, in units of noise a component.
        growth: of the step by a success; a failure shrinks it by the fourth root.
        from_middle: begins at z = 0 instead of at a sample of the prior.
    """

    def __init__(self, step: float = 1.0, growth: float = 1.1, from_middle: bool = False) -> None:
        super().__init__()
        if step <= 0 or growth <= 1:
            raise ValueError(f"step is {step} and growth {growth}, expected above 0 and above 1")
        self.step = step
        self.growth = growth
        self.from_middle = from_middle

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._best = sample_noise((generator.noise_dim,), rng)
        if self.from_middle:
            self._best[:] = 0.0
        self._length = self.step
        self._mutate()

    def _start_from(self, noise: Noise, rng: np.random.Generator) -> None:
        self._best = noise.copy()
        self._mutate()

    def _mutate(self) -> None:
        self._candidate = clip_noise(self._best + self._length * self._rng.standard_normal(self._best.shape))

    def _question(self) -> tuple[Noise, Noise]:
        return self._candidate, self._best

    def _learn(self, answer: Answer) -> None:
        success = answer.preference == Preference.FIRST
        if success:
            self._best = answer.first
        self._length *= self.growth if success else self.growth**-0.25
        self._mutate()
        self.rounds += 1

    @property
    def destination(self) -> Noise:
        return self._best


class OneBitMomentum(Agent):
    """One-bit gradients with momentum: asks z + μe against z − μe, and steps along ±e; begins at z = 0.

    The answer is the sign of the utility's slope along e, as in sign-based zeroth-order optimisation (Cai et al. 2022).

    Args:
        spread: μ, half of what lies between the two, in units of noise a component.
        learning_rate: length of a step, in units of noise a component.
        momentum: in [0, 1).
        anneal_over: answers after which the learning rate has fallen to half; None keeps it.
    """

    def __init__(
        self,
        spread: float = 0.3,
        learning_rate: float = 0.05,
        momentum: float = 0.5,
        anneal_over: int | None = None,
    ) -> None:
        super().__init__()
        if spread <= 0 or learning_rate <= 0 or not 0 <= momentum < 1 or (anneal_over is not None and anneal_over < 1):
            raise ValueError(
                f"spread is {spread}, learning_rate {learning_rate}, momentum {momentum}, anneal_over {anneal_over}; "
                f"expected above 0, above 0, in [0, 1), at least 1 or null"
            )
        self.spread = spread
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.anneal_over = anneal_over

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._place = np.zeros(generator.noise_dim)
        self._velocity = np.zeros(generator.noise_dim)
        self._draw()

    def _start_from(self, noise: Noise, rng: np.random.Generator) -> None:
        self._place = noise.astype(np.float64)

    def _draw(self) -> None:
        self._direction = self._rng.standard_normal(self._place.shape)

    def _question(self) -> tuple[Noise, Noise]:
        step = self.spread * self._direction
        return clip_noise(self._place + step), clip_noise(self._place - step)

    def _learn(self, answer: Answer) -> None:
        first, second = answer.preference.label
        rate = self.learning_rate
        if self.anneal_over is not None:
            rate /= 1 + self.rounds / self.anneal_over
        self._velocity = self.momentum * self._velocity + (first - second) * self._direction
        self._place = np.clip(self._place + rate * self._velocity, -NOISE_BOUND, NOISE_BOUND)
        self._draw()
        self.rounds += 1

    @property
    def destination(self) -> Noise:
        return clip_noise(self._place)


class CMA(Agent):
    """CMA-ES (Hansen 2016) by the library `cma`; each generation is ranked by questions.

    A generation is sorted by merging, which asks about λ log₂ λ questions; ties and both-bad keep the order of drawing.
    With 100 dimensions and few answers, only the diagonal of the covariance can be learned.

    Args:
        population: λ, at least 4.
        step: σ at the begin, in units of noise.
        diagonal: adapt the diagonal of the covariance alone.
    """

    def __init__(self, population: int = 8, step: float = 0.7, diagonal: bool = True) -> None:
        super().__init__()
        if population < 4 or step <= 0:
            raise ValueError(f"population is {population} and step {step}, expected at least 4 and above 0")
        self.population = population
        self.step = step
        self.diagonal = diagonal

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._open(np.zeros(generator.noise_dim))

    def _start_from(self, noise: Noise, rng: np.random.Generator) -> None:
        self._open(noise.astype(np.float64))

    def _normal(self, *shape: int) -> NDArray[np.float64]:
        return self._rng.standard_normal(shape)

    def _open(self, middle: NDArray[np.float64]) -> None:
        """Begins a strategy around a point (noise_dim,)."""
        options = {
            "popsize": self.population,
            "bounds": [-NOISE_BOUND, NOISE_BOUND],
            "CMA_diagonal": self.diagonal,
            # All its randomness through the generator handed down.
            "randn": self._normal,
            "seed": math.nan,
            "verbose": -9,
        }
        self._search = cma.CMAEvolutionStrategy(middle, self.step, options)
        self._destination = clip_noise(middle)
        self._breed()

    def _breed(self) -> None:
        self._asked: list[NDArray[np.float64]] = self._search.ask()
        self._media = [clip_noise(np.asarray(noise)) for noise in self._asked]
        # Sorted runs that are merged two by two; the one in progress is the first two.
        self._runs: list[list[int]] = [[index] for index in range(self.population)]
        self._merged: list[int] = []

    def _question(self) -> tuple[Noise, Noise]:
        one, other = self._runs[0][0], self._runs[1][0]
        return self._media[one], self._media[other]

    def _learn(self, answer: Answer) -> None:
        one, other, *rest = self._runs
        self._merged.append((other if answer.preference == Preference.SECOND else one).pop(0))
        if not one or not other:
            self._runs = [*rest, self._merged + one + other]
            self._merged = []
        if len(self._runs) == 1:
            self._rank(self._runs[0])

    def _rank(self, order: list[int]) -> None:
        places = np.empty(self.population)
        places[order] = np.arange(self.population)
        self._search.tell(self._asked, places.tolist())
        self._destination = clip_noise(np.asarray(self._search.result.xfavorite))
        self.rounds += 1
        self._breed()

    @property
    def destination(self) -> Noise:
        return self._destination
