"""Optuna's preferential sampler: what it is told, and what it asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import torch

from agents.optuna_sampler import PreferentialSampler
from pbg_env import Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import mean_scores, searched, take_back

FIRST, SECOND, GOOD, BAD = Preference


def test_the_same_seed_gives_the_same_search(generator: StackGANGenerator) -> None:
    one, same, other = (PreferentialSampler(dimensions=2) for _ in range(3))
    for agent, seed in ((one, 3), (same, 3), (other, 4)):
        searched(agent, generator, 2, seed)
    np.testing.assert_array_equal(one.act(None), same.act(None))
    assert not np.array_equal(one.act(None), other.act(None))


def test_taking_back_is_never_having_observed(generator: StackGANGenerator) -> None:
    used, fresh = PreferentialSampler(dimensions=2), PreferentialSampler(dimensions=2)
    _, given = searched(used, generator, 4, teacher="human")
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [1])


def test_it_comes_nearer(generator: StackGANGenerator) -> None:
    before, after = mean_scores(lambda: PreferentialSampler(dimensions=2), generator, 4, (0, 2))
    assert after > before + 0.15


def test_what_was_preferred_is_the_best_and_ties_keep_it(generator: StackGANGenerator) -> None:
    agent = PreferentialSampler(dimensions=2)
    agent.reset(generator, None, 0)
    for number, answer in enumerate((SECOND, GOOD, FIRST, BAD)):
        action, best = agent.act(None), agent.destination
        np.testing.assert_array_equal(action[0, 1], best)
        agent.observe(action, np.array([answer]), [number])
        np.testing.assert_array_equal(agent.destination, action[0, 0] if answer == FIRST else best)


def test_a_study_holds_the_latest_preferences(generator: StackGANGenerator) -> None:
    agent = PreferentialSampler(space="noise", remembered=2)
    agent.reset(generator, None, 0)
    options = generator.sample_noise(5, np.random.default_rng(0)).numpy()
    for number, answer in enumerate((FIRST, FIRST, GOOD, SECOND)):
        agent.observe(options[None, number : number + 2], np.array([answer]), [number])
    preferred = [
        tuple(list(trial.params.values()) for trial in pair) for pair in agent._study(seed=0).get_preferences()
    ]
    expected = [(options[1], options[2]), (options[4], options[3])]
    coordinates = [[list(agent._unit(option[None])[0]) for option in pair] for pair in expected]
    np.testing.assert_allclose(preferred, coordinates)


def test_lengthscales_are_in_distances_between_prior_samples(generator: StackGANGenerator) -> None:
    agent = PreferentialSampler(space="noise", lengthscale=1.4)
    agent.reset(generator, None, 0)
    unit = np.random.default_rng(0).uniform(size=(2, 4096, 6))  # the sampler's parameters are uniform in a cube
    distance = np.sqrt(np.square(unit[0] - unit[1]).sum(axis=1).mean())
    kernel = agent._kernel()
    assert kernel is not None
    prior = kernel.lengthscale_prior
    assert float((prior.concentration - 1) / prior.rate) == pytest.approx(1.4 * distance, rel=0.02)
    torch.testing.assert_close(kernel.lengthscale, torch.full((1, 6), 1.4), check_dtype=False)


def test_it_asks_on_where_nothing_is_preferred(generator: StackGANGenerator) -> None:
    agent = PreferentialSampler(dimensions=2)
    agent.reset(generator, None, 0)
    begun, asked = agent.destination, set()
    for number, answer in enumerate([GOOD, BAD] * 5):
        action = agent.act(None)
        asked.add(action.tobytes())
        agent.observe(action, np.array([answer]), [number])
    assert len(asked) == 10
    np.testing.assert_array_equal(agent.destination, begun)


def test_it_is_silent_and_leaves_the_log_as_it_was(
    generator: StackGANGenerator, capfd: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    searched(PreferentialSampler(dimensions=2), generator, 2)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_where_numbers_fail_it_asks_on(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.linalg.LinAlgError("as it happens")

    agent = PreferentialSampler(dimensions=2)
    _, given = searched(agent, generator, 1)
    monkeypatch.setattr(agent, "_study", fail)
    action = agent.act(None)
    assert not np.array_equal(action, given[0][0])
    np.testing.assert_array_equal(agent.act(None), action)


@pytest.mark.parametrize("settings", [{"space": "media"}, {"dimensions": 0}, {"remembered": 0}, {"lengthscale": 0.0}])
def test_mistakes(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PreferentialSampler(**settings)
