"""Means and intervals against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import Estimate, estimate, interquartile_mean, mean, paired_difference, resampled


def test_means_by_hand() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 80.0]])
    assert mean(values) == 13.5
    # Of eight the lowest two, 1 and 2, and the highest two, 7 and 80, are left out.
    assert interquartile_mean(values) == (3 + 4 + 5 + 6) / 4
    # A quarter of six is one and a half: one is left out at each end.
    assert interquartile_mean(np.array([[9.0, 1.0, 2.0], [3.0, 4.0, 100.0]])) == (2 + 3 + 4 + 9) / 4
    np.testing.assert_array_equal(interquartile_mean(np.stack((values, values + 1))), [4.5, 5.5])


def test_seeds_are_drawn_within_the_drawn_targets() -> None:
    values = np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])
    drawn = resampled(values, 500, np.random.default_rng(0))
    assert drawn.shape == (500, 2, 3)
    targets = drawn // 10
    assert (targets == targets[:, :, :1]).all()
    assert set(drawn.ravel()) == {0, 1, 2, 10, 11, 12}
    # Two targets of two: both the same in half of all draws.
    assert (targets[:, 0, 0] == targets[:, 1, 0]).mean() == pytest.approx(0.5, abs=0.07)


def test_interval_of_targets_whose_seeds_agree() -> None:
    """Of targets 0 and 1 the mean of a replicate is 0, ½ or 1, with probability ¼, ½ and ¼."""
    values = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert estimate(values, np.random.default_rng(0)) == (0.5, 0.0, 1.0)
    assert estimate(values, np.random.default_rng(0), level=0.4) == (0.5, 0.5, 0.5)


def test_width_of_an_interval_is_that_of_the_two_levels_of_chance(rng: np.random.Generator) -> None:
    """Variance of the mean: that of the targets' means over their number, and of a seed over the number of seeds."""
    targets, seeds = 40, 5
    values = rng.normal(size=(targets, 1)) + rng.normal(size=(targets, seeds))
    within = values.var(axis=1).mean() / (targets * seeds)
    expected = 1.96 * np.sqrt(values.mean(axis=1).var() / targets + within)
    found = estimate(values, rng)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.05)
    assert found.value == values.mean()


def test_difference_is_paired() -> None:
    """Targets that differ a hundred times more than the strategies hide nothing."""
    baseline = np.array([[0.0, 1.0], [100.0, 103.0], [200.0, 205.0]])
    difference = paired_difference(baseline + 0.5, baseline, np.random.default_rng(0))
    assert difference == (0.5, 0.5, 0.5)
    assert difference.effect == "helps"
    assert paired_difference(baseline - 0.5, baseline, np.random.default_rng(0)).effect == "hurts"
    mixed = paired_difference(baseline + [[1.0], [-1.0], [0.0]], baseline, np.random.default_rng(0))
    assert mixed.value == 0
    assert mixed.effect == "no difference"
    assert Estimate(0.1, 0.0, 0.2).effect == "no difference"


def test_one_target_gives_no_interval() -> None:
    found = paired_difference(np.ones((1, 3)), np.zeros((1, 3)), np.random.default_rng(0))
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()
    assert found.effect == "one target only"


def test_the_same_stream_gives_the_same_interval(rng: np.random.Generator) -> None:
    values = rng.normal(size=(4, 3))
    once, again = (estimate(values, np.random.default_rng(7), interquartile_mean) for _ in range(2))
    assert once == again
    assert once.low < once.value < once.high


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), r"values of shape \(3,\), expected \(targets, seeds\)"),
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.array([[0.0, np.nan]]), "not finite"),
    ],
)
def test_other_values_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(values, np.random.default_rng(0))
    with pytest.raises(ValueError, match="values"):
        paired_difference(values, np.zeros((2, 2)), np.random.default_rng(0))


def test_other_searches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values \(2, 3\) and baseline \(3, 2\) are not of the same searches"):
        paired_difference(np.zeros((2, 3)), np.zeros((3, 2)), np.random.default_rng(0))
