from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents.reference.pairing import (
    AllPairs,
    Answered,
    GraphPairing,
    KingOfTheHill,
    MostInformative,
    Pairing,
    RandomPairs,
)
from pbg_env import Preference
from tests.agents.reference.conftest import DoubtfulReward, SumReward, numbered

FIRST, SECOND, GOOD, BAD = Preference
PAIRINGS = [RandomPairs, AllPairs, GraphPairing, KingOfTheHill, MostInformative]
ON_RANDOM_SIDES = [RandomPairs, AllPairs, GraphPairing, KingOfTheHill]


def by_index(first: int, second: int) -> Preference:
    return FIRST if first > second else SECOND


def play(
    pairing: Pairing, count: int, answer: Callable[[int, int], Preference] = by_index, seed: int = 0
) -> list[Answered]:
    """A round of `count` actions to its end."""
    rng = np.random.default_rng(seed)
    answered: list[Answered] = []
    while (pair := pairing.next_pair(numbered(count), answered, DoubtfulReward(), rng)) is not None:
        answered.append(Answered(*pair, answer(*pair)))
    return answered


def met(answered: list[Answered]) -> list[frozenset[int]]:
    return [frozenset((first, second)) for first, second, _ in answered]


@pytest.mark.parametrize("pairing", PAIRINGS)
class TestEveryPairing:
    def test_the_limit_is_kept_and_no_pair_is_asked_twice(self, pairing: type[Pairing]) -> None:
        asked = met(play(pairing(limit=3), 8))
        assert len(asked) == len(set(asked)) == 3
        assert all(len(pair) == 2 and max(pair) < 8 for pair in asked)

    def test_what_is_asked_depends_on_the_arguments_alone(self, pairing: type[Pairing]) -> None:
        """Answers are taken back by starting over: what one round was asked must leave no trace."""
        used, answered = pairing(limit=9), [Answered(5, 2, GOOD), Answered(1, 3, BAD)]
        before = used.next_pair(numbered(8), answered, DoubtfulReward(), np.random.default_rng(7))
        play(used, 6)
        after = used.next_pair(numbered(8), answered, DoubtfulReward(), np.random.default_rng(7))
        assert before is not None
        assert after == before
        assert answered == [Answered(5, 2, GOOD), Answered(1, 3, BAD)]

    def test_concludes_nothing_unless_told(self, pairing: type[Pairing]) -> None:
        assert pairing().conclusions([Answered(0, 1, FIRST), Answered(1, 2, FIRST)]) == []

    def test_a_limit_below_1_is_refused(self, pairing: type[Pairing]) -> None:
        with pytest.raises(ValueError, match="limit is 0, expected at least 1 question a round"):
            pairing(limit=0)


@pytest.mark.parametrize("pairing", ON_RANDOM_SIDES)
def test_sides_carry_no_information(pairing: type[Pairing]) -> None:
    firsts = [
        pair[0] < pair[1]
        for seed in range(400)
        if (pair := pairing().next_pair(numbered(4), [], SumReward(), np.random.default_rng(seed)))
    ]
    assert abs(sum(firsts) - 200) < 5 * 10


@pytest.mark.parametrize("pairing", [RandomPairs, AllPairs])
def test_every_pair_is_as_likely_as_any_other(pairing: type[Pairing]) -> None:
    counts = Counter(met(play(pairing(limit=2), 4, seed=seed))[1] for seed in range(600))
    assert len(counts) == 6
    # 100 ± 5 standard deviations.
    assert all(abs(count - 100) < 5 * np.sqrt(600 * 5 / 36) for count in counts.values())


def test_all_pairs_are_asked_in_an_order_of_their_own() -> None:
    every = {frozenset(pair) for pair in itertools.combinations(range(6), 2)}
    orders = [met(play(AllPairs(), 6, seed=seed)) for seed in (1, 2)]
    assert all(len(order) == 15 and set(order) == every for order in orders)
    assert orders[0] != orders[1]


