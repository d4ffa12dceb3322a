"""Statistics against numbers worked out by hand, and against those of the published code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.statistics import (
    Estimate,
    answers_to,
    area_under_curve,
    drawn,
    estimate,
    interquartile_mean,
    mean,
    median,
    median_answers,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    resampled,
)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_means_by_hand() -> None:
    values = np.array([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 80.0]]])
    assert mean(values) == 13.5
    assert median(values) == 4.5
    # Of eight the lowest two, 1 and 2, and the highest two, 7 and 80, are left out.
    assert interquartile_mean(values) == (3 + 4 + 5 + 6) / 4
    # A quarter of six is one and a half: one is left out at each end.
    assert interquartile_mean(np.array([[[9.0, 1.0, 2.0], [3.0, 4.0, 100.0]]])) == (2 + 3 + 4 + 9) / 4
    np.testing.assert_array_equal(interquartile_mean(np.stack((values, values + 1))), [4.5, 5.5])


def published() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What rliable 1.2.0 (numpy 2.4.6, scipy 1.17.1, arch 7.2.0) was given, as `values.reshape(tasks, -1).T`."""
    rng = chance(2021)
    first = rng.normal(0.55, 0.2, (3, 4, 5)).round(2)
    second = rng.normal(0.45, 0.2, (3, 4, 5)).round(2)
    return first, second, rng.normal(0.5, 0.2, (1, 40, 1))


def test_statistics_are_those_of_the_published_code() -> None:
    first, second, _ = published()
    assert interquartile_mean(first) == pytest.approx(0.52, abs=1e-12)
    assert interquartile_mean(second) == pytest.approx(0.4723333333333334, abs=1e-12)
    assert probability_of_improvement(first, second, chance()).value == pytest.approx(0.5829166666666666, abs=1e-12)
    assert probability_of_improvement(second, first, chance()).value == pytest.approx(0.4170833333333333, abs=1e-12)
    # No score equals a threshold, so that "above" there and "at least" here are the same.
    profile = performance_profile(first, np.array([0.205, 0.405, 0.605, 0.805]), chance())
    np.testing.assert_allclose(profile.share, [29 / 30, 0.7833333333333333, 0.31666666666666665, 0.05], atol=1e-12)


def test_intervals_are_those_of_the_published_code() -> None:
    """Of one task with one seed a target, where both draw searches alike; theirs of 50,000 replicates."""
    values = published()[2]
    found = estimate(values, chance())
    assert found == pytest.approx((0.48704572, 0.42346276, 0.54843453), abs=0.004)
    profile = performance_profile(values, np.array([0.3, 0.5, 0.7]), chance())
    np.testing.assert_allclose(profile.share, [0.825, 0.5, 0.15], atol=1e-12)
    np.testing.assert_allclose(profile.low, [0.7, 0.35, 0.05], atol=1e-12)
    np.testing.assert_allclose(profile.high, [0.925, 0.65, 0.275], atol=1e-12)


def test_seeds_are_drawn_within_the_drawn_targets() -> None:
    values = np.array([[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]])
    found = resampled(values, 500, chance())[:, 0]
    assert found.shape == (500, 2, 3)
    targets = found // 10
    assert (targets == targets[:, :, :1]).all()
    assert set(found.ravel()) == {0, 1, 2, 10, 11, 12}
    # Two targets of two: both the same in half of all draws.
    assert (targets[:, 0, 0] == targets[:, 1, 0]).mean() == pytest.approx(0.5, abs=0.07)


def test_every_task_is_in_every_replicate_with_the_same_targets_and_seeds() -> None:
    values = np.arange(6.0).reshape(1, 2, 3) + np.array([0.0, 100.0, 200.0]).reshape(3, 1, 1)
    found = resampled(values, 50, chance())
    assert found.shape == (50, 3, 2, 3)
    np.testing.assert_array_equal(found[:, 1], found[:, 0] + 100)
    np.testing.assert_array_equal(found[:, 2], found[:, 0] + 200)
    np.testing.assert_array_equal(found[:, 0].reshape(50, 6), drawn(2, 3, 50, chance()))


def test_interval_of_targets_whose_seeds_agree() -> None:
    """Of targets 0 and 1 the mean of a replicate is 0, ½ or 1, with probability ¼, ½ and ¼."""
    values = np.array([[[0.0, 0.0], [1.0, 1.0]]])
    assert estimate(values, chance(), mean) == (0.5, 0.0, 1.0)
    assert estimate(values, chance(), mean, level=0.4) == (0.5, 0.5, 0.5)


