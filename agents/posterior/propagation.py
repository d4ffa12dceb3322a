"""Expectation propagation for a normal prior and answers about linear forms (Minka 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.posterior.ordinal import Array, moments

_DAMPING = 0.7
_ENOUGH = 1e-2
_SMALLEST = 1e-10
_MOST_PRECISE = 1e8


@dataclass(frozen=True)
class Sites:
    """What each answer says of its linear form, as an unnormalised normal density.

    Attributes:
        precision: (answers,), at least 0.
        shift: precision times mean, (answers,).
    """

    precision: Array
    shift: Array

    @staticmethod
    def none(count: int) -> Sites:
        return Sites(np.zeros(count), np.zeros(count))

    def resized(self, count: int) -> Sites:
        """With nothing said by the answers that are new."""
        missing = np.zeros(count - len(self.precision))
        return Sites(np.r_[self.precision, missing], np.r_[self.shift, missing])


@dataclass(frozen=True)
class Belief:
    """A normal belief about what is unknown.

    Attributes:
        mean: (unknowns,).
        covariance: (unknowns, unknowns).
        sites: what it is made of, beside the prior.
        log_evidence: logarithm of the probability of all answers, by expectation propagation.
    """

    mean: Array
    covariance: Array
    sites: Sites
    log_evidence: float


def believe(slopes: Array, offsets: Array, low: Array, high: Array, mistake: float, start: Sites, steps: int) -> Belief:
    """The posterior of unknowns u ~ N(0, I) whose forms slopes · u + offsets, with unit noise, lay between bounds.

    All sites are updated at once, damped; that costs a few matrix products a step, and begun where the last answer
    left them a few steps are enough.

    Args:
        slopes: (answers, unknowns).
        offsets: (answers,).
        low: (answers,), −∞ where there is no bound.
        high: (answers,), +∞ where there is no bound.
        mistake: share of answers that name the other one.
        start: sites to begin with.
        steps: at most.
    """
    sites = start
    mean, covariance = _posterior(slopes, sites)
    for step in range(steps):
        cavity_mean, cavity_variance = _cavity(slopes, sites, mean, covariance)
        found = moments(cavity_mean + offsets, cavity_variance, low, high, mistake)
        # A mistake can make an answer say that the belief is wider than it is; such a site says nothing.
        bend = np.maximum(-found.curvature, 0.0)
        spread = np.maximum(1.0 - bend * cavity_variance, _SMALLEST)
        precision = np.minimum(bend / spread, _MOST_PRECISE)
        shift = np.where(bend > 0.0, (found.slope + cavity_mean * bend) / spread, 0.0)
        change = np.abs(precision - sites.precision).max(initial=0.0) / (sites.precision.max(initial=0.0) + _SMALLEST)
        sites = Sites(
            (1 - _DAMPING) * sites.precision + _DAMPING * precision, (1 - _DAMPING) * sites.shift + _DAMPING * shift
        )
        mean, covariance = _posterior(slopes, sites)
        if step and change < _ENOUGH:
            break
    return Belief(mean, covariance, sites, _log_evidence(slopes, offsets, low, high, mistake, sites, mean, covariance))


def _posterior(slopes: Array, sites: Sites) -> tuple[Array, Array]:
    precision = np.eye(slopes.shape[1]) + (slopes * sites.precision[:, None]).T @ slopes
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2
    return covariance @ (slopes.T @ sites.shift), covariance


def _cavity(slopes: Array, sites: Sites, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Mean and variance of each form without its own site."""
    variance = np.maximum(((slopes @ covariance) * slopes).sum(axis=1), _SMALLEST)
    left = 1.0 / np.maximum(1.0 / variance - sites.precision, _SMALLEST)
    return left * (slopes @ mean / variance - sites.shift), left


def _log_evidence(
    slopes: Array,
    offsets: Array,
    low: Array,
    high: Array,
    mistake: float,
    sites: Sites,
    mean: Array,
    covariance: Array,
) -> float:
    """Minka's approximation (Rasmussen and Williams 2006, equation 3.65)."""
    cavity_mean, cavity_variance = _cavity(slopes, sites, mean, covariance)
    found = moments(cavity_mean + offsets, cavity_variance, low, high, mistake)
    _, log_determinant = np.linalg.slogdet(covariance)
    joined = cavity_mean / cavity_variance + sites.shift
    quadratic = cavity_mean**2 / cavity_variance - joined**2 / (1.0 / cavity_variance + sites.precision)
    return float(
        found.log_evidence.sum()
        + 0.5 * np.log1p(sites.precision * cavity_variance).sum()
        + 0.5 * quadratic.sum()
        + 0.5 * log_determinant
        + 0.5 * mean @ (slopes.T @ sites.shift)
    )