class TestGraphPairing:
    def test_components_are_connected_first(self) -> None:
        reached = {node: {node} for node in range(10)}
        for first, second, _ in play(GraphPairing(15), 10)[:9]:
            assert reached[first] is not reached[second], "an edge within a component while others are apart"
            reached[first] |= reached[second]
            for node in reached[first]:
                reached[node] = reached[first]
        assert reached[0] == set(range(10))

    def test_then_those_of_least_degree(self) -> None:
        asked = play(GraphPairing(15), 10)
        assert len(set(met(asked))) == 15
        degree = np.bincount([node for first, second, _ in asked for node in (first, second)], minlength=10)
        assert degree.max() - degree.min() <= 1

    def test_ends_when_all_have_met(self) -> None:
        assert len(play(GraphPairing(15), 3)) == 3

    def test_both_bad_connects_nothing_though_the_two_have_met(self) -> None:
        """Of two bad actions nobody knows which is worse, so the graph says nothing across such an edge."""
        connected = [Answered(0, 2, FIRST), Answered(2, 3, GOOD), Answered(3, 4, SECOND)]
        answered = connected + [Answered(1, other, BAD) for other in (0, 2, 4)]
        # 0 with 3 or 4 would be of least degree, but 1 is apart, and has met all others but 3.
        for seed in range(20):
            pair = GraphPairing().next_pair(numbered(5), answered, SumReward(), np.random.default_rng(seed))
            assert pair is not None
            assert set(pair) == {1, 3}
        assert len(set(met(play(GraphPairing(50), 5, lambda first, second: BAD)))) == 10


def closed_by_hand(answered: list[Answered]) -> set[tuple[int, int, bool]]:
    """All (i, j, strictly) with a chain from i down to j, found by joining chains until no more appear."""
    facts = set()
    for first, second, preference in answered:
        if preference == FIRST:
            facts.add((first, second, True))
        elif preference == SECOND:
            facts.add((second, first, True))
        elif preference == GOOD:
            facts |= {(first, second, False), (second, first, False)}
    while True:
        more = {(i, k, s or t) for i, j, s in facts for also, k, t in facts if j == also} - facts
        if not more:
            return facts
        facts |= more


class TestTransitivity:
    @pytest.mark.parametrize("seed", range(40))
    def test_conclusions_are_all_that_follows_and_agree_with_the_order_they_come_from(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        levels = rng.integers(0, 5, size=9)
        every = list(itertools.combinations(range(9), 2))
        answered = []
        for k in rng.permutation(len(every))[: rng.integers(4, 20)]:
            first, second = every[k] if rng.random() < 0.5 else every[k][::-1]
            tie = levels[first] == levels[second]
            answered.append(Answered(first, second, GOOD if tie else by_index(levels[first], levels[second])))
        conclusions = GraphPairing(transitive=True).conclusions(answered)

        concluded = met(conclusions)
        assert len(set(concluded)) == len(concluded), "a pair was concluded twice"
        assert not set(concluded) & set(met(answered)), "what was asked was concluded again"
        for first, second, preference in conclusions:
            assert preference == (FIRST if levels[first] > levels[second] else GOOD)
            assert levels[first] >= levels[second]
        facts = closed_by_hand(answered)
        assert set(concluded) == {frozenset((i, j)) for i, j, _ in facts if i != j} - set(met(answered))

    def test_a_chain_is_strict_where_a_step_is(self) -> None:
        """On both-good answers alone two actions are tied; one strict step on any chain decides."""
        answered = [Answered(0, 1, GOOD), Answered(1, 2, GOOD), Answered(3, 2, SECOND)]
        assert set(GraphPairing(transitive=True).conclusions(answered)) == {
            Answered(0, 2, GOOD),
            Answered(0, 3, FIRST),
            Answered(1, 3, FIRST),
        }

    @pytest.mark.parametrize(
        "contradiction",
        [
            [Answered(0, 1, FIRST), Answered(1, 2, FIRST), Answered(2, 0, FIRST)],
            [Answered(0, 1, GOOD), Answered(1, 2, GOOD), Answered(2, 0, FIRST)],
            [Answered(0, 2, FIRST), Answered(0, 2, SECOND)],
            [Answered(2, 0, GOOD), Answered(0, 2, SECOND)],
        ],
        ids=["circle", "tied circle", "opposite answers", "tie and strict"],
    )
    def test_contradictions_conclude_nothing(self, contradiction: list[Answered]) -> None:
        """An imperfect teacher contradicts itself, and which of its answers is wrong cannot be told."""
        elsewhere = [Answered(4, 5, FIRST), Answered(5, 6, FIRST)]
        answered = contradiction + [Answered(2, 3, FIRST)] + elsewhere
        assert GraphPairing(transitive=True).conclusions(answered) == [Answered(4, 6, FIRST)]

    @pytest.mark.parametrize("seed", range(20))
    def test_wrong_answers_never_make_conclusions_contradict_each_other(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        every = list(itertools.combinations(range(10), 2))
        answered = [
            Answered(*every[k], Preference(int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1]))))
            for k in rng.permutation(len(every))[:14]
        ]
        conclusions = GraphPairing(transitive=True).conclusions(answered)
        facts = closed_by_hand(answered)
        for first, second, preference in conclusions:
            assert (first, second, preference == FIRST) in facts
            assert (second, first, True) not in facts
            assert ((second, first, False) in facts) == (preference == GOOD)
        assert len(set(met(conclusions))) == len(conclusions)

    def test_both_bad_concludes_nothing(self) -> None:
        graph = GraphPairing(transitive=True)
        assert graph.conclusions([Answered(0, 1, FIRST), Answered(1, 2, BAD), Answered(2, 3, FIRST)]) == []
        # Asked and called both bad: what would follow of the two is not concluded over that answer.
        assert graph.conclusions([Answered(0, 1, FIRST), Answered(1, 2, FIRST), Answered(0, 2, BAD)]) == []

    def test_nothing_follows_from_nothing(self) -> None:
        assert GraphPairing(transitive=True).conclusions([]) == []


