"""Optuna's preferential optimisation as an agent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from agents.base import Agent, Noise
from agents.bayesian import NUMERICAL_ERRORS, Comparisons
from agents.subspace import Coordinates, Space, check_space
from pbg_env import Answer, Discriminator, Generator, Preference, noise_to_unit, unit_to_noise

with warnings.catch_warnings():
    # They use torch.jit.script, which PyTorch wants to part with.
    warnings.simplefilter("ignore", FutureWarning)
    from gpytorch.constraints import GreaterThan
    from gpytorch.kernels import MaternKernel
    from gpytorch.priors import GammaPrior
    from optuna_dashboard.preferential import PreferentialStudy, create_study
    from optuna_dashboard.preferential.samplers.gp import PreferentialGPSampler

# Of the gamma prior over lengthscales, as Optuna has it.
_CONCENTRATION = 5.0


class PreferentialSampler(Agent):
    """Asks trials of optuna-dashboard's `PreferentialGPSampler` against the best so far (Takeno et al. 2023).

    Each question comes from a study in memory that holds the answers, with a sampler of its own seed: the preferred
    option of an answer was better, the other worse. Ties and both-bad answers are not reported, and keep the best. A
    study's parameters are coordinates of noise mapped to [-1, 1] by the prior's distribution function, so that trials
    the sampler draws at random are draws from the prior.

    A question takes about a second on one thread, and more with the answers that are remembered. Where the
    sampler's numbers fail, a draw from the prior is asked.

    Args:
        space: what is searched: the "noise", or its directions that change media most, the "principal" ones.
        dimensions: how many of those, at least 1; all where noise has fewer.
        remembered: the latest answers with a preference that a study is given, at least 1, or null for all.
        lengthscale: the mode of its gamma prior, in distances between prior samples, above 0; or null for Optuna's own,
            0.4 along each parameter whatever their number, with which little is learned in many dimensions.
    """

    def __init__(
        self,
        space: Space = "principal",
        dimensions: int = 12,
        remembered: int | None = 20,
        lengthscale: float | None = 1.4,
    ) -> None:
        super().__init__()
        check_space(space, dimensions)
        if lengthscale is not None and lengthscale <= 0:
            raise ValueError(f"lengthscale is {lengthscale}, expected above 0, or null for Optuna's own")
        if remembered is not None and remembered < 1:
            raise ValueError(f"remembered is {remembered}, expected at least 1, or null for all answers")
        self.space: Space = space
        self.dimensions = dimensions
        self.remembered = remembered
        self.lengthscale = lengthscale

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._coordinates = Coordinates.of(generator, self.space, self.dimensions)
        self._parameters: dict[str, BaseDistribution] = {
            f"{number:03}": FloatDistribution(-1.0, 1.0) for number in range(len(self._coordinates.shares))
        }
        self._best = self._coordinates.to_noise(self._coordinates.sample(1, rng))[0]
        self._seed = int(rng.integers(2**63))
        self._told: list[Answer] = []
        self._candidate: Noise | None = None

    def _learn(self, answer: Answer) -> None:
        self._candidate = None
        self.rounds += 1
        if answer.preference in (Preference.FIRST, Preference.SECOND):
            self._told.append(answer)
            self._best = answer.first if answer.preference == Preference.FIRST else answer.second

    def _question(self) -> tuple[Noise, Noise]:
        if self._candidate is None:
            self._candidate = self._fresh()
        return self._candidate, self._best

    def _fresh(self) -> Noise:
        """What the sampler tries after the answers told, or a draw from the prior: at first, and where numbers fail."""
        seeds = np.random.SeedSequence((self._seed, self.rounds))
        coordinates = self._coordinates.sample(1, np.random.default_rng(seeds))[0]
        if self._told:
            with suppress(*NUMERICAL_ERRORS), _silent():
                trial = self._study(int(seeds.generate_state(1)[0])).ask(self._parameters)
                coordinates = unit_to_noise(np.array([trial.params[name] for name in self._parameters]))
        return self._coordinates.to_noise(coordinates)

    def _unit(self, noise: Noise) -> NDArray[np.float32]:
        """Noise (count, noise_dim) → parameters (count, dimensions), in [-1, 1]."""
        return noise_to_unit(self._coordinates.of_noise(noise))

    def _study(self, seed: int) -> PreferentialStudy:
        study = create_study(n_generate=2, sampler=PreferentialGPSampler(kernel=self._kernel(), seed=seed))
        told = self._told if self.remembered is None else self._told[-self.remembered :]
        comparisons = Comparisons.of(told, self._coordinates)
        for point in self._unit(comparisons.noise).tolist():
            values = dict(zip(self._parameters, point, strict=True))
            study.add_trial(create_trial(params=values, distributions=self._parameters, value=0.0))
        trials = study.get_trials(deepcopy=False)
        for better, worse in comparisons.won.tolist():
            study.report_preference(trials[better], trials[worse])
        return study

    def _kernel(self) -> MaternKernel | None:
        if self.lengthscale is None:
            return None
        # Among uniform draws from a unit cube, as the sampler sees them, each dimension adds 1/6 to squared distance.
        mode = self.lengthscale * math.sqrt(len(self._parameters) / 6)
        return MaternKernel(
            nu=1.5,
            ard_num_dims=len(self._parameters),
            lengthscale_prior=GammaPrior(_CONCENTRATION, (_CONCENTRATION - 1) / mode),
            # Logarithms, as Optuna has it.
            lengthscale_constraint=GreaterThan(0.0, transform=torch.exp, inv_transform=torch.log, initial_value=mode),
        )

    @property
    def destination(self) -> Noise:
        return self._best


@contextmanager
def _silent() -> Iterator[None]:
    """Without Optuna's log, where each study made would be told of."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
