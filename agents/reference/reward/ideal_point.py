"""A Bayesian ideal point among the principal components of the generator's own pictures."""

from __future__ import annotations

import math
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.reference.memory import Dataset
from agents.reference.reward.base import RewardModel
from pbg_env import Generator

_PICTURES = 1024
_BATCH = 64
_NEWTON_STEPS = 25
_BURN_IN = 200
_BALD_SAMPLES = 100
# Orders of magnitude of how decidedly the oracle chooses; the evidence picks among them.
_PRECISIONS = 4.0 ** np.arange(-2, 7)


class PrincipalComponents:
    """Projects media onto the leading directions of a generator's prior media, each scaled as in the media.

    Args:
        generator: whose media they are.
        components: how many directions.
    """

    _of: ClassVar[WeakKeyDictionary[Generator, dict[int, PrincipalComponents]]] = WeakKeyDictionary()

    def __init__(self, generator: Generator, components: int) -> None:
        # The same pictures for every search: what describes the generator does not depend on a search's seed.
        noise = generator.sample_noise(_PICTURES, np.random.default_rng(_PICTURES))
        with torch.no_grad():
            media = torch.cat(
                [generator.media.features(generator.generate(part)).double() for part in noise.split(_BATCH)]
            )
        self._generator = generator
        self.mean = media.mean(dim=0)
        centred = media - self.mean
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        values, vectors = values.flip(0)[:components], vectors.flip(1)[:, :components]
        self.directions = ((vectors / values.sqrt()).T @ centred).float()  # (components, values)
        self.mean = self.mean.float()
        # In units of the mean squared error over a medium's features, which do not depend on its size.
        self.scale = media.shape[1] ** -0.5
        self.variances = (values / _PICTURES * self.scale**2).cpu().numpy()  # (components,)

    @classmethod
    def of(cls, generator: Generator, components: int) -> PrincipalComponents:
        """Those of a generator, computed once per process."""
        known = cls._of.setdefault(generator, {})
        if components not in known:
            known[components] = cls(generator, components)
        return known[components]

    def of_noise(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → components of its media (batch, components), differentiable."""
        return (
            (self._generator.media.features(self._generator.generate(noise)) - self.mean)
            @ self.directions.T
            * self.scale
        )


class IdealPoint(RewardModel):
    """Reward −‖f(G(z)) − θ‖², θ the ideal point among principal components f (Coombs 1950; Canal et al. 2019).

    The squared lengths make the logit κ (‖f₂ − θ‖² − ‖f₁ − θ‖²) linear in θ, so that the fit is a Bayesian logistic
    regression with the prior θ ~ N(0, variances of the prior media). κ maximises the evidence by Laplace's
    approximation; then samples of the posterior are drawn, whose mean is the ideal point. Where answers are exact they
    cut out a polytope, and its middle is a better guess than the mode, which lies on its edge. A tie counts half for
    each side; both-bad says nothing about the order and is passed over.

    Args:
        components: principal components, at least 1.
        samples: of the posterior, drawn after each round, at least 2.
    """

    def __init__(self, components: int = 64, samples: int = 400) -> None:
        if components < 1 or samples < 2:
            raise ValueError(f"components is {components} and samples {samples}, expected at least 1 and 2")
        self.components = components
        self.samples = samples

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        self.device = generator.device
        self._features = PrincipalComponents.of(generator, self.components)
        self._variances = self._features.variances
        # Of squared lengths: a typical difference between two random media is one unit of logit at κ = 1.
        self._unit = 1.0 / self._variances.sum()
        self._known: dict[bytes, NDArray[np.float64]] = {}
        self._rng = rng
        self._precision = float(_PRECISIONS[len(_PRECISIONS) // 2])
        self._mode = np.zeros_like(self._variances)
        prior = np.sqrt(self._variances) * rng.standard_normal((self.samples, len(self._variances)))
        self._set_posterior(prior, np.zeros_like(self._variances))

    def _set_posterior(self, particles: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
        self._particles, self._mean = particles, mean
        self._mean_tensor = torch.from_numpy(mean).to(self.device, torch.float32)

    def rate(self, noise: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            features = self._features.of_noise(noise)
        else:
            # What was described for a question is not generated again for its rating.
            features = torch.from_numpy(self._describe(noise.cpu().numpy())).to(self._mean_tensor)
        distance = (features - self._mean_tensor).square().sum(dim=1)
        return -self._precision * self._unit * distance

    def fit(self, data: Dataset) -> dict[str, float]:
        told = data.labels.sum(axis=1) > 0
        if not told.any():
            return {}
        slopes, offsets = self._logits(self._describe(data.pairs[told, 0]), self._describe(data.pairs[told, 1]))
        weights = data.labels[told].astype(np.float64)
        best, start = -math.inf, self._mode
        for precision in _PRECISIONS:
            mode, evidence = _laplace(precision * slopes, precision * offsets, weights, self._variances, start)
            if evidence > best:
                best, self._precision, self._mode = evidence, float(precision), mode
        particles = _elliptical_slices(
            self._precision * slopes,
            self._precision * offsets,
            weights,
            self._variances,
            self._mode,
            self.samples,
            self._rng,
        )
        self._set_posterior(particles, particles.mean(axis=0))
        logits = self._precision * (slopes @ self._mean + offsets)
        loss = -_log_likelihood(logits, weights) / len(logits)
        return {"preference_loss": loss, "precision": self._precision, "evidence": best / len(slopes)}

    def information(self, noise: Tensor, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """BALD (Houlsby et al. 2011, eq. 1) over the samples of the posterior, in bits; as the base describes."""
        features = self._describe(noise.cpu().numpy())
        slopes, offsets = self._logits(features[first], features[second])
        particles = self._particles[:: max(1, len(self._particles) // _BALD_SAMPLES)]
        logits = self._precision * (slopes @ particles.T + offsets[:, None])  # (pairs, particles)
        probability = _sigmoid(logits).mean(axis=1)
        total = np.log(np.clip(probability, 1e-12, 1 - 1e-12)) - np.log1p(-np.clip(probability, 1e-12, 1 - 1e-12))
        return _entropy(total) - _entropy(logits).mean(axis=1)

    def _logits(
        self, first: NDArray[np.float64], second: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Slopes (pairs, components) and offsets (pairs,): the logit at κ = 1 is slopes · θ + offset."""
        slopes = 2 * self._unit * (first - second)
        offsets = self._unit * ((second**2).sum(axis=1) - (first**2).sum(axis=1))
        return slopes, offsets

    def _describe(self, noise: NDArray[np.float32]) -> NDArray[np.float64]:
        """Components of noise (count, noise_dim), generated once for each noise of a search."""
        names = [vector.tobytes() for vector in noise]
        fresh = {name: vector for name, vector in zip(names, noise, strict=True) if name not in self._known}
        if fresh:
            batch = torch.from_numpy(np.stack(list(fresh.values()))).to(self.device)
            with torch.no_grad():
                parts = [self._features.of_noise(part).double().cpu().numpy() for part in batch.split(_BATCH)]
            self._known.update(zip(fresh, np.concatenate(parts), strict=True))
        return np.stack([self._known[name] for name in names])


def _log_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.logaddexp(0.0, -x)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(_log_sigmoid(x))


def _log_likelihood(logits: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Of answers with logits (pairs,) and weights of yes and no (pairs, 2); log σ(−x) is log σ(x) − x."""
    return float((weights.sum(axis=1) * _log_sigmoid(logits) - weights[:, 1] * logits).sum())


def _entropy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a yes with these logits, in bits."""
    return -(_sigmoid(logits) * _log_sigmoid(logits) + _sigmoid(-logits) * _log_sigmoid(-logits)) / math.log(2)


def _laplace(
    slopes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    weights: NDArray[np.float64],
    variances: NDArray[np.float64],
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Mode and log evidence of a logistic regression with a Gaussian prior (Bishop 2006, section 4.5).

    Args:
        slopes: (pairs, components).
        offsets: (pairs,).
        weights: (pairs, 2), of "yes" and "no".
        variances: of the prior, (components,).
        start: where Newton's method begins, (components,).
    """

    def log_posterior(theta: NDArray[np.float64]) -> float:
        logits = slopes @ theta + offsets
        return _log_likelihood(logits, weights) - 0.5 * float((theta**2 / variances).sum())

    theta = start
    value = log_posterior(theta)
    total = weights.sum(axis=1)
    hessian = np.diag(1.0 / variances)
    for _ in range(_NEWTON_STEPS):
        probability = _sigmoid(slopes @ theta + offsets)
        gradient = slopes.T @ (weights[:, 0] - total * probability) - theta / variances
        hessian = (slopes.T * (total * probability * (1 - probability))) @ slopes + np.diag(1.0 / variances)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (trial := log_posterior(theta + size * step)) < value and size > 1e-6:
            size /= 2
        theta, gain, value = theta + size * step, trial - value, max(trial, value)
        if gain < 1e-9 * (1 + abs(value)):
            break
    _, log_determinant = np.linalg.slogdet(hessian * variances[:, None])
    return theta, value - 0.5 * float(log_determinant)


def _elliptical_slices(
    slopes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    weights: NDArray[np.float64],
    variances: NDArray[np.float64],
    start: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Samples of the posterior that `_laplace` approximates (Murray, Adams & MacKay 2010, fig. 2).

    Args:
        start: where the chain begins, (components,); the other shapes are as for `_laplace`.
        count: how many samples, after a burn-in.

    Returns:
        (count, components).
    """

    theta, along = start, slopes @ start
    value = _log_likelihood(along + offsets, weights)
    samples = np.empty((count, len(start)))
    for index in range(-_BURN_IN, count):
        other = np.sqrt(variances) * rng.standard_normal(len(start))
        along_other = slopes @ other
        threshold = value + np.log(rng.random())
        angle = rng.uniform(0.0, 2 * np.pi)
        low, high = angle - 2 * np.pi, angle
        while True:
            # Along the ellipse the logits are mixtures of two known ones: no product with all slopes again.
            trial = np.cos(angle) * along + np.sin(angle) * along_other
            value = _log_likelihood(trial + offsets, weights)
            if value > threshold:
                break
            low, high = (angle, high) if angle < 0 else (low, angle)
            angle = rng.uniform(low, high)
        theta, along = np.cos(angle) * theta + np.sin(angle) * other, trial
        if index >= 0:
            samples[index] = theta
    return samples
