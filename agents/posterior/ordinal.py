"""How answers come from what somebody feels: the likelihood of first, second, both good and both bad."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Manner(NamedTuple):
    """How somebody answers, in units of what is compared.

    The difference of two utilities is felt with normal noise; within ± `tie` it is a tie, and now and then first and
    second are exchanged (the ordered probit of McKelvey and Zavoina 1975, with the mistakes of Lee et al. 2021).

    Attributes:
        noise: standard deviation of what is felt, above 0.
        tie: half the width of what counts as equal, at least 0.
        mistake: share of answers that name the other one than is meant, in [0, ½).
        mismatch: standard deviation of what is felt beside what a view tells, as a share of the distance from what is
            wanted, at least 0.
        power: of that distance, by which the utility falls; above 0. Root mean squares go by the distance itself,
            cosines by its square.
    """

    noise: float
    tie: float
    mistake: float
    mismatch: float
    power: float


class Moments(NamedTuple):
    """Of the probability of an answer under a normal belief, each (answers,).

    Attributes:
        log_evidence: its logarithm.
        slope: derivative of the logarithm by the belief's mean.
        curvature: second derivative, below 0 without mistakes.
    """

    log_evidence: Array
    slope: Array
    curvature: Array


def moments(mean: Array, variance: Array, low: Array, high: Array, mistake: float) -> Moments:
    """The probability of answers about a normal belief, felt with unit noise.

    Args:
        mean: of the belief, (answers,).
        variance: of the belief, (answers,), at least 0.
        low: bounds (answers,) between which what is felt lies, −∞ where there is none.
        high: as `low`, +∞ where there is none.
        mistake: share of answers that name the other one: what is felt lies then between the mirrored bounds.
    """
    meant = _between(mean, variance, low, high)
    if mistake == 0.0:
        return meant
    other = _between(mean, variance, -high, -low)
    parts = np.log1p(-mistake) + meant.log_evidence, np.log(mistake) + other.log_evidence
    log_evidence = np.logaddexp(*parts)
    shares = [np.exp(part - log_evidence) for part in parts]
    slope = shares[0] * meant.slope + shares[1] * other.slope
    curved = [share * (one.curvature + one.slope**2) for share, one in zip(shares, (meant, other), strict=True)]
    return Moments(log_evidence, slope, curved[0] + curved[1] - slope**2)


def _between(mean: Array, variance: Array, low: Array, high: Array) -> Moments:
    """The probability that a normal belief, felt with unit noise, lies between two bounds."""
    scale = np.sqrt(variance + 1.0)
    below, above = (low - mean) / scale, (high - mean) / scale
    # Where both lie in the upper tail their mirror images lose no digits.
    mirrored = below > 0
    left, right = np.where(mirrored, -above, below), np.where(mirrored, -below, above)
    log_right = _log_ndtr(right)
    log_inside = log_right + np.log1p(-np.exp(np.minimum(_log_ndtr(left) - log_right, -1e-15)))
    at_low, at_high = (_density(bound, log_inside) for bound in (below, above))
    slope = (at_low - at_high) / scale
    curvature = (_times(below, at_low) - _times(above, at_high)) / scale**2 - slope**2
    return Moments(log_inside, slope, curvature)


def _log_ndtr(bound: Array) -> Array:
    """Logarithm of the normal distribution function."""
    found: Array = torch.special.log_ndtr(torch.from_numpy(bound)).numpy()
    return found


def _density(bound: Array, log_inside: Array) -> Array:
    """The normal density at a bound, in proportion to what lies inside; 0 at infinity."""
    return np.exp(-0.5 * bound**2 - 0.5 * np.log(2 * np.pi) - log_inside)


def _times(bound: Array, density: Array) -> Array:
    return np.where(np.isfinite(bound), bound, 0.0) * density
