"""Expectation propagation for a normal prior and answers about linear forms (Minka 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

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
        slopes: of the forms that were told of, (answers, unknowns).
        sites: what it is made of, beside the prior.
        log_evidence: logarithm of the probability of all answers, by expectation propagation.
    """

    slopes: Array
    sites: Sites
    log_evidence: float

    def moments(self) -> tuple[Array, Array]:
        """Mean (unknowns,) and covariance (unknowns, unknowns)."""
        root = torch.linalg.cholesky(torch.from_numpy(_precision(self.slopes, self.sites)))
        covariance: Array = torch.cholesky_inverse(root).numpy()
        return covariance @ (self.slopes.T @ self.sites.shift), covariance


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
    forms, sites = _Forms(slopes), start
    marginals = forms.believed(sites)
    for step in range(steps):
        cavity_mean, cavity_variance = _cavity(marginals, sites)
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
        marginals = forms.believed(sites)
        if step and change < _ENOUGH:
            break
    return Belief(slopes, sites, _log_evidence(offsets, low, high, mistake, sites, marginals))


class _Marginals(NamedTuple):
    """A normal belief about forms: their means and variances, (answers,), and the logarithm of the determinant of the
    covariance of what is unknown."""

    mean: Array
    variance: Array
    log_determinant: float


class _Forms:
    """Linear forms of unknowns that are N(0, I) before any answer.

    What sites say of them is found among answers while these are fewer than the unknowns, and else among these: each
    costs the cube of its number.

    Args:
        slopes: (answers, unknowns).
    """

    def __init__(self, slopes: Array) -> None:
        self._slopes = slopes
        self._prior = slopes @ slopes.T if len(slopes) < slopes.shape[1] else None

    def believed(self, sites: Sites) -> _Marginals:
        if self._prior is None:
            root = _root(_precision(self._slopes, sites))
            seen = _solved(root, self._slopes.T)
            mean, variance = seen.T @ (seen @ sites.shift), (seen**2).sum(axis=0)
        else:
            # Rasmussen and Williams 2006, equations 3.67 and 3.68.
            weights = np.sqrt(sites.precision)
            root = _root(np.eye(len(weights)) + weights[:, None] * self._prior * weights)
            seen = _solved(root, weights[:, None] * self._prior)
            mean = self._prior @ sites.shift - seen.T @ (seen @ sites.shift)
            variance = np.diag(self._prior) - (seen**2).sum(axis=0)
        log_determinant = -2.0 * float(np.log(np.diag(root)).sum())
        return _Marginals(mean, np.maximum(variance, _SMALLEST), log_determinant)


def _precision(slopes: Array, sites: Sites) -> Array:
    """Of what is unknown, (unknowns, unknowns)."""
    precision: Array = np.eye(slopes.shape[1]) + (slopes * sites.precision[:, None]).T @ slopes
    return precision


def _root(matrix: Array) -> Array:
    """Lower triangular, root · rootᵀ = matrix."""
    found: Array = np.linalg.cholesky(matrix).astype(np.float64, copy=False)
    return found


def _solved(root: Array, right: Array) -> Array:
    """A triangular system, lower · x = right."""
    found: Array = torch.linalg.solve_triangular(
        torch.from_numpy(root), torch.from_numpy(np.ascontiguousarray(right)), upper=False
    ).numpy()
    return found


def _cavity(marginals: _Marginals, sites: Sites) -> tuple[Array, Array]:
    """Mean and variance of each form without its own site."""
    left = 1.0 / np.maximum(1.0 / marginals.variance - sites.precision, _SMALLEST)
    return left * (marginals.mean / marginals.variance - sites.shift), left


def _log_evidence(
    offsets: Array, low: Array, high: Array, mistake: float, sites: Sites, marginals: _Marginals
) -> float:
    """Minka's approximation (Rasmussen and Williams 2006, equation 3.65)."""
    cavity_mean, cavity_variance = _cavity(marginals, sites)
    found = moments(cavity_mean + offsets, cavity_variance, low, high, mistake)
    joined = cavity_mean / cavity_variance + sites.shift
    quadratic = cavity_mean**2 / cavity_variance - joined**2 / (1.0 / cavity_variance + sites.precision)
    return float(
        found.log_evidence.sum()
        + 0.5 * np.log1p(sites.precision * cavity_variance).sum()
        + 0.5 * quadratic.sum()
        + 0.5 * marginals.log_determinant
        + 0.5 * marginals.mean @ sites.shift
    )
