"""Scores of many searches in few numbers, with intervals that say what other targets and seeds would give.

The statistics are those of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
section 4, the drawing of targets and seeds apart.
Every array of values is (tasks, targets, seeds), one number for each search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPLICATES = 5_000
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


class Profile(NamedTuple):
    """Shares of searches, each (thresholds,), with the bounds of the interval at each threshold."""

    share: Values
    low: Values
    high: Values


def mean(values: Values) -> Values:
    """(…, tasks, targets, seeds) → (…)."""
    return values.mean(axis=(-3, -2, -1))


def interquartile_mean(values: Values) -> Values:
    """The mean without the lowest and the highest quarter, each rounded down;
    (…, tasks, targets, seeds) → (…)."""
    flat = np.sort(values.reshape(*values.shape[:-3], -1), axis=-1)
    cut = flat.shape[-1] // 4
    middle: Values = flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)
    return middle


def median(values: Values) -> Values:
    """(…, tasks, targets, seeds) → (…)."""
    middle: Values = np.median(values, axis=(-3, -2, -1))
    return middle


def drawn(targets: int, seeds: int, replicates: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws targets, then seeds within each drawn target, with replacement.

    Returns:
        (replicates, targets × seeds), numbers of searches, target × seeds + seed.
    """
    of_target = rng.integers(targets, size=(replicates, targets, 1))
    of_seed = rng.integers(seeds, size=(replicates, targets, seeds))
    return (of_target * seeds + of_seed).reshape(replicates, -1)


def resampled(values: Values, replicates: int, rng: np.random.Generator) -> Values:
    """The stratified bootstrap: (tasks, targets, seeds) → (replicates, tasks, targets, seeds).

    Tasks are strata, none of which is drawn. All have the same draws, for a target is the same noise in each of them:
    to draw anew for each task would take a target that is easy in all of them for many independent ones.
    """
    tasks, targets, seeds = values.shape
    found = values.reshape(tasks, -1)[:, drawn(targets, seeds, replicates, rng)]
    return np.moveaxis(found, 1, 0).reshape(replicates, tasks, targets, seeds)


