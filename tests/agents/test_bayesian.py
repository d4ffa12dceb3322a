"""Bayesian optimisation by preferences: what it believes, asks and recommends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import agents.bayesian
from agents.bayesian import Comparisons, Posterior, PreferenceGP
from agents.subspace import Coordinates
from pbg_env import NOISE_BOUND, Answer, Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import mean_scores, searched, take_back

FIRST, SECOND, GOOD, BAD = Preference
QUICK: dict[str, Any] = {"begin": 4, "candidates": 64, "polish": 3}


class TestSearch:
    def test_the_same_seed_gives_the_same_search(self, generator: StackGANGenerator) -> None:
        one, same, other = (PreferenceGP(**QUICK) for _ in range(3))
        for agent, seed in ((one, 3), (same, 3), (other, 4)):
            searched(agent, generator, 6, seed)
            # What others draw in between is not what it draws from.
            np.random.rand()  # noqa: NPY002
            torch.rand(1)
        np.testing.assert_array_equal(one.destination, same.destination)
        np.testing.assert_array_equal(one.act(None), same.act(None))
        assert not np.array_equal(one.act(None), other.act(None))

    def test_global_generators_stay_as_they_were(self, generator: StackGANGenerator) -> None:
        agent = PreferenceGP(**QUICK)
        numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
        searched(agent, generator, 6)
        assert agent.destination.any()
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.random.get_rng_state(), torch_state)

    @pytest.mark.parametrize("settings", [{}, {"eager": 0, "refit": 3}, {"eager": 4, "refit": 3}])
    def test_taking_back_is_never_having_observed(self, generator: StackGANGenerator, settings: dict[str, int]) -> None:
        used, fresh = PreferenceGP(**QUICK, **settings), PreferenceGP(**QUICK, **settings)
        _, given = searched(used, generator, 8, teacher="human")
        fresh.reset(generator, None, 3)
        take_back(used, fresh, given, [1, 6])

    def test_whether_it_was_asked_in_between_changes_nothing(self, generator: StackGANGenerator) -> None:
        asked, told = PreferenceGP(**QUICK), PreferenceGP(**QUICK)
        _, given = searched(asked, generator, 7)
        told.reset(generator, None, 3)
        for number, (action, answer) in enumerate(given):
            told.observe(action, np.array([answer]), [number])
        np.testing.assert_array_equal(told.act(None), asked.act(None))
        np.testing.assert_array_equal(told.destination, asked.destination)

    @pytest.mark.parametrize("settings", [{"space": "noise"}, {"dimensions": 4, "recommends": "asked"}])
    def test_it_comes_nearer(self, generator: StackGANGenerator, settings: dict[str, Any]) -> None:
        before, after = mean_scores(lambda: PreferenceGP(**QUICK, **settings), generator, 14, range(2))
        assert after > before + 0.2

    @pytest.mark.parametrize("answer", [GOOD, BAD])
    def test_it_asks_on_where_nothing_is_preferred(self, generator: StackGANGenerator, answer: Preference) -> None:
        agent = PreferenceGP(**QUICK)
        agent.reset(generator, None, 0)
        asked = set()
        for number in range(7):
            action = agent.act(None)
            asked.add(action.tobytes())
            agent.observe(action, np.array([answer]), [number])
        assert len(asked) == 7
        assert np.abs(agent.destination).max() <= NOISE_BOUND

    def test_where_numbers_fail_the_posterior_of_fewer_answers_serves(
        self, generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agent = PreferenceGP(**QUICK)
        _, given = searched(agent, generator, 6)
        of_six = agent.destination
        (_, told) = given[0]
        agent.observe(given[0][0][:, ::-1], np.array([1 - told]), [6])

        def fail(*_: object) -> Posterior:
            monkeypatch.setattr(agents.bayesian, "Posterior", Posterior)
            raise torch.linalg.LinAlgError("as it happens")

        monkeypatch.setattr(agents.bayesian, "Posterior", fail)
        np.testing.assert_array_equal(agent.destination, of_six)
        assert agents.bayesian.Posterior is Posterior

    def test_a_fit_that_fails_leaves_the_hyperparameters(
        self, generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise torch.linalg.LinAlgError("as it happens")

        monkeypatch.setattr(agents.bayesian, "fit_gpytorch_mll", fail)
        agent = PreferenceGP(**QUICK, lengthscale=0.7)
        searched(agent, generator, 5)
        belief = agent._believed()
        assert belief is not None
        lengthscale = belief[0].kernel.base_kernel.lengthscale
        torch.testing.assert_close(lengthscale, torch.full_like(lengthscale, 0.7))


def test_what_it_believes_agrees_with_the_answers(generator: StackGANGenerator) -> None:
    agent = PreferenceGP(**QUICK)
    _, given = searched(agent, generator, 12)
    rates = [agent.rate(torch.from_numpy(action[0])) for action, _ in given]
    agree = [(first > second) == (answer == FIRST) for (first, second), (_, answer) in zip(rates, given, strict=True)]
    assert np.mean(agree) >= 0.9


def test_it_rates_nothing_before_it_has_learned(generator: StackGANGenerator) -> None:
    agent = PreferenceGP(**QUICK)
    agent.reset(generator, None, 0)
    assert agent.rate(torch.zeros(2, 6)) is None
    np.testing.assert_array_equal(agent.destination, 0)


def test_the_posterior_is_that_of_the_process(generator: StackGANGenerator) -> None:
    """Solving once gives what BoTorch solves anew for every point."""
    agent = PreferenceGP(**QUICK)
    searched(agent, generator, 6)
    belief = agent._believed()
    assert belief is not None
    posterior, comparisons = belief
    points = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (5, 6)))
    expected = agent._process(comparisons, posterior.kernel).posterior(points)
    found = posterior.posterior(points)
    torch.testing.assert_close(found.mean, expected.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.covariance_matrix, expected.covariance_matrix, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(posterior.means(points.numpy())), found.mean[:, 0])


def test_comparisons_are_of_distinct_options(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    coordinates = Coordinates.of(generator, "noise", 1)
    one, two, three = rng.standard_normal((3, 6)).astype(np.float32)
    answers = [
        Answer(number, first, second, preference)
        for number, (first, second, preference) in enumerate(
            [(one, two, FIRST), (two, three, SECOND), (one, three, GOOD), (two, one, BAD), (one, one, FIRST)]
        )
    ]
    found = Comparisons.of(answers, coordinates)
    assert found.noise.shape == (3, 6)
    named = [tuple(found.noise[row].tobytes() for row in rows) for rows in found.won]
    expected = [(one, two), (three, two), (one, three), (three, one)]
    assert named == [(better.tobytes(), worse.tobytes()) for better, worse in expected]


class TestCoordinates:
    def test_principal_ones_say_where_noise_lies_along_them(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        coordinates = Coordinates.of(generator, "principal", 4)
        along = coordinates.sample(10, rng).clip(-1, 1)
        assert along.shape == (10, 4)
        np.testing.assert_allclose(coordinates.of_noise(coordinates.to_noise(along)), along, atol=1e-5)
        assert (np.diff(coordinates.shares) <= 0).all()
        assert coordinates.shares.sum() == pytest.approx(1, abs=1e-4)

    def test_those_of_noise_are_itself(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        noise = generator.sample_noise(3, rng).numpy()
        coordinates = Coordinates.of(generator, "noise", 1)
        np.testing.assert_array_equal(coordinates.of_noise(noise), noise)
        np.testing.assert_array_equal(coordinates.to_noise(coordinates.of_noise(noise)), noise)

    def test_there_are_no_more_than_noise_has(self, generator: StackGANGenerator) -> None:
        assert Coordinates.of(generator, "principal", 50).directions.shape == (6, 6)


@pytest.mark.parametrize(
    "settings",
    [
        {"space": "media"},
        {"dimensions": 0},
        {"begin": 0},
        {"refit": 0},
        {"eager": -1},
        {"candidates": 0},
        {"polish": -1},
        {"spread": 0.0},
        {"spread": 1.1},
        {"lengthscale": 0.0},
        {"recommends": "best"},
    ],
)
def test_mistakes(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PreferenceGP(**settings)
