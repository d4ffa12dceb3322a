"""What the environments promise, on every id of the registry where the promise is common to all."""

from __future__ import annotations

import inspect
import json
import pickle
import warnings
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from PIL import Image
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import pbg_env
from pbg_env import Preference, PreferenceEnv, PreferencePairsEnv, sample_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.envs.conftest import IDS, Arguments, is_pairs

FIRST, SECOND, GOOD, BAD = Preference


@pytest.mark.parametrize("name", IDS)
class TestEveryId:
    """`of_id` are the arguments that make an environment of each id small enough for a test."""

    def test_silent_with_unit_actions(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, action="unit", observe_media=True, render_mode="rgb_array", **of_id(name))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped)
            if not is_pairs(name):
                sb3_check_env(env.unwrapped)

    def test_noise_actions_bring_a_recommendation_at_most(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, render_mode="rgb_array", **of_id(name))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_env(env.unwrapped)
            if not is_pairs(name):
                sb3_check_env(env.unwrapped)
        assert all("we recommend" in str(warning.message).lower() for warning in caught), [
            str(w.message) for w in caught
        ]

    @pytest.mark.parametrize("teacher", ["oracle", "human"])
    def test_one_seed_one_search_over_two_resets(self, name: str, teacher: str, of_id: Arguments) -> None:
        first, second = (
            gym.make(name, max_queries=4, diagnostics=True, teacher=teacher, **of_id(name)) for _ in range(2)
        )
        for seed in (7, None):
            one, other = first.reset(seed=seed), second.reset(seed=seed)
            assert data_equivalence(one, other)
            first.action_space.seed(1)
            second.action_space.seed(1)
            for _ in range(4):
                one, other = first.step(first.action_space.sample()), second.step(second.action_space.sample())
                assert data_equivalence(one, other)

    def test_the_spec_survives_json_and_pickle(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, teacher={"beta": 2.0, "equal": "5%"}, goal=None, max_queries=9, **of_id(name))
        for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec)), env.spec):  # type: ignore[union-attr]
            again = gym.make(spec)
            assert again.unwrapped.max_queries == 9  # type: ignore[attr-defined]
            assert data_equivalence(env.reset(seed=3), again.reset(seed=3))
            env.action_space.seed(1)
            action = env.action_space.sample()
            assert data_equivalence(env.step(action), again.step(action))
        json.dumps(env.spec.kwargs)  # type: ignore[union-attr]

    def test_pickled_environments_begin_alike(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, max_queries=7, **of_id(name)).unwrapped
        again = pickle.loads(pickle.dumps(env))
        assert again.max_queries == 7
        assert data_equivalence(env.reset(seed=3), again.reset(seed=3))

    def test_closing_twice_is_fine_and_generators_are_shared(self, name: str, of_id: Arguments) -> None:
        env, other = (gym.make(name, **of_id(name)) for _ in range(2))
        assert env.unwrapped.generator is other.unwrapped.generator  # type: ignore[attr-defined]
        env.close()
        env.close()

    def test_the_targets_own_noise_satisfies(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, max_queries=10, goal=0.99, **of_id(name))
        wish = sample_noise((env.unwrapped.noise_dim,), np.random.default_rng(2))  # type: ignore[attr-defined]
        env.reset(seed=0, options={"target": wish})
        action = np.broadcast_to(wish, env.action_space.shape).astype(np.float32)  # type: ignore[arg-type]
        assert env.unwrapped.evaluate(wish) >= 0.99  # type: ignore[attr-defined]
        _, reward, terminated, truncated, info = env.step(action)
        assert terminated
        assert not truncated
        assert info["is_success"]
        assert float(reward) >= 9

    def test_the_budget_ends_the_search(self, name: str, of_id: Arguments) -> None:
        env = gym.make(name, goal=None, max_queries=3, **of_id(name))
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]
        with pytest.raises(ResetNeeded, match="after the end of the search; call reset"):
            env.step(env.action_space.sample())

    def test_the_manual_has_its_sections(self, name: str, of_id: Arguments) -> None:
        manual = inspect.getdoc(type(gym.make(name, **of_id(name)).unwrapped)) or ""
        for section in ("Description", "Action Space", "Observation Space", "Reward", "Starting State", "Episode End",
                        "Arguments", "Version History"):  # fmt: skip
            assert f"## {section}" in manual

    def test_spawned_workers_answer_like_singles(self, name: str, of_id: Arguments) -> None:
        if is_pairs(name):
            pytest.skip("starting workers takes seconds; the other kind shows it")
        # Processes that start anew have not imported the package: the id says where it is from.
        make = partial(gym.make, f"pbg_env:{name}", goal=None, teacher="noisy", **of_id(name))
        workers = gym.vector.AsyncVectorEnv([make, make], context="spawn")
        singles = gym.vector.SyncVectorEnv([make, make])
        try:
            assert data_equivalence(workers.reset(seed=3), singles.reset(seed=3))
            workers.action_space.seed(1)
            for _ in range(5):
                action = workers.action_space.sample()
                assert data_equivalence(workers.step(action), singles.step(action))
        finally:
            workers.close()


