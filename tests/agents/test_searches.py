"""Strategies beside the reference agent: what each is, and what all of them promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents.base import Agent
from agents.evolution import CMA, OneBitMomentum, OnePlusOne
from agents.random_search import Origin, RandomSearch
from pbg_env import Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import mean_scores, searched, take_back

FIRST, SECOND, GOOD, BAD = Preference
STRATEGIES: dict[str, Callable[[], Agent]] = {
    "random search": RandomSearch,
    "origin": Origin,
    "(1+1)": OnePlusOne,
    "one bit": OneBitMomentum,
    "CMA": CMA,
}


@pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES)
class TestEveryStrategy:
    def test_the_same_seed_gives_the_same_search(self, make: Callable[[], Agent], generator: StackGANGenerator) -> None:
        one, same, other = (make() for _ in range(3))
        for agent, seed in ((one, 3), (same, 3), (other, 4)):
            searched(agent, generator, 40, seed)
        np.testing.assert_array_equal(one.destination, same.destination)
        np.testing.assert_array_equal(one.act(None), same.act(None))
        assert not np.array_equal(one.act(None), other.act(None))

    def test_taking_back_is_never_having_observed(
        self, make: Callable[[], Agent], generator: StackGANGenerator
    ) -> None:
        used, fresh = make(), make()
        _, given = searched(used, generator, 40, teacher="human")
        fresh.reset(generator, None, 3)
        take_back(used, fresh, given, [1, 20])

    def test_it_comes_nearer(self, make: Callable[[], Agent], generator: StackGANGenerator) -> None:
        if make is Origin:
            pytest.skip("it stays where it is")
        before, after = mean_scores(make, generator, 120, range(6))
        assert after > before + 0.2


def test_random_search_keeps_what_was_preferred(generator: StackGANGenerator) -> None:
    agent = RandomSearch()
    agent.reset(generator, None, 0)
    for answer in (SECOND, GOOD, BAD, FIRST, SECOND):
        action, best = agent.act(None), agent.destination
        np.testing.assert_array_equal(action[0, 1], best)
        agent.observe(action, np.array([answer]), [agent.rounds])
        np.testing.assert_array_equal(agent.destination, action[0, 0] if answer == FIRST else best)


def test_the_step_of_one_plus_one_stays_where_one_in_five_succeeds(generator: StackGANGenerator) -> None:
    agent = OnePlusOne(step=0.5)
    agent.reset(generator, None, 0)
    for number, answer in enumerate([FIRST, SECOND, SECOND, GOOD, BAD] * 3):
        agent.observe(agent.act(None), np.array([answer]), [number])
    assert agent._length == pytest.approx(0.5)


def test_one_bit_steps_along_the_preferred_side(generator: StackGANGenerator) -> None:
    agent = OneBitMomentum(spread=0.5, learning_rate=0.1, momentum=0.5)
    agent.reset(generator, None, 0)
    np.testing.assert_array_equal(agent.destination, 0)
    place, velocity = np.zeros(6), np.zeros(6)
    for number, (answer, sign) in enumerate([(FIRST, 1), (SECOND, -1), (GOOD, 0), (BAD, 0)]):
        action = agent.act(None)
        direction = (action[0, 0] - action[0, 1]) / (2 * 0.5)
        np.testing.assert_allclose(action[0].mean(axis=0), place, atol=1e-6)
        agent.observe(action, np.array([answer]), [number])
        velocity = 0.5 * velocity + sign * direction
        place = place + 0.1 * velocity
        np.testing.assert_allclose(agent.destination, place, atol=1e-5)


def test_cma_ranks_a_generation_by_its_questions(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order, it is found; and few questions do."""
    agent = CMA(population=8)
    agent.reset(generator, None, 0)
    told: list[Any] = []
    tell = agent._search.tell
    monkeypatch.setattr(
        agent._search, "tell", lambda asked, places: told.append((asked, places)) or tell(asked, places)
    )
    questions = 0
    while not told:
        action = agent.act(None)
        answer = FIRST if action[0, 0, 0] > action[0, 1, 0] else SECOND
        agent.observe(action, np.array([answer]), [questions])
        questions += 1
    (asked, places), *_ = told
    assert sorted(places) == list(range(8))
    assert np.argsort(places).tolist() == np.argsort([-noise[0] for noise in asked]).tolist()
    assert questions <= 17


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (OnePlusOne, {"step": 0.0}),
        (OnePlusOne, {"growth": 1.0}),
        (OneBitMomentum, {"momentum": 1.0}),
        (CMA, {"population": 3}),
    ],
)
def test_mistakes(make: Callable[..., Agent], settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make(**settings)
