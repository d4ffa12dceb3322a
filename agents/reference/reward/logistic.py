"""Bayesian logistic regression: its mode with the evidence, and samples of its posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEWTON_STEPS = 25
_BURN_IN = 200


def _log_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.logaddexp(0.0, -x)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(_log_sigmoid(x))


def log_likelihood(logits: NDArray[np.float64], total: NDArray[np.float64], against: NDArray[np.float64]) -> float:
    """Of answers with logits (pairs,), weights (pairs,), and what of these says no; log σ(−x) is log σ(x) − x."""
    return float(total @ _log_sigmoid(logits) - against @ logits)


def laplace(
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
        return log_likelihood(logits, total, against) - 0.5 * float((theta**2 / variances).sum())

    theta, total, against = start, weights.sum(axis=1), weights[:, 1]
    value = log_posterior(theta)
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


def elliptical_slices(
    slopes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    weights: NDArray[np.float64],
    variances: NDArray[np.float64],
    start: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Samples of the posterior that `laplace` approximates (Murray, Adams & MacKay 2010, fig. 2).

    Args:
        start: where the chain begins, (components,); the other shapes are as for `laplace`.
        count: how many samples, after a burn-in.

    Returns:
        (count, components).
    """

    theta, along = start, slopes @ start
    total, against = weights.sum(axis=1), np.ascontiguousarray(weights[:, 1])
    value = log_likelihood(along + offsets, total, against)
    if not np.isfinite(value):
        raise FloatingPointError("the answers have no finite likelihood where sampling begins")
    samples = np.empty((count, len(start)))
    others = np.sqrt(variances) * rng.standard_normal((_BURN_IN + count, len(start)))
    along_others = others @ slopes.T
    for index, other, along_other in zip(range(-_BURN_IN, count), others, along_others, strict=True):
        threshold = value + np.log(rng.random())
        angle = rng.uniform(0.0, 2 * np.pi)
        low, high = angle - 2 * np.pi, angle
        while True:
            # Along the ellipse the logits are mixtures of two known ones: no product with all slopes again.
            trial = np.cos(angle) * along + np.sin(angle) * along_other
            value = log_likelihood(trial + offsets, total, against)
            if value > threshold:
                break
            low, high = (angle, high) if angle < 0 else (low, angle)
            angle = rng.uniform(low, high)
        theta, along = np.cos(angle) * theta + np.sin(angle) * other, trial
        if index >= 0:
            samples[index] = theta
    return samples