def estimate(
    values: Values,
    rng: np.random.Generator,
    statistic: Callable[[Values], Values] = interquartile_mean,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """A statistic of values with its bootstrap interval.

    Args:
        values: (tasks, targets, seeds), finite.
        rng: what is resampled by.
        statistic: (…, tasks, targets, seeds) → (…).
        replicates: how often is resampled.
        level: the share of replicates within the interval.

    Raises:
        ValueError: another shape, no values, or some that are not finite.
    """
    return _estimated(_checked(values, "values"), rng, statistic, replicates, level)


def paired_difference(
    values: Values,
    baseline: Values,
    rng: np.random.Generator,
    statistic: Callable[[Values], Values] = interquartile_mean,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """How much higher a statistic is than a baseline's that met the same tasks, targets and seeds, as `estimate`.

    Replicates draw the same targets and seeds for both, so that what is hard for both does not blur the difference.

    Raises:
        ValueError: the two differ in shape, or as `estimate`.
    """
    _check_pair(values, baseline)
    tasks = len(values)
    both = np.concatenate((values, baseline))
    return _estimated(
        both,
        rng,
        lambda found: statistic(found[..., :tasks, :, :]) - statistic(found[..., tasks:, :, :]),
        replicates,
        level,
    )


def probability_of_improvement(
    values: Values, baseline: Values, rng: np.random.Generator, replicates: int = REPLICATES, level: float = LEVEL
) -> Estimate:
    """How probable it is that a search does better than one of the baseline's on the same task, ties counting half.

    It is the Mann–Whitney statistic over the number of pairs, averaged over tasks.
    Replicates draw the same targets and seeds for both.

    Raises:
        ValueError: the two differ in shape, or as `estimate`.
    """
    _check_pair(values, baseline)
    tasks, targets, seeds = values.shape
    ours, theirs = values.reshape(tasks, -1, 1), baseline.reshape(tasks, 1, -1)
    better = ((ours > theirs) + 0.5 * (ours == theirs)).mean(axis=0)  # (searches, searches)
    if targets < 2:
        return Estimate(float(better.mean()), np.nan, np.nan)
    weights = _weights(targets, seeds, replicates, rng)
    low, high = _bounds(((weights @ better) * weights).sum(axis=1), level)
    return Estimate(float(better.mean()), float(low), float(high))


def performance_profile(
    values: Values, thresholds: Values, rng: np.random.Generator, replicates: int = REPLICATES, level: float = LEVEL
) -> Profile:
    """The share of searches with at least each score, all tasks pooled.

    Args:
        values: (tasks, targets, seeds), finite.
        thresholds: (thresholds,), scores.
        rng: what is resampled by.
        replicates: how often is resampled.
        level: the share of replicates within the band at each threshold by itself.

    Raises:
        ValueError: as `estimate`.
    """
    _, targets, seeds = _checked(values, "values").shape
    reached = (values.reshape(len(values), -1, 1) >= thresholds).mean(axis=0)  # (searches, thresholds)
    share = reached.mean(axis=0)
    if targets < 2:
        return Profile(share, np.full_like(share, np.nan), np.full_like(share, np.nan))
    low, high = _bounds(_weights(targets, seeds, replicates, rng) @ reached, level)
    return Profile(share, low, high)


def area_under_curve(scores: Values, answers: Values) -> Values:
    """The mean score between the first checkpoint and the last, by the trapezoidal rule on a linear axis.

    Args:
        scores: (…, checkpoints), finite.
        answers: (checkpoints,), ascending numbers of answers.

    Returns:
        (…).

    Raises:
        ValueError: scores that are not finite, or checkpoints that are not theirs or not ascending.
    """
    _check_curves(scores, answers)
    if len(answers) == 1:
        return scores[..., 0]
    area: Values = np.trapezoid(scores, answers) / (answers[-1] - answers[0])
    return area


def answers_to(threshold: float, scores: Values, answers: Values) -> Values:
    """After how many answers a search first has a score: where the line through its checkpoints first gets there.

    Args:
        threshold: the score.
        scores: (…, checkpoints), finite.
        answers: (checkpoints,), ascending numbers of answers.

    Returns:
        (…), at least the first checkpoint, infinite where the score stays below.

    Raises:
        ValueError: as `area_under_curve`.
    """
    _check_curves(scores, answers)
    reached = scores >= threshold
    first = reached.argmax(axis=-1)
    before = np.maximum(first - 1, 0)
    low, high = (np.take_along_axis(scores, at[..., None], axis=-1)[..., 0] for at in (before, first))
    share = np.divide(threshold - low, high - low, out=np.zeros_like(low), where=high > low)
    crossing = answers[before] + share * (answers[first] - answers[before])
    return np.where(reached.any(axis=-1), crossing, np.inf)


def median_answers(
    answers: Values, rng: np.random.Generator, replicates: int = REPLICATES, level: float = LEVEL
) -> Estimate:
    """The median of what `answers_to` found, infinite where half of the searches or more never got there.

    Args:
        answers: (tasks, targets, seeds), finite or +∞.
        rng: what is resampled by.
        replicates: how often is resampled.
        level: the share of replicates within the interval.

    Raises:
        ValueError: as `estimate`, but +∞ is welcome.
    """
    _checked(np.where(np.isposinf(answers), 0.0, answers), "answers")
    return _estimated(answers, rng, median, replicates, level)


def _estimated(
    values: Values,
    rng: np.random.Generator,
    statistic: Callable[[Values], Values],
    replicates: int,
    level: float,
) -> Estimate:
    value = float(statistic(values))
    if values.shape[1] < 2:
        return Estimate(value, np.nan, np.nan)
    low, high = _bounds(statistic(resampled(values, replicates, rng)), level)
    return Estimate(value, float(low), float(high))


def _bounds(replicated: Values, level: float) -> Values:
    """(replicates, …) → (2, …)."""
    # A quantile that is one of the replicates: between a finite number and an infinite one there is none.
    bounds: Values = np.quantile(replicated, [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf")
    return bounds


def _weights(targets: int, seeds: int, replicates: int, rng: np.random.Generator) -> Values:
    """The share each search has in each replicate, (replicates, searches): means of replicates are products with it."""
    searches = targets * seeds
    numbered = drawn(targets, seeds, replicates, rng) + searches * np.arange(replicates)[:, None]
    counts = np.bincount(numbered.ravel(), minlength=replicates * searches)
    return counts.reshape(replicates, searches) / searches


def _checked(values: Values, name: str) -> Values:
    if np.ndim(values) != 3 or not np.size(values):
        raise ValueError(f"{name} of shape {np.shape(values)}, expected (tasks, targets, seeds)")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} hold numbers that are not finite")
    return values


def _check_pair(values: Values, baseline: Values) -> None:
    _checked(values, "values")
    _checked(baseline, "baseline")
    if np.shape(values) != np.shape(baseline):
        raise ValueError(f"values {np.shape(values)} and baseline {np.shape(baseline)} are not of the same searches")


def _check_curves(scores: Values, answers: Values) -> None:
    if np.ndim(scores) < 1 or np.shape(answers) != np.shape(scores)[-1:] or not np.size(answers):
        raise ValueError(f"scores {np.shape(scores)} and answers {np.shape(answers)}, expected (…, n) and (n,)")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold numbers that are not finite")
    if not (np.diff(answers) > 0).all():
        raise ValueError(f"answers are {np.asarray(answers).tolist()}, expected ascending numbers")