class TestCandidateAgainstIncumbent:
    @pytest.fixture
    def env(self, generator: StackGANGenerator) -> PreferenceEnv:
        return PreferenceEnv(generator, goal=None, max_queries=50, diagnostics=True, observe_media=True)

    def test_a_preferred_candidate_becomes_the_incumbent(self, env: PreferenceEnv) -> None:
        observation, info = env.reset(seed=1)
        env.action_space.seed(1)
        assert info["preference"].tolist() == [-1]
        assert not observation["candidate"].any()
        for step in range(50):
            before = observation["incumbent"]
            candidate = env.action_space.sample()
            better = env.evaluate(candidate) > env.evaluate(before)
            observation, reward, _, _, info = env.step(candidate)
            np.testing.assert_array_equal(observation["candidate"], candidate)
            np.testing.assert_array_equal(observation["incumbent"], candidate if better else before)
            assert reward == float(better)
            assert info["preference"].tolist() == [FIRST if better else SECOND]
            assert info["preference"].dtype == np.int64
            assert observation["answer"].tolist() == np.eye(4)[info["preference"][0]].tolist()
            assert observation["spent"] == np.float32((step + 1) / 50)
            assert info["queries"] == step + 1
            assert info["score"] == pytest.approx(env.evaluate(observation["incumbent"]))

    def test_ties_and_both_bad_keep_the_incumbent(self, generator: StackGANGenerator) -> None:
        for teacher, answer in (({"equal": 1e6}, GOOD), ({"bad": 1e6}, BAD)):
            env = PreferenceEnv(generator, goal=None, teacher=teacher)
            start, _ = env.reset(seed=1)
            observation, reward, _, _, info = env.step(env.action_space.sample())
            assert info["preference"].tolist() == [answer]
            assert reward == 0
            np.testing.assert_array_equal(observation["incumbent"], start["incumbent"])

    def test_media_in_the_observation_are_those_of_the_noise(self, env: PreferenceEnv) -> None:
        env.reset(seed=1)
        observation, *_ = env.step(env.action_space.sample())
        for who in ("incumbent", "candidate"):
            frame = env.generator.media.frame(env.generate(observation[who][None])[0])
            np.testing.assert_array_equal(observation[f"{who}_media"], frame)

    def test_unit_actions_mean_noise(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator, action="unit", goal=None)
        env.reset(seed=1)
        unit = np.linspace(-1, 1, 6, dtype=np.float32)
        observation, *_ = env.step(unit)
        np.testing.assert_allclose(observation["candidate"], pbg_env.unit_to_noise(unit))

    def test_success_pays_the_answers_left(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator, goal=0.9, max_queries=10)
        wish = sample_noise((6,), np.random.default_rng(2))
        env.reset(seed=0, options={"target": wish})
        env.step(-wish)
        _, reward, terminated, _, _ = env.step(wish)
        assert terminated
        assert reward == 1 + 8

    def test_streams_do_not_shift_each_other(self, generator: StackGANGenerator) -> None:
        starts = []
        for target in ("prior", None):
            env = PreferenceEnv(generator)
            observation, _ = env.reset(seed=4, options=None if target else {"target": np.zeros(6)})
            starts.append(observation["incumbent"])
        np.testing.assert_array_equal(starts[0], starts[1])

    def test_render_shows_pair_incumbent_and_target(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator, render_mode="rgb_array", goal=None)
        with pytest.raises(ResetNeeded):
            env.render()
        start, _ = env.reset(seed=1)
        candidate = env.action_space.sample()
        env.step(candidate)
        row = env.render()
        assert row is not None
        assert row.shape == (64, 4 * 64 + 3 * 2, 3)
        for place, noise in ((0, candidate), (1, start["incumbent"])):
            frame = env.generator.media.frame(env.generate(noise[None])[0])
            np.testing.assert_array_equal(row[:, place * 66 : place * 66 + 64], frame)
        assert env.target is not None
        np.testing.assert_array_equal(row[:, 3 * 66 :], env.generator.media.frame(env.target))

    def test_an_oracle_of_the_users_own(self, generator: StackGANGenerator) -> None:
        class Bright:
            def compare(self, first: torch.Tensor, second: torch.Tensor, rng: np.random.Generator) -> np.ndarray:
                return np.where(self.utility(first) > self.utility(second), FIRST, SECOND)

            def utility(self, media: torch.Tensor) -> torch.Tensor:
                return media.flatten(1).mean(dim=1)

        env = PreferenceEnv(generator, oracle=Bright(), goal=None)
        env.reset(seed=0)
        assert env.target is None
        noise = generator.sample_noise(40, np.random.default_rng(0)).numpy()
        scores = env.evaluate(noise)
        brightness = env.generate(noise).flatten(1).mean(dim=1).numpy()
        assert np.corrcoef(scores, brightness)[0, 1] > 0.999
        assert scores.max() < 1.02
        assert abs(scores.mean()) < 0.3

    def test_no_utility_no_score(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator, oracle="random", max_queries=2, diagnostics=True)
        env.reset(seed=0)
        *_, terminated, _, info = env.step(env.action_space.sample())
        assert not terminated
        assert "score" not in info
        with pytest.raises(ValueError, match="RandomOracle has no utility"):
            env.evaluate(np.zeros(6))