def test_width_of_an_interval_is_that_of_the_two_levels_of_chance(rng: np.random.Generator) -> None:
    """Variance of the mean: that of the targets' means over their number, and of a seed over the number of seeds."""
    targets, seeds = 40, 5
    values = rng.normal(size=(1, targets, 1)) + rng.normal(size=(1, targets, seeds))
    within = values.var(axis=2).mean() / (targets * seeds)
    expected = 1.96 * np.sqrt(values.mean(axis=2).var() / targets + within)
    found = estimate(values, rng, mean)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.05)
    assert found.value == pytest.approx(values.mean())


def test_targets_that_are_easy_in_all_tasks_narrow_no_interval(rng: np.random.Generator) -> None:
    values = rng.normal(size=(1, 10, 2))
    once = estimate(values, chance(), mean)
    assert estimate(np.repeat(values, 4, axis=0), chance(), mean) == pytest.approx(once)


@pytest.mark.parametrize("statistic", [mean, interquartile_mean])
def test_difference_is_paired(statistic: Callable[[np.ndarray], np.ndarray]) -> None:
    """Targets that differ a hundred times more than the strategies hide nothing."""
    baseline = np.array([[[0.0, 1.0], [100.0, 103.0], [200.0, 205.0]]])
    difference = paired_difference(baseline + 0.5, baseline, chance(), statistic)
    assert difference == (0.5, 0.5, 0.5)
    assert difference.effect == "helps"
    assert paired_difference(baseline - 0.5, baseline, chance(), statistic).effect == "hurts"
    mixed = paired_difference(baseline + [[1.0], [-1.0], [0.0]], baseline, chance(), statistic)
    assert mixed.value == statistic(baseline + [[1.0], [-1.0], [0.0]]) - statistic(baseline)
    assert mixed.low < 0 < mixed.high
    assert mixed.effect == "no difference"
    assert Estimate(0.1, 0.0, 0.2).effect == "no difference"


def test_probability_of_improvement_by_hand() -> None:
    """In the first task 1 beats none of (2, 3) and 3 one and a half, in the second each beats all."""
    values, baseline = np.array([[[1.0], [3.0]], [[8.0], [9.0]]]), np.array([[[2.0], [3.0]], [[0.0], [1.0]]])
    found = probability_of_improvement(values, baseline, chance())
    assert found.value == (1.5 / 4 + 1) / 2
    # Drawn are both targets or one of them twice: (0 + 1) / 2 at the least, (½ + 1) / 2 at the most.
    assert (found.low, found.high) == (0.5, 0.75)
    assert probability_of_improvement(values, values, chance()).value == 0.5


def test_replicates_of_the_probability_are_those_of_its_definition(rng: np.random.Generator) -> None:
    values, baseline = rng.normal(0.2, 1, (2, 3, 2)).round(1), rng.normal(0, 1, (2, 3, 2)).round(1)
    found = probability_of_improvement(values, baseline, chance(5), replicates=200)
    pairs = zip(resampled(values, 200, chance(5)), resampled(baseline, 200, chance(5)), strict=True)
    replicated = [probability_of_improvement(x, y, chance(), replicates=1).value for x, y in pairs]
    expected = np.quantile(replicated, [0.025, 0.975], method="inverted_cdf")
    np.testing.assert_allclose((found.low, found.high), expected)


def test_profile_by_hand() -> None:
    values = np.array([[[0.1, 0.3], [0.5, 0.7]], [[0.3, 0.3], [0.3, 0.9]]])
    profile = performance_profile(values, np.array([0.0, 0.3, 0.6, 1.0]), chance())
    np.testing.assert_allclose(profile.share, [1, 7 / 8, 2 / 8, 0])
    assert profile.low[0] == profile.high[0] == 1
    # In 1.6 % of the replicates the search below 0.3 is all of the first task, in 7.8 % three quarters or more.
    np.testing.assert_allclose((profile.low[1], profile.high[1]), ((4 + 1) / 8, 1.0))


def test_one_target_gives_no_interval() -> None:
    ones, zeros = np.ones((1, 1, 3)), np.zeros((1, 1, 3))
    found = paired_difference(ones, zeros, chance())
    assert found.value == 1
    assert found.effect == "one target only"
    bounds = [found[1:], probability_of_improvement(ones, zeros, chance())[1:], median_answers(ones, chance())[1:]]
    assert np.isnan(bounds).all()
    profile = performance_profile(ones, np.array([0.5]), chance())
    assert profile.share == 1
    assert np.isnan(profile[1:]).all()


