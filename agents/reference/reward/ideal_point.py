"""A Bayesian ideal point among the principal components of the generator's own media."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.base import Noise
from agents.reference.memory import Dataset
from agents.reference.reward.base import RewardModel, bad_below
from agents.reference.reward.features import Described, PrincipalComponents
from agents.reference.reward.logistic import elliptical_slices, laplace, log_likelihood
from pbg_env import Generator

_MOST_SAMPLES_ASKED = 100
# Orders of magnitude of how decidedly the oracle chooses; the evidence picks among them.
_PRECISIONS = 4.0 ** np.arange(-2, 7)


class IdealPoint(RewardModel):
    """Reward −κ ‖f(G(z)) − θ‖², θ the ideal point among principal components f (Coombs 1950; Canal et al. 2019).

    The squared lengths make the logit κ (‖f₂ − θ‖² − ‖f₁ − θ‖²) linear in θ, so that the fit is a Bayesian logistic
    regression with the prior θ ~ N(0, variances of the prior media). κ maximises the evidence by Laplace's
    approximation; then samples of the posterior are drawn, whose mean is the ideal point. Where answers are exact they
    cut out a polytope, and its middle is a better guess than the mode, which lies on its edge. A tie counts half for
    each side.

    Args:
        components: principal components, at least 1.
        samples: of the posterior, drawn after each round, at least 2.
        both_bad: what such an answer means: "nothing", or that both are worse than the "incumbent" where it is
            followed.
    """

    def __init__(
        self, components: int = 64, samples: int = 400, both_bad: Literal["nothing", "incumbent"] = "nothing"
    ) -> None:
        if components < 1 or samples < 2:
            raise ValueError(f"components is {components} and samples {samples}, expected at least 1 and 2")
        if both_bad not in ("nothing", "incumbent"):
            raise ValueError(f"both_bad is {both_bad!r}, expected 'nothing' or 'incumbent'")
        self.components = components
        self.posterior_samples = samples
        self.both_bad = both_bad

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        self.device = generator.device
        features = PrincipalComponents.of(generator, self.components)
        self._described = Described(features, generator.device)
        self._variances = features.variances
        # Of squared lengths: a typical difference between two random media is one unit of logit at κ = 1.
        self._unit = 1.0 / self._variances.sum()
        self._rng = rng
        self._precision = float(_PRECISIONS[len(_PRECISIONS) // 2])
        self._mode = np.zeros_like(self._variances)
        prior = np.sqrt(self._variances) * rng.standard_normal((self.posterior_samples, len(self._variances)))
        self._set_posterior(prior, np.zeros_like(self._variances))

    def _set_posterior(self, particles: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
        self._particles = particles
        self._mean = torch.from_numpy(mean).to(self.device, torch.float32)

    def rate(self, noise: Tensor) -> Tensor:
        distance = (self._described.of_tensor(noise) - self._mean).square().sum(dim=1)
        return -self._precision * self._unit * distance

    @torch.no_grad()
    def samples(self, noise: Tensor) -> Tensor:
        particles = torch.from_numpy(self._particles[:: max(1, len(self._particles) // _MOST_SAMPLES_ASKED)])
        features = torch.from_numpy(self._described.of_array(noise.cpu().numpy()))
        # What all have in common, ‖θ‖², changes no comparison but would be all of the spread.
        scores = 2 * particles @ features.T - features.square().sum(dim=1)  # (samples, batch)
        return self._precision * self._unit * scores

    def fit(self, data: Dataset, incumbent: Noise | None) -> dict[str, float]:
        if self.both_bad == "incumbent":
            data = bad_below(data, incumbent)
        told = data.labels.sum(axis=1) > 0
        if not told.any():
            return {}
        first, second = (self._described.of_array(data.pairs[told, side]) for side in (0, 1))
        # The logit at κ = 1 is slopes · θ + offset.
        slopes = 2 * self._unit * (first - second)
        offsets = self._unit * ((second**2).sum(axis=1) - (first**2).sum(axis=1))
        weights = data.labels[told].astype(np.float64)
        best, mode = -math.inf, self._mode
        for precision in _PRECISIONS:
            # The mode of the precision before is a good place to begin.
            mode, evidence = laplace(precision * slopes, precision * offsets, weights, self._variances, mode)
            if evidence > best:
                best, self._precision, self._mode = evidence, float(precision), mode
        particles = elliptical_slices(
            self._precision * slopes,
            self._precision * offsets,
            weights,
            self._variances,
            self._mode,
            self.posterior_samples,
            self._rng,
        )
        self._set_posterior(particles, particles.mean(axis=0))
        logits = self._precision * (slopes @ self._mode + offsets)
        loss = -log_likelihood(logits, weights.sum(axis=1), weights[:, 1]) / len(logits)
        return {"preference_loss": loss, "precision": self._precision, "evidence": best / len(slopes)}
