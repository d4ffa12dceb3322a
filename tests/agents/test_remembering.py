"""Taking answers back, by going back or by starting over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agents.particles import ParticleAgent
from agents.posterior import PosteriorAgent
from agents.remembering import RememberingAgent
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import ask, searched, take_back

Make = Callable[[], RememberingAgent]

pytestmark = pytest.mark.parametrize(
    "make",
    [lambda: PosteriorAgent(mirrored=60, tried=3), lambda: ParticleAgent(particles=48, candidates=60)],
    ids=["posterior", "particles"],
)


@pytest.mark.parametrize("teacher", ["oracle", "human"])
def test_taking_back_is_never_having_observed(make: Make, teacher: str, generator: StackGANGenerator) -> None:
    used, fresh = make(), make()
    _, given = searched(used, generator, 20, teacher=teacher)
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [1, 15])


def test_taking_back_what_is_long_ago(make: Make, generator: StackGANGenerator) -> None:
    used, fresh = make(), make()
    _, given = searched(used, generator, 28)
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [0, 27])


def test_taking_back_the_last_answers_looks_at_nothing_again(
    make: Make, generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make()
    env, _ = searched(agent, generator, 5)
    before = agent.act(None), agent.destination
    ask(agent, env, 3, 5)
    monkeypatch.setattr(type(generator), "generate", lambda *_: pytest.fail("it generated"))
    agent.retract([5, 6, 7])
    np.testing.assert_array_equal(agent.act(None), before[0])
    np.testing.assert_array_equal(agent.destination, before[1])
    with pytest.raises(ValueError, match="answers \\[7\\] were never observed"):
        agent.retract([7])