def test_the_same_stream_gives_the_same_interval(rng: np.random.Generator) -> None:
    values = rng.normal(size=(2, 4, 3))
    once, again = (estimate(values, chance(7)) for _ in range(2))
    assert once == again
    assert once.low < once.value < once.high


def test_area_by_hand() -> None:
    """From 0 to 10 answers the mean is 0.2, from 10 to 40 it is 0.5."""
    scores = np.array([[0.0, 0.4, 0.6], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(area_under_curve(scores, np.array([0, 10, 40])), [(0.2 * 10 + 0.5 * 30) / 40, 1.0])
    assert area_under_curve(np.array([0.3]), np.array([30])) == 0.3


def test_crossings_by_hand() -> None:
    answers = np.array([0, 10, 40])
    scores = np.array([[0.0, 0.4, 0.7], [0.6, 0.9, 0.1], [0.0, 0.8, 0.0], [0.1, 0.2, 0.59], [0.5, 0.5, 0.6]])
    # On the way from 0.4 at 10 to 0.7 at 40; at once; on the way up to a peak; never; at a checkpoint.
    np.testing.assert_allclose(answers_to(0.6, scores, answers), [30, 0, 7.5, np.inf, 40])
    np.testing.assert_allclose(answers_to(0.5, scores[-1:], answers), [0])
    assert answers_to(0.6, np.zeros((2, 3, 4, 1)), np.array([30])).shape == (2, 3, 4)


def test_median_of_searches_that_never_got_there() -> None:
    answers = np.array([[[10.0, 10.0], [20.0, 20.0], [np.inf, np.inf]]])
    found = median_answers(answers, chance())
    assert found == (20.0, 10.0, np.inf)
    never = median_answers(np.full((1, 2, 2), np.inf), chance())
    assert never == (np.inf, np.inf, np.inf)
    half = median_answers(np.array([[[10.0, 10.0], [np.inf, np.inf]]]), chance())
    assert half.value == np.inf


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), r"of shape \(3,\), expected \(tasks, targets, seeds\)"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (np.zeros((1, 0, 3)), r"shape \(1, 0, 3\)"),
        (np.array([[[0.0, np.nan]]]), "not finite"),
    ],
)
def test_other_values_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"values.*{message}"):
        estimate(values, chance())
    with pytest.raises(ValueError, match=f"values.*{message}"):
        performance_profile(values, np.array([0.5]), chance())
    with pytest.raises(ValueError, match=f"answers.*{message}"):
        median_answers(values, chance())
    for compare in (paired_difference, probability_of_improvement):
        with pytest.raises(ValueError, match=f"values.*{message}"):
            compare(values, np.zeros((1, 2, 2)), chance())
        with pytest.raises(ValueError, match=f"baseline.*{message}"):
            compare(np.zeros((1, 2, 2)), values, chance())


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        estimate(np.full((1, 2, 2), np.inf), chance())
    with pytest.raises(ValueError, match="answers hold numbers that are not finite"):
        median_answers(np.full((1, 2, 2), -np.inf), chance())


@pytest.mark.parametrize("compare", [paired_difference, probability_of_improvement])
def test_other_searches_are_refused(compare: object) -> None:
    assert callable(compare)
    with pytest.raises(ValueError, match=r"values \(1, 2, 3\) and baseline \(1, 3, 2\) are not of the same searches"):
        compare(np.zeros((1, 2, 3)), np.zeros((1, 3, 2)), chance())


@pytest.mark.parametrize(
    ("scores", "answers", "message"),
    [
        (np.zeros((2, 3)), np.arange(2), r"scores \(2, 3\) and answers \(2,\), expected \(…, n\) and \(n,\)"),
        (np.zeros((2, 0)), np.arange(0), r"scores \(2, 0\)"),
        (np.array(0.0), np.array(0), r"scores \(\)"),
        (np.array([0.0, np.nan]), np.arange(2), "not finite"),
        (np.zeros(3), np.array([0, 2, 2]), r"answers are \[0, 2, 2\], expected ascending"),
    ],
)
def test_other_curves_are_refused(scores: np.ndarray, answers: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        area_under_curve(scores, answers)
    with pytest.raises(ValueError, match=message):
        answers_to(0.5, scores, answers)
