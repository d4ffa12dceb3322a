"""Stable-Baselines3 learns on the environments, single and batched."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agents.sb3 import PreferenceVecEnv

NAME = "PBG-StackGANv2-v0"


@pytest.fixture(scope="module")
def small(checkpoint: Any) -> dict[str, Any]:
    return {"generator": str(checkpoint()), "action": "unit", "max_queries": 20}


def batched(small: dict[str, Any], count: int = 4, **arguments: Any) -> PreferenceVecEnv:
    return PreferenceVecEnv(gym.make_vec(NAME, count, autoreset_mode="SameStep", **small | arguments))  # type: ignore[arg-type]


ALGORITHMS: list[tuple[Any, dict[str, Any]]] = [
    (PPO, {"n_steps": 64, "batch_size": 32, "n_epochs": 2}),
    (SAC, {"learning_starts": 50, "batch_size": 32}),
    (TD3, {"learning_starts": 50, "batch_size": 32}),
]


@pytest.mark.parametrize(("algorithm", "settings"), ALGORITHMS, ids=[a.__name__ for a, _ in ALGORITHMS])
@pytest.mark.parametrize("many", [False, True], ids=["single", "batched"])
def test_algorithms_learn(algorithm: Any, settings: dict[str, Any], many: bool, small: dict[str, Any]) -> None:
    env = VecMonitor(batched(small)) if many else gym.make(NAME, **small)
    model = algorithm("MultiInputPolicy", env, seed=0, policy_kwargs={"net_arch": [32]}, device="cpu", **settings)
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(300)
    assert model.num_timesteps >= 300
    assert any((one != other).any() for one, other in zip(before, model.policy.parameters(), strict=True))
    # Searches of at most 20 answers have ended many times, and their lengths were recorded.
    lengths = [episode["l"] for episode in model.ep_info_buffer]
    assert len(lengths) >= 10
    assert max(lengths) <= 20


def test_the_adapter_steps_as_singles_do(small: dict[str, Any]) -> None:
    adapter = batched(small, 3, goal=0.5)
    singles = DummyVecEnv([lambda: gym.make(NAME, **small, goal=0.5)] * 3)
    for env in (adapter, singles):
        env.seed(5)
    one, other = adapter.reset(), singles.reset()
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(50):
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
        action = rng.uniform(-1, 1, (3, 6)).astype(np.float32)
        one, rewards, done, infos = adapter.step(action)
        other, other_rewards, other_done, other_infos = singles.step(action)
        np.testing.assert_array_equal(rewards, other_rewards)
        np.testing.assert_array_equal(done, other_done)
        for info, other_info in zip(infos, other_infos, strict=True):
            assert info.keys() == other_info.keys()
            assert info["TimeLimit.truncated"] == other_info["TimeLimit.truncated"]
            np.testing.assert_array_equal(info["preference"], other_info["preference"])
            assert info["queries"] == other_info["queries"]
            for name, value in info.get("terminal_observation", {}).items():
                np.testing.assert_array_equal(value, other_info["terminal_observation"][name])
        ends += int(done.sum())
    assert ends > 3


def test_targets_are_handed_on(small: dict[str, Any]) -> None:
    adapter = batched(small, 2, goal=0.99)
    wishes = np.array([[0.5] * 6, [-0.5] * 6], dtype=np.float32)
    adapter.set_options([{"target": wish} for wish in wishes])
    adapter.reset()
    np.testing.assert_allclose(adapter.env.evaluate(wishes), 1.0)
    adapter.set_options({"target": wishes[0]})
    adapter.reset()
    np.testing.assert_allclose(adapter.env.evaluate(wishes[[0, 0]]), 1.0)


def test_pictures_as_targets_are_told_apart(small: dict[str, Any]) -> None:
    adapter = batched(small, 2)
    media = adapter.env.generate(np.array([[0.5] * 6, [-0.5] * 6]))
    # Long arrays that read alike where they are shortened.
    pictures = [adapter.env.generator.media.frame(medium) for medium in media]
    pictures[1][:, :2], pictures[1][:, -2:] = pictures[0][:, :2], pictures[0][:, -2:]
    adapter.set_options([{"target": picture} for picture in pictures])
    adapter.reset()
    one, other = adapter.env.targets
    assert one is not None
    assert other is not None
    assert (one != other).any()
    adapter.set_options({"target": pictures[0]})
    adapter.reset()
    assert adapter.env.targets[0] is adapter.env.targets[1]


def test_what_ppo_begins_with_is_the_prior(small: dict[str, Any]) -> None:
    noise = {}
    for action in ("noise", "unit"):
        env = batched(small | {"action": action}, 16)
        model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=64, seed=0, device="cpu")
        seen = [env.reset()]
        for _ in range(20):
            action_of_policy = model.predict(seen[-1])[0]  # type: ignore[arg-type]
            seen.append(env.step(action_of_policy)[0])
        noise[action] = np.concatenate([observation["candidate"] for observation in seen[1:]])  # type: ignore[call-overload]
    assert np.mean(np.abs(noise["noise"]) > 3.9) < 0.01
    assert np.mean(np.abs(noise["unit"]) > 3.9) > 0.2


def test_pictures_of_all_searches(small: dict[str, Any]) -> None:
    adapter = batched(small, 4, render_mode="rgb_array")
    adapter.reset()
    image = adapter.render()
    assert image is not None
    assert image.shape == (2 * 64, 2 * (4 * 64 + 3 * 2), 3)


def test_mistakes(small: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="make the environment with autoreset_mode='SameStep'"):
        PreferenceVecEnv(gym.make_vec(NAME, 2, **small))  # type: ignore[arg-type]
    envs = gym.make_vec(NAME, 2, autoreset_mode="SameStep", **small)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="env is a RecordEpisodeStatistics; expected what"):
        PreferenceVecEnv(RecordEpisodeStatistics(envs))  # type: ignore[arg-type]
    adapter = batched(small)
    adapter.set_options({"goal": 0.5})
    with pytest.raises(ValueError, match="unknown options 'goal'; expected 'target'"):
        adapter.reset()
    with pytest.raises(NotImplementedError, match="share their arguments"):
        batched(small).set_attr("goal", 1.0)
