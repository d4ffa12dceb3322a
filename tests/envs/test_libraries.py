"""Other people's libraries run on the environments."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.wrappers import FlattenObservation, NormalizeReward, RecordEpisodeStatistics, RecordVideo
from gymnasium.wrappers import vector as vector_wrappers
from torch import nn

import pbg_env
from tests.envs.conftest import Arguments

NAME = "PBG-StackGANv2-v0"


@pytest.fixture
def small(of_id: Arguments) -> dict[str, Any]:
    return of_id(NAME) | {"max_queries": 5, "goal": None}


def play(env: gym.Env[Any, Any], steps: int) -> list[tuple[Any, ...]]:
    env.reset(seed=0)
    env.action_space.seed(0)
    results = []
    for _ in range(steps):
        results.append(env.step(env.action_space.sample()))
        if results[-1][2] or results[-1][3]:
            env.reset()
    return results


class TestWrappers:
    def test_statistics_of_episodes(self, small: dict[str, Any]) -> None:
        plain, wrapped = gym.make(NAME, **small), RecordEpisodeStatistics(gym.make(NAME, **small))
        episode = play(wrapped, 5)[-1][4]["episode"]
        assert episode["l"] == 5
        assert episode["r"] == sum(result[1] for result in play(plain, 5))

    def test_statistics_of_batched_episodes(self, small: dict[str, Any]) -> None:
        env = vector_wrappers.RecordEpisodeStatistics(gym.make_vec(NAME, num_envs=3, **small))
        env.reset(seed=0)
        total = np.zeros(3)
        for _ in range(5):
            _, rewards, _, truncated, info = env.step(env.action_space.sample())
            total += rewards
        assert truncated.all()
        assert info["episode"]["l"].tolist() == [5, 5, 5]
        np.testing.assert_allclose(info["episode"]["r"], total)

    def test_a_video(self, small: dict[str, Any], tmp_path: Path) -> None:
        videos = tmp_path / "videos"
        env = RecordVideo(gym.make(NAME, render_mode="rgb_array", **small), str(videos), episode_trigger=lambda _: True)
        play(env, 5)
        env.close()
        (video,) = videos.glob("*-episode-0.mp4")
        assert video.stat().st_size > 1000

    def test_flat_observations(self, small: dict[str, Any]) -> None:
        env = FlattenObservation(gym.make(NAME, **small))
        observation = play(env, 1)[0][0]
        assert observation.shape == env.observation_space.shape == (6 + 6 + 4 + 1,)
        assert env.observation_space.contains(observation)

    def test_normalised_rewards(self, small: dict[str, Any]) -> None:
        rewards = [result[1] for result in play(NormalizeReward(gym.make(NAME, **small)), 20)]
        plain = [result[1] for result in play(gym.make(NAME, **small), 20)]
        assert all((one != 0) == (other != 0) for one, other in zip(rewards, plain, strict=True))
        assert any(one != other for one, other in zip(rewards, plain, strict=True))

    def test_dicts_as_other_wrappers_flatten_them_in_batches(self, small: dict[str, Any]) -> None:
        env = vector_wrappers.FlattenObservation(gym.make_vec(NAME, num_envs=3, **small))
        observation, _ = env.reset(seed=0)
        assert observation.shape == (3, 17)


def test_torchrl(small: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        # Deprecations within TorchRL's own modules.
        warnings.simplefilter("ignore")
        from torchrl.envs import GymEnv
        from torchrl.envs.utils import check_env_specs

        env = GymEnv(NAME, **small | {"action": "unit"})
        check_env_specs(env)
        env.set_seed(0)
        rollout = env.rollout(10)
    assert rollout.batch_size == (5,)
    assert rollout["incumbent"].shape == (5, 6)
    assert bool(rollout["next", "truncated"][-1])


def test_a_training_script_in_one_file(small: dict[str, Any]) -> None:
    """REINFORCE in the style of CleanRL on the batched environment: everything between here and the end of the test."""
    torch.manual_seed(0)
    envs = gym.make_vec(NAME, num_envs=8, **small | {"action": "unit", "max_queries": 10})
    envs = vector_wrappers.RecordEpisodeStatistics(vector_wrappers.FlattenObservation(envs))
    assert envs.single_observation_space.shape is not None
    actor = nn.Sequential(nn.Linear(envs.single_observation_space.shape[0], 32), nn.Tanh(), nn.Linear(32, 6), nn.Tanh())
    spread = nn.Parameter(torch.full((6,), -1.0))
    optimiser = torch.optim.Adam([*actor.parameters(), spread], lr=3e-3)
    before = [parameter.detach().clone() for parameter in actor.parameters()]

    observation, _ = envs.reset(seed=1)
    began = np.zeros(8, dtype=bool)  # the step that only begins a search is nobody's doing
    returns: list[float] = []
    for _ in range(6):
        log_probabilities, rewards, counts = [], [], []
        for _ in range(11):
            policy = torch.distributions.Normal(actor(torch.from_numpy(observation)), spread.exp())
            action = policy.sample()
            log_probabilities.append(policy.log_prob(action).sum(dim=1))
            observation, reward, terminated, truncated, info = envs.step(action.numpy())
            rewards.append(torch.from_numpy(reward).float())
            counts.append(torch.from_numpy(~began))
            began = terminated | truncated
            if "episode" in info:
                returns += info["episode"]["r"][info["_episode"]].tolist()
        gains = torch.stack(rewards).flip(0).cumsum(0).flip(0)  # (T, B)
        advantage = (gains - gains.mean()) * torch.stack(counts)
        loss = -(torch.stack(log_probabilities) * advantage).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    envs.close()

    assert len(returns) == 6 * 8
    assert np.isfinite(returns).all()
    assert any((one != other).any() for one, other in zip(before, actor.parameters(), strict=True))


def test_synchronous_vectors_of_singles_are_what_the_batched_one_is(small: dict[str, Any]) -> None:
    sync = gym.make_vec(NAME, num_envs=2, vectorization_mode="sync", **small)
    batched = gym.make_vec(NAME, num_envs=2, **small)
    assert isinstance(batched, pbg_env.PreferenceVectorEnv)
    assert sync.single_action_space == batched.single_action_space
    assert sync.observation_space == batched.observation_space
    assert data_equivalence(sync.reset(seed=1)[0]["incumbent"], batched.reset(seed=1)[0]["incumbent"])
