"""SAC on a learned reward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.pebble import Pebble
from pbg_env import Preference, noise_to_unit, unit_to_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import ask, mean_scores, searched, take_back

FIRST, SECOND, GOOD, BAD = Preference


def small(**told: Any) -> Pebble:
    return Pebble(**{"begin": 8, "every": 4, "steps": 6, "explored": 60, "recent": 30, "candidates": 30} | told)


def recent(agent: Pebble) -> np.ndarray:
    """Noise of the last 30 actions of all experience."""
    end = agent._experience.size()
    return unit_to_noise(agent._experience.actions[end - 30 : end, 0])


def test_the_same_seed_gives_the_same_search(generator: StackGANGenerator) -> None:
    one, same, other = small(), small(), small()
    for agent, seed in ((one, 3), (same, 3), (other, 4)):
        env, given = searched(agent, generator, 30, seed=seed)
        assert all(env.action_space.contains(action) for action, _ in given)
    np.testing.assert_array_equal(one.destination, same.destination)
    np.testing.assert_array_equal(one.act(None), same.act(None))
    assert not np.array_equal(one.destination, other.destination)


def test_taking_back_is_never_having_observed(generator: StackGANGenerator) -> None:
    used, fresh = small(), small()
    _, given = searched(used, generator, 30, teacher="human")
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [1, 20])


def test_it_comes_nearer(generator: StackGANGenerator) -> None:
    before, after = mean_scores(lambda: Pebble(begin=30, every=30), generator, 60, range(2))
    assert after > before + 0.2


def test_it_asks_about_the_prior_first_and_then_about_its_own_actions(generator: StackGANGenerator) -> None:
    agent = small()
    env, given = searched(agent, generator, 8)
    assert np.std([action for action, _ in given]) == pytest.approx(1.0, abs=0.25)
    assert agent.rounds == 1
    own = {noise.tobytes() for noise in recent(agent)}
    for action, _ in ask(agent, env, 4, 8):
        first, second = action[0]
        assert not np.array_equal(first, second)
        assert {first.tobytes(), second.tobytes()} <= own
    assert agent.rounds == 2


def test_questions_are_those_the_perceptrons_disagree_about(generator: StackGANGenerator) -> None:
    agent = small(candidates=200)
    searched(agent, generator, 8)

    def disagreement(pairs: np.ndarray) -> np.ndarray:
        rewards = agent._reward.samples(torch.from_numpy(pairs).flatten(0, 1)).unflatten(1, (-1, 2))
        return torch.sigmoid(rewards[..., 0] - rewards[..., 1]).std(dim=0).numpy()

    rng = np.random.default_rng(0)
    anyhow = disagreement(recent(agent)[rng.integers(30, size=(400, 2))])
    assert disagreement(agent._questions).min() > np.quantile(anyhow, 0.8)


def test_experience_is_rewarded_anew(generator: StackGANGenerator) -> None:
    agent = small(steps=1)
    env, _ = searched(agent, generator, 8)
    experience = agent._experience
    before = experience.rewards[:60, 0].copy()
    ask(agent, env, 4, 8)
    # Of the second fit, but for the action that followed it.
    rewards = agent.rate(torch.from_numpy(unit_to_noise(experience.actions[:61, 0]))).numpy()
    np.testing.assert_allclose(experience.rewards[:61, 0], (rewards - rewards.mean()) / rewards.std(), atol=1e-4)
    assert not np.allclose(before, experience.rewards[:60, 0])


def test_the_policy_climbs_what_is_learned(generator: StackGANGenerator) -> None:
    """An answer is the sign of the first component's difference; so the destination's becomes large."""
    agent = Pebble(begin=60, every=40)
    agent.reset(generator, None, 0)
    begun = agent.destination[0]
    for number in range(100):
        action = agent.act(None)
        agent.observe(action, np.array([FIRST if action[0, 0, 0] > action[0, 1, 0] else SECOND]), [number])
    assert agent.destination[0] > begun + 0.7
    assert noise_to_unit(agent.destination)[0] > noise_to_unit(agent.destination)[1:].max()


def test_both_bad_answers_alone_teach_nothing(generator: StackGANGenerator) -> None:
    agent = small()
    agent.reset(generator, None, 0)
    begun = agent.destination
    questions = []
    for number in range(16):
        questions.append(agent.act(None))
        agent.observe(questions[-1], np.array([BAD]), [number])
    np.testing.assert_array_equal(agent.destination, begun)
    assert len({question.tobytes() for question in questions}) == 16
    agent.observe(agent.act(None), np.array([GOOD]), [16])
    for number in range(17, 20):
        agent.observe(agent.act(None), np.array([FIRST]), [number])
    assert agent.metrics["preference_loss"] > 0


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="members is 1, expected at least 2"):
        Pebble(members=1)
    with pytest.raises(ValueError, match="candidates is 5, expected at least 10"):
        Pebble(candidates=5)
    with pytest.raises(ValueError, match="unknown settings n_epochs of SAC"):
        Pebble(settings={"n_epochs": 3})
    with pytest.raises(ValueError, match="learning_rate is 0"):
        Pebble(learning_rate=0.0)
