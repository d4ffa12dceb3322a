from __future__ import annotations

import numpy as np
import pytest

from agents.base import Noise
from agents.reference.champion import BestActionTracker, NoTracker
from agents.reference.pairing import Answered, GraphPairing
from pbg_env import Preference
from tests.agents.reference.conftest import SumReward, numbered

FIRST, SECOND, GOOD, BAD = Preference


def exact(first: float, second: float, bad: float) -> Preference:
    if max(first, second) < bad:
        return BAD
    return GOOD if first == second else FIRST if first > second else SECOND


class TestBestActionTracker:
    def test_who_lost_to_nothing_challenges_the_champion(self) -> None:
        tracker, actions = BestActionTracker(), numbered(6)
        # 0 beats 1, 2 ties with 3, 4 and 5 are both bad: 0, 2 and 3 lost to nothing.
        tracker.begin(actions, [Answered(0, 1, FIRST), Answered(3, 2, GOOD), Answered(4, 5, BAD)])
        np.testing.assert_array_equal(tracker.champion, actions[0])
        np.testing.assert_array_equal(tracker.next_challenger(), actions[2])
        tracker.decide(FIRST)
        np.testing.assert_array_equal(tracker.champion, actions[2])
        np.testing.assert_array_equal(tracker.next_challenger(), actions[3])
        tracker.decide(GOOD)
        np.testing.assert_array_equal(tracker.champion, actions[2])
        assert tracker.next_challenger() is None

    def test_what_follows_for_the_champion(self) -> None:
        tracker, actions = BestActionTracker(), numbered(7)
        # 1 beats 0, which beats 2 and 3; 4 ties with 1; 5 beats 6.
        answers = [(1, 0, FIRST), (2, 0, SECOND), (3, 0, SECOND), (1, 4, GOOD), (5, 6, FIRST)]
        tracker.begin(actions, [Answered(*answer) for answer in answers])
        concluded = [2, 3]
        for answer in (GOOD, SECOND):
            # 4 and then 5 challenge; who ties with the champion is not below it, who loses is so with all below.
            assert [float(c.second[0]) for c in tracker.conclusions(7)] == pytest.approx([x / 100 for x in concluded])
            tracker.decide(answer)
        concluded += [6]
        found = tracker.conclusions(7)
        assert tracker.next_challenger() is None
        assert [float(c.second[0]) for c in found] == pytest.approx([x / 100 for x in concluded])
        assert all(c.label == (1, 0) and c.round == 7 and c.first[0] == actions[1, 0] for c in found)

    @pytest.mark.parametrize("seed", range(40))
    def test_the_champion_is_never_worse_than_what_it_was_preferred_to(self, seed: int) -> None:
        """Who loses, loses to somebody better: under exact answers about every action, only the best lose to nothing.

        Utilities come in few levels, so that ties and both-bad answers are frequent.
        """
        rng = np.random.default_rng(seed)
        tracker, pairing, bad = BestActionTracker(), GraphPairing(12), 2.0
        best, known = -np.inf, 0
        for round in range(4):
            # The first value is the utility, the second tells actions apart.
            levels, numbers = rng.integers(0, 6, size=8), round * 8 + np.arange(8)
            actions: Noise = np.stack((levels, numbers), axis=1).astype(np.float32)
            answered: list[Answered] = []
            while (pair := pairing.next_pair(actions, answered, SumReward(), rng)) is not None:
                answered.append(Answered(*pair, exact(actions[pair[0], 0], actions[pair[1], 0], bad)))
            assert {index for first, second, _ in answered for index in (first, second)} == set(range(8))
            tracker.begin(actions, answered)
            while (challenger := tracker.next_challenger()) is not None:
                assert tracker.champion is not None
                tracker.decide(exact(challenger[0], tracker.champion[0], bad))
            best = max(best, actions[:, 0].max())
            conclusions = tracker.conclusions(round)
            assert all(c.first[0] >= c.second[0] for c in conclusions)
            if best >= bad:
                assert tracker.champion is not None
                assert tracker.champion[0] == best
                known += len(conclusions)

    def test_no_champion_where_all_are_bad(self) -> None:
        tracker = BestActionTracker()
        tracker.begin(numbered(2), [Answered(0, 1, BAD)])
        assert tracker.champion is None
        assert tracker.next_challenger() is None
        assert tracker.conclusions(0) == []

    def test_clearing_forgets_the_champion(self) -> None:
        tracker = BestActionTracker()
        tracker.begin(numbered(2), [Answered(0, 1, FIRST)])
        assert tracker.champion is not None
        tracker.clear()
        assert tracker.champion is None


def test_without_a_tracker_nobody_challenges() -> None:
    tracker = NoTracker()
    tracker.begin(numbered(2), [Answered(0, 1, FIRST)])
    assert tracker.champion is None
    assert tracker.next_challenger() is None
    assert tracker.conclusions(0) == []
    with pytest.raises(RuntimeError, match="no challenger was named"):
        tracker.decide(FIRST)