class TestPairs:
    def test_pairs_are_asked_as_they_stand(self, generator: StackGANGenerator) -> None:
        env = PreferencePairsEnv(5, generator, goal=None, observe_media=True)
        env.reset(seed=1)
        action = env.action_space.sample()
        assert action.shape == (5, 2, 6)
        scores = env.evaluate(action.reshape(10, 6)).reshape(5, 2)
        observation, reward, _, _, info = env.step(action)
        np.testing.assert_array_equal(info["preference"], np.where(scores[:, 0] > scores[:, 1], FIRST, SECOND))
        np.testing.assert_array_equal(observation["answers"].reshape(5, 4), np.eye(4)[info["preference"]])
        assert info["queries"] == 5
        assert reward == 0
        frame = env.generator.media.frame(env.generate(action[2, 1][None])[0])
        np.testing.assert_array_equal(observation["media"][2, 1], frame)

    def test_what_the_budget_does_not_reach_is_not_asked(self, generator: StackGANGenerator) -> None:
        env = PreferencePairsEnv(3, generator, goal=None, max_queries=4)
        env.reset(seed=1)
        env.step(env.action_space.sample())
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert truncated
        assert not terminated
        assert info["queries"] == 4
        assert info["preference"][0] in (FIRST, SECOND)
        assert info["preference"][1:].tolist() == [-1, -1]
        assert not observation["answers"][4:].any()

    def test_swapping_a_pair_swaps_the_answer(self, generator: StackGANGenerator) -> None:
        env = PreferencePairsEnv(8, generator, goal=None, teacher={"equal": 0.3, "bad": -0.5})
        env.reset(seed=1)
        env.action_space.seed(3)
        action = env.action_space.sample()
        answers = env.step(action)[4]["preference"]
        swapped = env.step(action[:, ::-1])[4]["preference"]
        np.testing.assert_array_equal(swapped, np.array([SECOND, FIRST, GOOD, BAD])[answers])


def test_unknown_render_mode(generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match="unknown render_mode 'human'; expected 'rgb_array' or None"):
        PreferenceEnv(generator, render_mode="human")


class TestScore:
    def test_0_is_a_random_picture_and_1_the_targets_own(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator, goal=None)
        env.reset(seed=5)
        scores = env.evaluate(generator.sample_noise(2000, np.random.default_rng(1)).numpy())
        assert scores.shape == (2000,)
        assert abs(scores.mean()) < 0.05
        assert scores.max() <= 1

    def test_the_best_for_an_image_is_looked_for_once(
        self, generator: StackGANGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)).save(tmp_path / "t.png")
        scores = []
        for _ in range(2):
            env = PreferenceEnv(generator, target=str(tmp_path / "t.png"), goal=None)
            env.reset(seed=0)
            assert capsys.readouterr().err == ""  # nothing is computed that is not asked for
            scores.append(env.evaluate(generator.sample_noise(50, np.random.default_rng(0)).numpy()))
            assert ("looking for the best" in capsys.readouterr().err) == (len(scores) == 1)
        np.testing.assert_array_equal(scores[0], scores[1])
        assert scores[0].max() <= 1

    def test_without_goal_and_evaluate_no_bank_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pbg_env import prior_bank
        from tests.conftest import CPU, small_generator_network

        def refuse(*_: object) -> None:
            raise AssertionError("not asked for")

        monkeypatch.setattr(prior_bank.PriorBank, "utilities", refuse)
        env = PreferenceEnv(StackGANGenerator(small_generator_network(), -1, CPU), goal=None)
        env.reset(seed=0)
        env.step(env.action_space.sample())

    def test_shape_of_noise(self, generator: StackGANGenerator) -> None:
        env = PreferenceEnv(generator)
        env.reset(seed=0)
        assert isinstance(env.evaluate(np.zeros(6)), float)
        with pytest.raises(ValueError, match=r"noise of shape \(5,\), expected \(6,\) or \(batch, 6\)"):
            env.evaluate(np.zeros(5))
