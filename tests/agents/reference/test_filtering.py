from __future__ import annotations

import re

import jsonargparse
import numpy as np
import pytest

from agents.reference.filtering import (
    Chain,
    Filter,
    HighestReward,
    KeepAll,
    LowestReward,
    MostDiverse,
    MostUncertain,
    RandomChoice,
    Selection,
)
from tests.agents.reference.conftest import DoubtfulReward, SumReward, numbered

SELECTIONS = [HighestReward, LowestReward, RandomChoice, MostUncertain, MostDiverse]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(
    ("limit", "count", "kept"),
    [(3, 10, 3), (10, 10, 10), (30, 10, 10), (0.5, 10, 5), (0.26, 10, 3), (0.01, 10, 2), (0.99, 2, 2)],
)
def test_limits_are_counts_or_shares(
    selection: type[Selection], limit: int | float, count: int, kept: int, rng: np.random.Generator
) -> None:
    actions = rng.standard_normal((count, 3)).astype(np.float32)
    result = selection(limit).keep(actions, DoubtfulReward(), rng)
    assert result.shape == (kept, 3)
    assert result.dtype == np.float32
    rows = {tuple(action) for action in result}
    assert len(rows) == kept, "an action was kept twice"
    assert rows <= {tuple(action) for action in actions}


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("limit", [1, 0, -3, 0.0, 1.0, 2.5, 10.0, float("nan"), True])
def test_bad_limits(selection: type[Selection], limit: int | float) -> None:
    expected = re.escape(f"limit is {limit}, expected a whole number of at least 2")
    with pytest.raises(ValueError, match=expected):
        selection(limit)


def test_the_highest_rated_are_kept_best_first(rng: np.random.Generator) -> None:
    kept = HighestReward(3).keep(numbered(10)[[4, 9, 1, 7]], SumReward(), rng)
    np.testing.assert_array_equal(kept, numbered(10)[[9, 7, 4]])


def test_the_lowest_rated_are_kept_worst_first(rng: np.random.Generator) -> None:
    kept = LowestReward(3).keep(numbered(10)[[4, 9, 1, 7]], SumReward(), rng)
    np.testing.assert_array_equal(kept, numbered(10)[[1, 4, 7]])


def test_random_choice_keeps_all_alike_in_their_order() -> None:
    chosen = np.zeros(6)
    for seed in range(300):
        kept = RandomChoice(2).keep(numbered(6), SumReward(), np.random.default_rng(seed))
        index = np.rint(kept[:, 0] * 100).astype(int)
        assert index[0] < index[1]
        chosen[index] += 1
    # Each is kept with probability ⅓: 100 ± 5 standard deviations.
    np.testing.assert_allclose(chosen, 100, atol=5 * np.sqrt(300 * 2 / 9))


def test_the_most_uncertain_are_those_on_which_samples_differ(rng: np.random.Generator) -> None:
    """Rated by slopes about 0, the standard deviation of a reward is the action's length, whatever its rating."""
    actions = np.diag([0.5, -3, 1, -2, 0.1]).astype(np.float32)
    kept = MostUncertain(3).keep(actions, DoubtfulReward(), rng)
    np.testing.assert_array_equal(kept, actions[[1, 3, 2]])


def test_models_without_uncertainty_say_so(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="SumReward knows no uncertainty"):
        MostUncertain(2).keep(numbered(5), SumReward(), rng)


class TestMostDiverse:
    def test_begins_with_the_highest_rated_and_goes_on_with_the_farthest(self, rng: np.random.Generator) -> None:
        actions = np.array([[0, 0], [1, 0], [10, 0], [9, 0], [4, 0], [10, 1]], np.float32)
        kept = MostDiverse(4).keep(actions, SumReward(), rng)
        # (10, 1) is rated highest; (0, 0) is farthest from it; (4, 0) is 4 from both; then (9, 0) is √2 away.
        np.testing.assert_array_equal(kept, actions[[5, 0, 4, 3]])

    def test_equal_actions_are_kept_last_and_never_twice(self, rng: np.random.Generator) -> None:
        actions = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], np.float32)
        kept = MostDiverse(4).keep(actions, SumReward(), rng)
        np.testing.assert_array_equal(kept, actions[[0, 2, 1, 3]])


def test_all_are_kept_in_order(rng: np.random.Generator) -> None:
    np.testing.assert_array_equal(KeepAll().keep(numbered(7)[::-1], SumReward(), rng), numbered(7)[::-1])


class TestChain:
    def test_filters_apply_in_their_order(self, rng: np.random.Generator) -> None:
        best_half_then_worst = Chain([HighestReward(0.5), LowestReward(2)]).keep(numbered(10), SumReward(), rng)
        np.testing.assert_array_equal(best_half_then_worst, numbered(10)[[5, 6]])
        worst_then_best_half = Chain([LowestReward(2), HighestReward(0.5)]).keep(numbered(10), SumReward(), rng)
        np.testing.assert_array_equal(worst_then_best_half, numbered(10)[[1, 0]])

    def test_an_empty_chain_is_refused(self) -> None:
        with pytest.raises(ValueError, match="filters is empty, expected at least one"):
            Chain([])

    def test_is_chosen_in_configuration(self, rng: np.random.Generator) -> None:
        line = jsonargparse.ArgumentParser(exit_on_error=False)
        line.add_argument("--filter", type=Filter)
        module = "agents.reference.filtering"
        filters = [
            {"class_path": f"{module}.HighestReward", "init_args": {"limit": 0.5}},
            {"class_path": f"{module}.LowestReward", "init_args": {"limit": 3}},
        ]
        chosen = line.parse_object({"filter": {"class_path": f"{module}.Chain", "init_args": {"filters": filters}}})
        kept = line.instantiate(chosen).filter.keep(numbered(10), SumReward(), rng)
        np.testing.assert_array_equal(kept, numbered(10)[[5, 6, 7]])
