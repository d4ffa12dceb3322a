from __future__ import annotations

import numpy as np
import pytest

from agents.reference.memory import Balanced, Comparison, Everything, Memory, RecentRounds
from pbg_env import Preference

FIRST, SECOND, GOOD, BAD = Preference
MEMORIES = [RecentRounds(rounds=10, discount=0.5), Everything(), Balanced(), Balanced(rounds=3)]


def comparisons(*answers: Preference) -> list[Comparison]:
    """One for each answer, in rounds 0, 1, …"""
    return [
        Comparison(np.full(2, round, np.float32), np.full(2, -round, np.float32), answer.label, round)
        for round, answer in enumerate(answers)
    ]


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: type(memory).__name__)
class TestEveryMemory:
    def test_weighting_never_changes_what_was_stored(self, memory: Memory) -> None:
        """Discounts compounded in place would let an answer fade with how often it was looked at."""
        stored = comparisons(*Preference)
        memory.clear()
        memory.add(stored)
        once = memory.dataset(4)
        for again, before in zip(memory.dataset(4), once, strict=True):
            np.testing.assert_array_equal(again, before)
        for item, untouched in zip(stored, comparisons(*Preference), strict=True):
            np.testing.assert_array_equal(item.first, untouched.first)
            np.testing.assert_array_equal(item.second, untouched.second)
            assert item[2:] == untouched[2:]

    def test_both_bad_has_a_zero_label_and_its_weight_apart(self, memory: Memory) -> None:
        """A both-bad answer prefers neither, at any weight; what it weighs is for models that use such answers."""
        memory.clear()
        memory.add(comparisons(BAD, FIRST, BAD, GOOD, SECOND))
        weights = memory.weights(comparisons(BAD, FIRST, BAD, GOOD, SECOND), 4)
        kept = weights > 0
        data = memory.dataset(4)
        np.testing.assert_allclose(data.bad, (weights * [1, 0, 1, 0, 0])[kept])
        np.testing.assert_allclose(data.labels.sum(axis=1), (weights * [0, 1, 0, 1, 1])[kept])
        assert (data.bad > 0).any()
        np.testing.assert_array_equal(data.labels[data.bad > 0], 0)

    def test_pairs_stay_with_their_labels(self, memory: Memory) -> None:
        memory.clear()
        memory.add(comparisons(SECOND, FIRST, FIRST, SECOND, FIRST))
        data = memory.dataset(4)
        round = data.pairs[:, 0, 0].astype(int)
        np.testing.assert_array_equal(data.pairs[:, 1, 0], -round)
        np.testing.assert_array_equal(data.labels.argmax(axis=1), np.array([1, 0, 0, 1, 0])[round])

    def test_nothing_is_remembered_at_first_and_after_clearing(self, memory: Memory) -> None:
        memory.clear()
        assert [len(part) for part in memory.dataset(0)] == [0, 0, 0]
        memory.add(comparisons(*Preference))
        assert len(memory.dataset(3).pairs) > 0
        memory.clear()
        assert [len(part) for part in memory.dataset(3)] == [0, 0, 0]


class TestRecentRounds:
    def test_older_rounds_weigh_less_and_the_oldest_are_forgotten(self) -> None:
        memory = RecentRounds(rounds=3, discount=0.5)
        memory.add(comparisons(*Preference))
        data = memory.dataset(3)
        np.testing.assert_allclose(data.labels, [[0, 0.25], [0.25, 0.25], [0, 0]])
        np.testing.assert_allclose(data.bad, [0, 0, 1])
        np.testing.assert_allclose(memory.dataset(5).bad, [0.25])
        assert len(memory.dataset(6).pairs) == 0


def test_everything_is_kept_at_full_weight() -> None:
    memory = Everything()
    memory.add(comparisons(*Preference))
    data = memory.dataset(99)
    np.testing.assert_allclose(data.labels, [answer.label for answer in Preference])
    np.testing.assert_allclose(data.bad, [0, 0, 0, 1])


class TestBalanced:
    def test_every_kind_of_answer_weighs_the_same_in_all(self) -> None:
        answers = [FIRST] * 6 + [SECOND] * 2 + [GOOD] + [BAD] * 3
        weights = Balanced().weights(comparisons(*answers), 11)
        assert weights.sum() == pytest.approx(12)
        for kind in Preference:
            assert weights[[answer == kind for answer in answers]].sum() == pytest.approx(3)
        np.testing.assert_allclose(weights[:6], 0.5)

    def test_kinds_that_do_not_occur_take_no_share(self) -> None:
        np.testing.assert_allclose(Balanced().weights(comparisons(FIRST, FIRST, FIRST, BAD), 3), [2 / 3] * 3 + [2])

    def test_only_what_is_remembered_is_balanced(self) -> None:
        weights = Balanced(rounds=3).weights(comparisons(SECOND, FIRST, FIRST, FIRST, GOOD), 4)
        np.testing.assert_allclose(weights, [0, 0, 0.75, 0.75, 1.5])


@pytest.mark.parametrize(
    ("memory", "arguments", "message"),
    [
        (RecentRounds, {"rounds": 0}, "rounds is 0, expected at least 1"),
        (RecentRounds, {"discount": 0.0}, "discount is 0.0, expected above 0 and at most 1"),
        (RecentRounds, {"discount": 1.01}, "discount is 1.01, expected above 0 and at most 1"),
        (Balanced, {"rounds": 0}, "rounds is 0, expected at least 1"),
    ],
)
def test_bad_arguments(memory: type[Memory], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        memory(**arguments)
