"""Algorithms of Stable-Baselines3 as searches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC

from agents.learners import ALGORITHMS, DEFAULTS, SB3, global_randomness
from pbg_env import PreferenceEnv
from pbg_env.generators.stackgan_v2.model import StackGANGenerator

ANSWERS = 30


class Spent(Exception):
    """All answers are given."""


class Budget(gym.Wrapper[Any, Any, Any, Any]):
    """Remembers what is asked, and raises where the answers are spent."""

    def __init__(self, generator: StackGANGenerator, answers: int = ANSWERS, seed: int = 0) -> None:
        super().__init__(PreferenceEnv(generator, goal=None, max_queries=1000, action="unit"))
        self.answers, self.seed = answers, seed
        self.seeds: list[int | None] = []
        self.actions: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        return self.env.reset(seed=self.seed)

    def step(self, action: np.ndarray) -> Any:
        if len(self.actions) == self.answers:
            raise Spent
        self.actions.append(action)
        return self.env.step(action)


def searched(learner: SB3, generator: StackGANGenerator, seed: int = 3, answers: int = ANSWERS) -> Budget:
    env = Budget(generator, answers)
    # A little further than the answers reach, so that it is the environment that ends it.
    with pytest.raises(Spent):
        learner.learn(env, answers + 20, seed)
    assert learner.destination is None
    return env


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_search(algorithm: Any, generator: StackGANGenerator) -> None:
    one, same, other = (searched(SB3(algorithm), generator, seed) for seed in (3, 3, 2**63 + 4))
    assert len(one.actions) == ANSWERS
    assert all(one.action_space.contains(action) for action in one.actions)
    np.testing.assert_array_equal(one.actions, same.actions)
    assert not np.array_equal(one.actions, other.actions)
    # The environment's seed is not the learner's business.
    assert one.seeds == [None]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_learns_within_a_search(algorithm: Any, generator: StackGANGenerator) -> None:
    """The same search without learning goes elsewhere."""
    frozen = SB3(algorithm, {"learning_rate": 0.0})
    learned, still = (searched(learner, generator) for learner in (SB3(algorithm), frozen))
    np.testing.assert_array_equal(learned.actions[0], still.actions[0])
    assert not np.array_equal(learned.actions, still.actions)


@pytest.mark.parametrize(("algorithm", "answers"), [("PPO", 200), ("SAC", 80), ("TD3", 120)])
def test_reward_draws_the_policy(algorithm: Any, answers: int, generator: StackGANGenerator) -> None:
    class TowardsTheCorner(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: np.ndarray) -> Any:
            observation, _, _, _, info = self.env.step(action)
            return observation, float(action.mean()), False, False, info

    budget = Budget(generator, answers)
    with pytest.raises(Spent):
        SB3(algorithm).learn(TowardsTheCorner(budget), answers + 20, 0)
    begin, end = (np.mean(part) for part in (budget.actions[:30], budget.actions[-30:]))
    assert end > begin + 0.1


@pytest.mark.parametrize(("algorithm", "kind"), [("PPO", PPO), ("SAC", SAC)])
def test_a_start_acts_as_it_was_saved(algorithm: Any, kind: Any, generator: StackGANGenerator, tmp_path: Path) -> None:
    """A saved policy with an opinion is followed from the first action on."""
    env = Budget(generator)
    with global_randomness(0):
        model = kind("MultiInputPolicy", env, **{"n_steps": 32, "batch_size": 16} if kind is PPO else {})
    layer, log_std = (
        (model.policy.action_net, model.policy.log_std) if kind is PPO else (model.actor.mu, model.actor.log_std.bias)
    )
    wish = torch.tensor([0.5, -0.5, 0.3, -0.3, 0.1, 0.0])
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(wish if kind is PPO else wish.atanh())
        log_std.fill_(-8.0)
        if kind is SAC:
            model.actor.log_std.weight.zero_()
    path = tmp_path / "policy.zip"
    model.save(path)
    actions = searched(SB3(algorithm, {"learning_rate": 0.0}, str(path)), generator).actions
    np.testing.assert_allclose(actions, np.tile(wish, (ANSWERS, 1)), atol=0.01)
    one, same = (searched(SB3(algorithm, start=str(path)), generator).actions for _ in range(2))
    np.testing.assert_allclose(one[0], wish, atol=0.01)
    np.testing.assert_array_equal(one, same)
    with pytest.raises(ValueError, match=r"policy\.zip holds no policy of TD3"):
        searched(SB3("TD3", start=str(path)), generator)


def test_the_world_keeps_its_randomness(generator: StackGANGenerator) -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002

    with global_randomness(1):
        inside = drawn()
        searched(SB3("TD3"), generator, answers=5)
        after = drawn()
    with global_randomness(1):
        assert drawn() == inside
        assert drawn() == after
    with global_randomness(2):
        assert drawn() != inside


def test_settings_are_added_to_the_defaults(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(ALGORITHMS["PPO"], "learn", lambda self, answers: made.append((self, answers)))
    settings = {"n_steps": 10, "batch_size": 5, "policy_kwargs": {"log_std_init": -3.0}}
    SB3("PPO", settings).learn(Budget(generator), 77, 0)
    model, answers = made[0]
    assert answers >= 77
    assert (model.n_steps, model.batch_size, model.gamma) == (10, 5, DEFAULTS["PPO"]["gamma"])
    assert model.policy.log_std[0] == -3.0
    assert model.policy.net_arch == [64, 64]
    assert SB3("PPO", settings).settings == settings


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"unknown settings n_step, seed of PPO; expected some of learning_rate, n_steps"
    ):
        SB3("PPO", {"n_step": 10, "seed": 1, "gamma": 0.5})
    with pytest.raises(ValueError, match="unknown settings n_epochs of SAC"):
        SB3("SAC", {"n_epochs": 10})
    with pytest.raises(ValueError, match="unknown algorithm 'DQN'; expected one of PPO, A2C"):
        SB3("DQN")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"no such start: nowhere\.zip; python -m agents.pretrain"):
        SB3("PPO", start="nowhere.zip")
    with pytest.raises(ValueError, match="has its own; leave them out"):
        SB3("PPO", {"policy_kwargs": {}}, start="nowhere.zip")
