"""What every agent promises, held for each configuration."""

from __future__ import annotations

import numpy as np
import pytest

from agents.reference.agent import ReferenceAgent
from pbg_env import NOISE_BOUND, PreferencePairsEnv
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import agent_from, ask, take_back

SMALL = ["--agent.sampling.count=12", "--agent.pairing.limit=4"]


def small_agent(config: str, generator: StackGANGenerator, seed: int = 3) -> ReferenceAgent:
    more = [] if config == "original" else ["--agent.sampling.near=4", "--agent.mover.steps=3"]
    agent = agent_from(config, *SMALL, *more)
    agent.reset(generator, None, seed)
    return agent


@pytest.fixture
def env(generator: StackGANGenerator) -> PreferencePairsEnv:
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=0)
    return env


def test_actions_are_pairs_of_noise_within_the_space(
    config: str, generator: StackGANGenerator, env: PreferencePairsEnv
) -> None:
    agent = small_agent(config, generator)
    for action, _ in ask(agent, env, 30):
        assert env.action_space.contains(action)
        assert not np.array_equal(action[0, 0], action[0, 1])
    assert agent.rounds >= 3
    assert agent.destination.shape == (6,)
    assert np.abs(agent.destination).max() <= NOISE_BOUND


def test_asking_twice_gives_the_same_question(config: str, generator: StackGANGenerator) -> None:
    agent = small_agent(config, generator)
    np.testing.assert_array_equal(agent.act(None), agent.act(None))


def test_the_same_seed_gives_the_same_run(config: str, generator: StackGANGenerator) -> None:
    runs = []
    for seed in (3, 3, 4):
        env = PreferencePairsEnv(1, generator, goal=None)
        env.reset(seed=0)
        agent = small_agent(config, generator, seed)
        ask(agent, env, 25)
        runs.append(agent.destination)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_retracting_is_never_having_observed(
    config: str, generator: StackGANGenerator, env: PreferencePairsEnv
) -> None:
    agent, other = small_agent(config, generator), small_agent(config, generator)
    given = ask(agent, env, 14)
    take_back(agent, other, given, [2, 9])
    with pytest.raises(ValueError, match=r"answers \[2\] were never observed"):
        agent.retract([2])
    agent.retract([number for number in range(14) if number not in (2, 9)])
    np.testing.assert_array_equal(agent.act(None), small_agent(config, generator).act(None))


def test_pairs_that_were_not_asked_are_passed_over(config: str, generator: StackGANGenerator) -> None:
    agent = small_agent(config, generator)
    before = agent.act(None)
    agent.observe(before, np.array([-1]), [0])
    np.testing.assert_array_equal(agent.act(None), before)


def test_acting_before_reset_is_an_error(generator: StackGANGenerator) -> None:
    agent = agent_from("original")
    with pytest.raises(RuntimeError, match="the agent was not reset"):
        agent.retract([])
