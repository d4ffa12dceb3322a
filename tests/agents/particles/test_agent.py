"""The particle agent: that it finds, that taking back is exact, and what it makes of answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.particles import ParticleAgent
from pbg_env import Preference, PreferencePairsEnv, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.agents.conftest import ask, searched

SMALL: dict[str, Any] = {"particles": 48, "candidates": 60}


@pytest.mark.parametrize("teacher", ["oracle", "noisy"])
def test_it_comes_near_to_the_target(teacher: str, generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL)
    env, given = searched(agent, generator, 60, teacher=teacher)
    assert env.evaluate(agent.destination) > 0.8 > env.evaluate(np.zeros(6)) + 0.2
    assert all(env.action_space.contains(action) for action, _ in given)
    assert agent.metrics["spread"] < 0.1
    assert agent.confidence == pytest.approx(1 - agent.metrics["spread"])


def test_the_same_seed_asks_the_same(generator: StackGANGenerator) -> None:
    (_, once), (_, again) = (searched(ParticleAgent(**SMALL), generator, 12) for _ in range(2))
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(once, again, strict=True))


def test_the_view_that_somebody_goes_by_weighs_most_in_the_end(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    agent = ParticleAgent(views=("values", "deep"), **SMALL)
    env, _ = searched(agent, generator, 60, tool=discriminator, discriminator=discriminator, similarity="discriminator")
    assert agent.metrics["weight_deep"] > 0.6 > agent.metrics["weight_values"] + 0.2
    assert env.evaluate(agent.destination) > 0.8
    # Without a discriminator there is no such view.
    searched(agent, generator, 2)
    assert "weight_deep" not in agent.metrics
    assert agent.metrics["weight_values"] == 1.0


def test_media_of_a_question_are_mirror_images_as_near_as_it_reaches(generator: StackGANGenerator) -> None:
    def apart(reach: float) -> float:
        agent = ParticleAgent(**SMALL, reach=reach)
        env, given = searched(agent, generator, 8)
        del env
        first, second = agent.act(None)[0]
        np.testing.assert_allclose((first + second) / 2, agent.destination, atol=1e-5)
        return float(np.mean([np.linalg.norm(action[0, 0] - action[0, 1]) for action, _ in given]))

    assert apart(0.1) < 0.5 * apart(1.0)


@pytest.mark.parametrize("show", [0.0, 0.5, 1.0])
def test_what_is_recommended_is_shown_as_often_as_is_told(show: float, generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL, show=show)
    env, _ = searched(agent, generator, 0)
    shown = 0
    for number in range(20):
        shown += any(np.array_equal(noise, agent.destination) for noise in agent.act(None)[0])
        ask(agent, env, 1, number)
    assert shown == 20 * show if show in (0.0, 1.0) else 4 <= shown <= 16


def test_what_is_recommended_is_nearest_to_what_is_believed(generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL)
    searched(agent, generator, 20)
    belief = agent._belief
    wanted, weighed = belief.wanted(), belief.weighed
    away = float((weighed * (agent._seen - wanted).square()).sum())
    places = torch.from_numpy(agent._surrogate.around.coordinates.sample(200, np.random.default_rng(0))).float()
    others, _ = agent._surrogate.look(places)
    assert away < float((weighed * (others - wanted).square()).sum(dim=1).min())


def test_what_is_said_both_bad_is_farther_than_what_is_recommended(generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL)
    agent.reset(generator, None, 3)
    action, here = agent.act(None), agent._seen
    features, _ = agent._looked(*action[0])
    agent.observe(action, np.array([Preference.BOTH_BAD]), [0])
    torch.testing.assert_close(agent._asked.features[0], torch.stack((here, here)))
    torch.testing.assert_close(agent._asked.features[1], features)
    assert agent._asked.answers.tolist() == [Preference.FIRST, Preference.FIRST]
    # What is recommended is not compared with itself.
    other = agent.act(None)[0, 0]
    agent.observe(np.stack((agent.destination, other))[None], np.array([Preference.BOTH_BAD]), [1])
    assert len(agent._asked) == 3
    same = np.stack((agent.destination, agent.destination))[None]
    agent.observe(same, np.array([Preference.BOTH_BAD]), [2])
    assert len(agent._asked) == 3
    assert np.isfinite(agent.destination).all()


def test_a_search_begun_again_begins_there(generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL)
    env, _ = searched(agent, generator, 30)
    found = agent.destination
    agent.restart(found)
    assert agent.rounds == 0
    assert env.evaluate(agent.destination) > env.evaluate(np.zeros(6))
    ask(agent, env, 3)
    assert agent.rounds == 3


def test_confidence_begins_at_nothing(generator: StackGANGenerator) -> None:
    agent = ParticleAgent(**SMALL)
    agent.reset(generator, None, 3)
    assert agent.confidence == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_media_of_another_kind_are_found_too(dtype: torch.dtype) -> None:
    tones = load_generator("tones", dtype=dtype)
    agent = ParticleAgent(**SMALL)
    env = PreferencePairsEnv(1, tones, goal=None)
    env.reset(seed=0)
    agent.reset(tones, None, 3)
    ask(agent, env, 30)
    assert env.evaluate(agent.destination) > env.evaluate(np.zeros(tones.noise_dim)) + 0.1


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"views": []}, "views are \\[\\]"),
        ({"particles": 1}, "particles is 1, expected at least 2"),
        ({"candidates": 0}, "candidates is 0, expected at least 1"),
        ({"dimensions": 0}, "dimensions is 0, expected at least 1"),
        ({"reach": 0.0}, "reach 0.0"),
        ({"show": 1.5}, "show is 1.5, expected a share"),
    ],
)
def test_settings_out_of_range(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParticleAgent(**told)


def test_views_that_are_not_there(generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match="view 'smell' is none of values, noise"):
        ParticleAgent(views=["smell"]).reset(generator, None, 0)
    with pytest.raises(ValueError, match="none of the views deep is there for these media; add 'values'"):
        ParticleAgent(views=["deep"]).reset(generator, None, 0)
