"""The batched environment: what it promises beyond the single one, whose answers it gives."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from pbg_env import PreferenceVectorEnv, TargetOracle, unit_to_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.oracles import RandomOracle
from tests.envs.conftest import IDS, Arguments, is_pairs

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


def both(
    name: str, of_id: Arguments, count: int, mode: AutoresetMode, **arguments: Any
) -> tuple[VectorEnv[Any, Any, Any], SyncVectorEnv]:
    """The batched environment and singles side by side."""
    arguments = of_id(name) | arguments
    batched = gym.make_vec(name, num_envs=count, autoreset_mode=mode, **arguments)
    singles = SyncVectorEnv([lambda: gym.make(name, **arguments)] * count, autoreset_mode=mode)
    return batched, singles


def equal(one: Any, other: Any) -> bool:
    """As `data_equivalence`, but a batch is summed in another order: scores may differ by rounding, and so may a value
    in some thousands of a picture by one of its 256 steps."""
    if isinstance(one, tuple):
        return all(equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype == np.object_:
        return all(a is b is None or equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray) and one.dtype == np.uint8:
        difference = np.abs(one.astype(int) - other)
        return bool(difference.max() <= 1 and difference.mean() < 1e-3)
    if isinstance(one, np.ndarray) and one.dtype == np.float64:
        return np.allclose(one, other, atol=1e-4)
    return data_equivalence(one, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", IDS)
class TestAnswersOfSingles:
    @pytest.mark.parametrize("teacher", ["oracle", "human"])
    def test_the_same_seeds_give_the_same_answers(
        self, name: str, teacher: str, mode: AutoresetMode, of_id: Arguments
    ) -> None:
        more: dict[str, Any] = {"pairs_per_step": 3} if is_pairs(name) else {}
        batched, singles = both(
            name, of_id, 5, mode, teacher=teacher, goal=None, max_queries=7, diagnostics=True, **more
        )
        batched.action_space.seed(1)
        assert equal(batched.reset(seed=3), singles.reset(seed=3))
        given = []
        for _ in range(30):
            action = batched.action_space.sample()
            one, other = batched.step(action), singles.step(action)
            np.testing.assert_array_equal(one[4]["preference"], other[4]["preference"])
            assert equal(one[0], other[0])
            for here, there in zip(one[1:4], other[1:4], strict=True):
                np.testing.assert_array_equal(here, there)
            assert equal(one[4], other[4]), (one[4], other[4])
            given.append(one[4]["preference"])
        assert len(np.unique(np.concatenate(given))) > 2

    def test_searches_end_and_begin_each_on_its_own(self, name: str, mode: AutoresetMode, of_id: Arguments) -> None:
        batched, singles = both(name, of_id, 6, mode, goal=0.2, max_queries=6, observe_media=True)
        batched.action_space.seed(1)
        assert equal(batched.reset(seed=[5, 9, 2, 2, 7, 1]), singles.reset(seed=[5, 9, 2, 2, 7, 1]))
        ends = 0
        for _ in range(40):
            action = batched.action_space.sample()
            one, other = batched.step(action), singles.step(action)
            assert equal(one, other)
            ends += int(one[2].sum())
        assert ends > 3


@pytest.mark.parametrize("name", IDS)
class TestEveryId:
    def test_samples_of_the_batched_action_space_come_from_the_prior(self, name: str, of_id: Arguments) -> None:
        env = gym.make_vec(name, num_envs=500, goal=None, **of_id(name))
        sample = env.action_space.sample()
        assert sample.shape == env.action_space.shape == (500, *env.single_action_space.shape)  # type: ignore[misc]
        norms = np.linalg.norm(sample, axis=-1)
        # In few dimensions the mean norm is a little below √n; an even draw from the box would have 2.3 √n.
        assert 0.9 < norms.mean() / sample.shape[-1] ** 0.5 < 1.01

    def test_observations_lie_in_their_space(self, name: str, of_id: Arguments) -> None:
        env = gym.make_vec(name, num_envs=3, observe_media=True, **of_id(name))
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        assert env.observation_space.contains(env.step(env.action_space.sample())[0])

    def test_the_spec_makes_it_again(self, name: str, of_id: Arguments) -> None:
        env = gym.make_vec(name, num_envs=2, max_queries=9, **of_id(name))
        assert env.spec is not None
        for again in (gym.make_vec(env.spec), pickle.loads(pickle.dumps(env))):
            assert again.num_envs == 2
            assert equal(env.reset(seed=3), again.reset(seed=3))

    def test_closing_twice_is_fine(self, name: str, of_id: Arguments) -> None:
        env = gym.make_vec(name, num_envs=2, **of_id(name))
        env.close()
        env.close()


class TestOneForward:
    class Counting(StackGANGenerator):
        calls: list[int]

        def generate(self, noise: torch.Tensor) -> torch.Tensor:
            self.calls.append(len(noise))
            return super().generate(noise)

    @pytest.fixture
    def counting(self, generator: StackGANGenerator) -> Counting:
        from tests.conftest import CPU, small_generator_network

        counting = self.Counting(small_generator_network(), -1, CPU)
        counting.calls = []
        return counting

    def test_a_step_and_a_reset_generate_once(self, counting: Counting) -> None:
        env = PreferenceVectorEnv(4, generator=counting, goal=None, max_queries=2)
        env.reset(seed=0)
        for _ in range(3):
            env.step(env.action_space.sample())
        # Targets and incumbents; two steps; and the step in which every search begins again.
        assert counting.calls == [8, 4, 4, 8]

    def test_searches_that_begin_share_the_forward_of_the_step(self, counting: Counting) -> None:
        env = PreferenceVectorEnv(3, generator=counting, goal=0.9, max_queries=9)
        env.reset(seed=0, options={"target": np.zeros(6)})
        action = env.action_space.sample()
        action[1] = 0.0
        env.step(action)
        counting.calls.clear()
        env.step(action)
        assert counting.calls == [2 + 2]


class TestResets:
    def test_each_search_can_have_a_target_of_its_own(self, generator: StackGANGenerator) -> None:
        env = PreferenceVectorEnv(3, generator=generator, goal=0.99)
        wishes = generator.sample_noise(3, np.random.default_rng(0)).numpy()
        env.reset(seed=0, options={"target": wishes})
        np.testing.assert_allclose(env.evaluate(wishes), 1.0, atol=1e-9)
        assert (env.evaluate(wishes[[1, 2, 0]]) < 0.99).all()
        _, rewards, terminated, _, info = env.step(wishes[[0, 2, 2]])
        assert terminated.tolist() == [True, False, True]
        assert rewards[0] >= 499
        assert info["is_success"].tolist() == [True, False, True]

    def test_a_mask_begins_some_of_them(self, generator: StackGANGenerator) -> None:
        env = PreferenceVectorEnv(3, autoreset_mode="Disabled", generator=generator, goal=None, max_queries=1)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        with pytest.raises(ResetNeeded, match="after the end of the search"):
            env.step(env.action_space.sample())
        before = env.reset(options={"reset_mask": np.array([True, False, True])})
        assert before[1]["_queries"].tolist() == [True, False, True]
        assert before[0]["spent"].ravel().tolist() == [0, 1, 0]

    def test_what_ended_is_handed_on_in_the_same_step(self, generator: StackGANGenerator) -> None:
        env = PreferenceVectorEnv(2, autoreset_mode="SameStep", generator=generator, goal=None, max_queries=2)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        action = env.action_space.sample()
        observation, _, _, truncated, info = env.step(action)
        assert truncated.all()
        assert info["_final_obs"].all()
        for index in range(2):
            np.testing.assert_array_equal(info["final_obs"][index]["candidate"], action[index])
            assert info["final_obs"][index]["spent"] == 1
        assert info["final_info"]["queries"].tolist() == [2, 2]
        assert info["queries"].tolist() == [0, 0]
        assert not observation["candidate"].any()

    def test_unseeded_searches_differ(self, generator: StackGANGenerator) -> None:
        observation, _ = PreferenceVectorEnv(2, generator=generator).reset()
        assert not np.array_equal(*observation["incumbent"])


class TestOracles:
    def test_oracles_of_ones_own_are_asked_by_each_search(self, generator: StackGANGenerator) -> None:
        arguments: dict[str, Any] = {"generator": generator, "oracle": RandomOracle(), "max_queries": 9}
        batched = PreferenceVectorEnv(3, **arguments)
        singles = SyncVectorEnv([lambda: PreferenceVectorEnv.single(**arguments)] * 3)
        batched.reset(seed=4)
        singles.reset(seed=4)
        for _ in range(9):
            action = batched.action_space.sample()
            np.testing.assert_array_equal(batched.step(action)[4]["preference"], singles.step(action)[4]["preference"])

    def test_a_utility_without_a_target(self, generator: StackGANGenerator) -> None:
        def brightness(media: torch.Tensor) -> torch.Tensor:
            return media.flatten(1).mean(dim=1)

        env = PreferenceVectorEnv(4, generator=generator, similarity=brightness, target=None, goal=None)
        observation, _ = env.reset(seed=0)
        for _ in range(5):
            action = env.action_space.sample()
            media = [brightness(env._searches.generate(noise)) for noise in (action, observation["incumbent"])]
            observation, *_, info = env.step(action)
            np.testing.assert_array_equal(info["preference"][:, 0] == 0, (media[0] > media[1]).numpy())

    def test_an_image_is_described_once_for_all(
        self, generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[TargetOracle] = []
        inner = TargetOracle.__init__
        monkeypatch.setattr(TargetOracle, "__init__", lambda self, *a: (made.append(self), inner(self, *a))[1])
        picture = generator.media.read(np.full((64, 64, 3), 128, dtype=np.uint8))
        from pbg_env.envs.wishes import Wishes

        monkeypatch.setattr(Wishes, "_read", lambda self, source: picture)
        env = PreferenceVectorEnv(5, generator=generator, target="grey.png", goal=None)
        env.reset(seed=0)
        env.reset(seed=1)
        assert len(made) == 1


class TestRendering:
    def test_a_picture_of_each_search(self, generator: StackGANGenerator) -> None:
        env = PreferenceVectorEnv(3, generator=generator, render_mode="rgb_array", goal=None)
        with pytest.raises(ResetNeeded):
            env.render()
        env.reset(seed=0)
        env.step(env.action_space.sample())
        frames = env.render()
        assert frames is not None
        assert [frame.shape for frame in frames] == [(64, 4 * 64 + 3 * 2, 3)] * 3
        assert not np.array_equal(frames[0], frames[1])
        assert PreferenceVectorEnv(3, generator=generator).render() is None


def test_unit_actions_mean_noise(generator: StackGANGenerator) -> None:
    env = PreferenceVectorEnv(2, generator=generator, action="unit", goal=None)
    env.reset(seed=0)
    action = env.action_space.sample()
    assert np.abs(action).max() <= 1
    np.testing.assert_allclose(env.step(action)[0]["candidate"], unit_to_noise(action))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_envs": 0}, ValueError, "num_envs is 0, expected a whole number of at least 1"),
        ({"num_envs": 2.5}, ValueError, "num_envs is 2.5"),
        ({"autoreset_mode": "later"}, ValueError, "unknown autoreset_mode 'later'; expected one of 'NextStep'"),
        ({"colour": "red"}, TypeError, "unknown arguments colour; expected some of generator, discriminator"),
        ({"max_queries": 0}, ValueError, "max_queries is 0"),
    ],
)
def test_mistakes_in_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str, of_id: Arguments
) -> None:
    with pytest.raises(error, match=message):
        gym.make_vec("PBG-StackGANv2-v0", **of_id("PBG-StackGANv2-v0") | arguments)


@pytest.mark.parametrize(
    ("reset", "message"),
    [
        ({"seed": [1, 2, 3]}, "3 seeds for 2 searches"),
        ({"options": {"goal": 1}}, "unknown reset options 'goal'; expected 'target' and 'reset_mask'"),
        ({"options": {"reset_mask": np.zeros(2, dtype=bool)}}, r"reset_mask is .*, expected bool \(2,\), at least one"),
        ({"options": {"reset_mask": np.ones(3, dtype=bool)}}, "reset_mask is"),
        ({"options": {"target": np.zeros(5)}}, r"'prior', or noise of shape \(6,\)"),
    ],
)
def test_mistakes_at_reset(reset: dict[str, Any], message: str, generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceVectorEnv(2, generator=generator).reset(**reset)


def test_mistakes_in_actions(generator: StackGANGenerator) -> None:
    env = PreferenceVectorEnv(2, generator=generator)
    with pytest.raises(ResetNeeded, match="before reset"):
        env.step(np.zeros((2, 6)))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"an action of shape \(6,\), expected \(2, 6\)"):
        env.step(np.zeros(6))
    with pytest.raises(ValueError, match="NaN or infinite"):
        env.step(np.full((2, 6), np.inf))
    with pytest.raises(ValueError, match=r"noise of shape \(6,\), expected \(2, 6\)"):
        env.evaluate(np.zeros(6))


def test_one_target_for_all_is_looked_at_once(generator: StackGANGenerator, tmp_path: Any) -> None:
    file = tmp_path / "target.png"
    generator.media.save(generator.generate(torch.zeros((1, 6)))[0], file)
    calls = []

    def similarity(media: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        calls.append(len(media))
        return -(media - target).square().mean(dim=(1, 2, 3))

    env = PreferenceVectorEnv(4, generator=generator, similarity=similarity, goal=None, diagnostics=True)
    env.reset(seed=0, options={"target": str(file)})
    of_four = len(calls)
    calls.clear()
    single = PreferenceVectorEnv(1, generator=generator, similarity=similarity, goal=None, diagnostics=True)
    single.reset(seed=0, options={"target": str(file)})
    # All four are judged together in three calls at most, however long the search for the best was.
    assert of_four <= len(calls) + 3


def test_targets_of_each_its_own(generator: StackGANGenerator, tmp_path: Any) -> None:
    env = PreferenceVectorEnv(3, generator=generator, goal=0.99)
    noise = np.full(6, 0.5, dtype=np.float32)
    medium = env.generate(noise[None])[0]
    file = generator.media.save(medium, tmp_path / "target.png")
    env.reset(seed=0, options={"target": [file, noise, None]})
    assert torch.equal(env.targets[0], env.targets[1])  # type: ignore[arg-type]
    assert not torch.equal(env.targets[1], env.targets[2])  # type: ignore[arg-type]
    np.testing.assert_allclose(env.evaluate(np.stack([noise] * 3))[:2], 1.0, atol=0.02)
    with pytest.raises(ValueError, match="2 targets for 3 searches; give one for each, or one alone"):
        env.reset(options={"target": [file, noise]})


def test_it_tells_what_the_single_one_tells(generator: StackGANGenerator) -> None:
    env = PreferenceVectorEnv(2, generator=generator, max_queries=9)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert env.queries.tolist() == [1, 1]
    assert (env.has_score, env.pairs_per_step, env.max_queries, env.noise_dim) == (True, 1, 9, 6)
    assert env.generate(np.zeros((5, 6))).shape == (5, *generator.media.shape)
    random = PreferenceVectorEnv(2, generator=generator, oracle="random")
    random.reset(seed=0)
    assert not random.has_score
    assert random.targets == [None, None]


def test_within_inference_mode(generator: StackGANGenerator, tmp_path: Any) -> None:
    file = generator.media.save(generator.generate(torch.zeros((1, 6)))[0], tmp_path / "target.png")
    with torch.inference_mode():
        env = PreferenceVectorEnv(
            2, generator=generator, target=file, similarity=lambda m, t: -(m - t).abs().mean((1, 2, 3))
        )
        env.reset(seed=0)
        score = env.evaluate(np.zeros((2, 6)))
    # The ascents for the best went through tensors that were made there.
    np.testing.assert_allclose(score, 1.0, atol=0.05)


def test_the_autoreset_mode_survives_json_as_text(of_id: Arguments) -> None:
    env = gym.make_vec("PBG-StackGANv2-v0", 2, autoreset_mode="SameStep", **of_id("PBG-StackGANv2-v0"))
    assert env.spec is not None
    again = gym.make_vec(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
