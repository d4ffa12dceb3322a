"""Scores of many searches in few numbers, with intervals that say what other targets and seeds would give.

Every array of values is (targets, seeds).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPLICATES = 10_000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A statistic with its interval, whose bounds are NaN where a single target gives none."""

    value: float
    low: float
    high: float

    @property
    def effect(self) -> str:
        """Of a difference: "helps", "hurts", or "no difference" where the interval holds 0."""
        if np.isnan(self.low):
            return "one target only"
        return "helps" if self.low > 0 else "hurts" if self.high < 0 else "no difference"


def mean(values: Values) -> Values:
    """(…, targets, seeds) → (…)."""
    return values.mean(axis=(-2, -1))


def interquartile_mean(values: Values) -> Values:
    """The mean without the lowest and the highest quarter, each rounded down (Agarwal et al. 2021);
    (…, targets, seeds) → (…)."""
    flat = np.sort(values.reshape(*values.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    middle: Values = flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)
    return middle


def resampled(values: Values, replicates: int, rng: np.random.Generator) -> Values:
    """Draws targets, then seeds within each drawn target, with replacement: (targets, seeds) →
    (replicates, targets, seeds)."""
    targets, seeds = values.shape
    of_target = rng.integers(targets, size=(replicates, targets, 1))
    of_seed = rng.integers(seeds, size=(replicates, targets, seeds))
    return values[of_target, of_seed]


def estimate(
    values: Values,
    rng: np.random.Generator,
    statistic: Callable[[Values], Values] = mean,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of values (targets, seeds) with its bootstrap interval.

    Args:
        values: (targets, seeds), finite.
        rng: what is resampled by.
        statistic: (…, targets, seeds) → (…).
        replicates: how often is resampled.
        level: the share of replicates within the interval.

    Raises:
        ValueError: another shape, no values, or some that are not finite.
    """
    _check(values, "values")
    value = float(statistic(values))
    if len(values) < 2:
        return Estimate(value, np.nan, np.nan)
    replicated = statistic(resampled(values, replicates, rng))
    low, high = np.quantile(replicated, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def paired_difference(
    values: Values,
    baseline: Values,
    rng: np.random.Generator,
    statistic: Callable[[Values], Values] = mean,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of the differences to a baseline that met the same targets and seeds, as `estimate`.

    Raises:
        ValueError: the two differ in shape, or as `estimate`.
    """
    _check(baseline, "baseline")
    if np.shape(values) != baseline.shape:
        raise ValueError(f"values {np.shape(values)} and baseline {baseline.shape} are not of the same searches")
    return estimate(values - baseline, rng, statistic, replicates, level)


def _check(values: Values, name: str) -> None:
    if np.ndim(values) != 2 or not np.size(values):
        raise ValueError(f"{name} of shape {np.shape(values)}, expected (targets, seeds)")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} hold numbers that are not finite")
