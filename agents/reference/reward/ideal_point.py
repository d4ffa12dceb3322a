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
            media = torch.cat([generator.generate(part).flatten(1).double() for part in noise.split(_BATCH)])
        self._generator = generator
        self.mean = media.mean(dim=0)
        centred = media - self.mean
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        values, vectors = values.flip(0)[:components], vectors.flip(1)[:, :components]
        self.directions = ((vectors / values.sqrt()).T @ centred).float()  # (components, values)
        self.mean = self.mean.float()
        # In units of the mean squared error over a medium's values, which do not depend on its size.
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
        media = self._generator.generate(noise).flatten(1)
        return (media - self.mean) @ self.directions.T * self.scale


class IdealPoint(RewardModel):
    """Reward −‖f(G(z)) − θ‖², θ the ideal point among principal components f (Coombs 1950; Canal et al. 2019).

    The squared lengths make the logit κ (‖f₂ − θ‖² − ‖f₁ − θ‖²) linear in θ, so that the fit is a Bayesian logistic
    regression: prior θ ~ N(0, variances of the prior media), posterior by Laplace's approximation, κ by the evidence.
    A tie counts half for each side; both-bad says nothing about the order and is passed over.

    Args:
        components: principal components, at least 1.
    """

    def __init__(self, components: int = 64) -> None:
        if components < 1:
            raise ValueError(f"components is {components}, expected at least 1")
        self.components = components

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        self.device = generator.device
        self._features = PrincipalComponents.of(generator, self.components)
        self._variances = self._features.variances
        # Of squared lengths: a typical difference between two random media is one unit of logit at κ = 1.
        self._unit = 1.0 / self._variances.sum()
        self._known: dict[bytes, NDArray[np.float64]] = {}
        self._precision = float(_PRECISIONS[len(_PRECISIONS) // 2])
        self._set_posterior(np.zeros_like(self._variances), np.diag(self._variances))

    def _set_posterior(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> None:
        self._mean, self._covariance = mean, covariance
        self._mean_tensor = torch.from_numpy(mean).to(self.device, torch.float32)

    def rate(self, noise: Tensor) -> Tensor:
        distance = (self._features.of_noise(noise) - self._mean_tensor).square().sum(dim=1)
        return -self._precision * self._unit * distance

    def fit(self, data: Dataset) -> dict[str, float]:
        told = data.labels.sum(axis=1) > 0
        if not told.any():
            return {}
        slopes, offsets = self._logits(self._describe(data.pairs[told, 0]), self._describe(data.pairs[told, 1]))
        weights = data.labels[told].astype(np.float64)
        best = -math.inf
        start = self._mean
        for precision in _PRECISIONS:
            mean, covariance, evidence = _laplace(
                precision * slopes, precision * offsets, weights, self._variances, start
            )
            if evidence > best:
                best, self._precision = evidence, float(precision)
                self._set_posterior(mean, covariance)
        logits = self._precision * (slopes @ self._mean + offsets)
        loss = -(weights[:, 0] * _log_sigmoid(logits) + weights[:, 1] * _log_sigmoid(-logits)).mean()
        return {"preference_loss": float(loss), "precision": self._precision, "evidence": best / len(slopes)}

    def information(self, noise: Tensor, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """BALD under the posterior by its closed approximation (Houlsby et al. 2011, eq. 3), as the base describes."""
        features = self._describe(noise.cpu().numpy())
        slopes, offsets = self._logits(features[first], features[second])
        mean = self._precision * (slopes @ self._mean + offsets)
        variance = self._precision**2 * np.einsum("nk,kl,nl->n", slopes, self._covariance, slopes)
        # From logistic to probit, whose entropies have closed forms.
        mean, variance = mean * math.sqrt(math.pi / 8), variance * math.pi / 8
        entropy = _entropy(mean / np.sqrt(1 + variance) * math.sqrt(8 / math.pi))
        c = math.pi * math.log(2) / 2
        expected = np.sqrt(c / (variance + c)) * np.exp(-(mean**2) / (2 * (variance + c)))
        return entropy - expected

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


def _entropy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a yes with these logits, in bits."""
    return -(_sigmoid(logits) * _log_sigmoid(logits) + _sigmoid(-logits) * _log_sigmoid(-logits)) / math.log(2)


def _laplace(
    slopes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    weights: NDArray[np.float64],
    variances: NDArray[np.float64],
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Mode, covariance and log evidence of a logistic regression with a Gaussian prior (Bishop 2006, section 4.5).

    Args:
        slopes: (pairs, components).
        offsets: (pairs,).
        weights: (pairs, 2), of "yes" and "no".
        variances: of the prior, (components,).
        start: where Newton's method begins, (components,).
    """

    def log_posterior(theta: NDArray[np.float64]) -> float:
        logits = slopes @ theta + offsets
        likelihood = (weights[:, 0] * _log_sigmoid(logits) + weights[:, 1] * _log_sigmoid(-logits)).sum()
        return float(likelihood - 0.5 * (theta**2 / variances).sum())

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
    return theta, np.asarray(np.linalg.inv(hessian), dtype=np.float64), value - 0.5 * float(log_determinant)