class TestKingOfTheHill:
    @pytest.mark.parametrize("seed", range(10))
    def test_every_action_in_turn_meets_the_best_so_far(self, seed: int) -> None:
        utility = np.random.default_rng(seed).permutation(9)
        asked = play(KingOfTheHill(20), 9, lambda first, second: by_index(utility[first], utility[second]), seed)
        expected = [{challenger, int(utility[:challenger].argmax())} for challenger in range(1, 9)]
        assert [set(pair) for pair in met(asked)] == expected

    @pytest.mark.parametrize("answer", [GOOD, BAD])
    def test_ties_and_both_bad_keep_the_best(self, answer: Preference) -> None:
        asked = play(KingOfTheHill(20), 5, lambda first, second: answer)
        assert [set(pair) for pair in met(asked)] == [{0, 1}, {0, 2}, {0, 3}, {0, 4}]

    def test_answers_about_others_crown_nobody(self) -> None:
        pair = KingOfTheHill().next_pair(numbered(4), [Answered(2, 3, FIRST)], SumReward(), np.random.default_rng(0))
        assert pair is not None
        assert set(pair) == {0, 1}


class TestMostInformative:
    def test_takes_the_most_informative_pair(self, rng: np.random.Generator) -> None:
        actions, model = rng.standard_normal((8, 3)).astype(np.float32), DoubtfulReward()
        pair = MostInformative(5, candidates=2000).next_pair(actions, [], model, rng)
        assert pair is not None
        first, second = np.triu_indices(8, 1)
        best = model.information(torch.from_numpy(actions), first, second).argmax()
        assert set(pair) == {first[best], second[best]}

    def test_no_action_is_shown_twice(self) -> None:
        # Of eight actions four pairs can be shown without repetition.
        asked = play(MostInformative(9), 8)
        assert sorted(index for first, second, _ in asked for index in (first, second)) == list(range(8))

    def test_the_first_action_is_shown_where_that_is_wanted(self, rng: np.random.Generator) -> None:
        actions, model = rng.standard_normal((8, 3)).astype(np.float32), DoubtfulReward()
        pair = MostInformative(5, show_first=1.0).next_pair(actions, [], model, rng)
        information = model.information(torch.from_numpy(actions), np.zeros(7, int), np.arange(1, 8))
        assert set(pair or ()) == {0, 1 + information.argmax()}
        pairs = [
            MostInformative(5, show_first=1.0).next_pair(actions, [], model, np.random.default_rng(seed))
            for seed in range(100)
        ]
        assert abs(sum(found[0] == 0 for found in pairs if found) - 50) < 5 * 5

    def test_models_without_uncertainty_say_so(self, rng: np.random.Generator) -> None:
        with pytest.raises(ValueError, match="SumReward knows no uncertainty"):
            MostInformative().next_pair(numbered(4), [], SumReward(), rng)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"candidates": 0}, "candidates is 0, expected at least 1"),
            ({"show_first": 1.5}, "show_first is 1.5, expected a share from 0 to 1"),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            MostInformative(**arguments)
