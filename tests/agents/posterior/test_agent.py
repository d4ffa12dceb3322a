"""The posterior agent: that it finds, that taking back is exact, and what it makes of answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.posterior import PosteriorAgent
from agents.posterior.agent import between
from agents.posterior.views import Surroundings
from pbg_env import Preference, PreferencePairsEnv, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.agents.conftest import ask, searched, take_back

SMALL: dict[str, Any] = {"prior_pairs": 200, "mirrored": 60, "tried": 3}


@pytest.mark.parametrize("teacher", ["oracle", "noisy"])
def test_it_comes_near_to_the_target(teacher: str, generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    env, given = searched(agent, generator, 40, teacher=teacher)
    assert env.evaluate(agent.destination) > 0.8 > env.evaluate(np.zeros(6)) + 0.2
    assert all(env.action_space.contains(action) for action, _ in given)
    assert agent.metrics["spread"] < 0.15


def test_the_same_seed_asks_the_same(generator: StackGANGenerator) -> None:
    (_, once), (_, again) = (searched(PosteriorAgent(**SMALL), generator, 12) for _ in range(2))
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(once, again, strict=True))


@pytest.mark.parametrize("teacher", ["oracle", "human"])
def test_taking_back_is_never_having_observed(teacher: str, generator: StackGANGenerator) -> None:
    used, fresh = PosteriorAgent(**SMALL), PosteriorAgent(**SMALL)
    _, given = searched(used, generator, 20, teacher=teacher)
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [1, 15])


def test_taking_back_what_is_long_ago(generator: StackGANGenerator) -> None:
    used, fresh = PosteriorAgent(**SMALL), PosteriorAgent(**SMALL)
    _, given = searched(used, generator, 28)
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [0, 27])


def test_taking_back_the_last_answers_looks_at_nothing_again(
    generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PosteriorAgent(**SMALL)
    agent.reset(generator, None, 3)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=0)
    ask(agent, env, 5)
    before = agent.act(None), agent.destination
    ask(agent, env, 3, 5)
    monkeypatch.setattr(type(generator), "generate", lambda *_: pytest.fail("it generated"))
    agent.retract([5, 6, 7])
    np.testing.assert_array_equal(agent.act(None), before[0])
    np.testing.assert_array_equal(agent.destination, before[1])
    with pytest.raises(ValueError, match="answers \\[7\\] were never observed"):
        agent.retract([7])


def test_views_are_weighed_by_what_they_foretold(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    agent = PosteriorAgent(views=("values", "layout", "deep"), **SMALL)
    searched(agent, generator, 30, tool=discriminator, discriminator=discriminator, similarity="discriminator")
    weights = {name: value for name, value in agent.metrics.items() if name.startswith("weight_")}
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights, key=weights.__getitem__) == "weight_deep"
    # Without a discriminator there is no such view.
    searched(agent, generator, 2)
    assert set(agent._wishes) == {"values", "layout"}


@pytest.mark.parametrize("show", [0.0, 0.5, 1.0])
def test_what_is_recommended_is_shown_as_often_as_is_told(show: float, generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL, show=show)
    agent.reset(generator, None, 3)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=0)
    shown = 0
    for number in range(20):
        shown += any(np.array_equal(noise, agent.destination) for noise in agent.act(None)[0])
        ask(agent, env, 1, number)
    assert shown == 20 * show if show in (0.0, 1.0) else 4 <= shown <= 16


def test_between_two_lines_lies_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    far, near, away = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), rng.standard_normal((8, 3))
    away = np.r_[away, -away]
    # What is the same on both sides is not the line's.
    seen = away @ (0.2 * far + 0.7 * near).T + (away**2).sum(axis=1)[:, None]
    true = 0.2 * far + 0.7 * near
    found = between(far, near, away, seen)
    # Held half-way a little.
    assert np.linalg.norm(found - true) < 0.15 * np.linalg.norm(true)
    assert np.linalg.norm(found - true) < 0.4 * np.linalg.norm((far + near) / 2 - true)


def test_what_is_said_both_bad_is_farther_than_what_is_recommended(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    agent.reset(generator, None, 3)
    action = agent.act(None)
    agent.observe(action, np.array([Preference.BOTH_BAD]), [0])
    wish = agent._wishes["values"]
    looks = agent._around.look(action[0])["values"]
    here = wish.line.at(agent._mean[None])
    for side in looks:
        slopes, offsets, _ = wish.forms(here, side[None], wish.manner)
        # The middle of the prior was recommended: what is wanted is on its side, away from both.
        assert float(slopes[0] @ wish._unknown + offsets[0]) > 0


def test_media_of_another_kind_are_found_too() -> None:
    tones = load_generator("tones")
    agent = PosteriorAgent(**SMALL)
    env = PreferencePairsEnv(1, tones, goal=None)
    env.reset(seed=0)
    agent.reset(tones, None, 3)
    ask(agent, env, 30)
    assert env.evaluate(agent.destination) > env.evaluate(np.zeros(tones.noise_dim)) + 0.1
    assert Surroundings.of(tones, None, ("values", "layout"), 3).views == ["values"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"views": []}, "views are \\[\\]"),
        ({"probes": 3}, "probes is 3, expected an even number"),
        ({"tried": 0}, "tried is 0, expected at least 1"),
        ({"narrow": 0.0}, "narrow 0.0"),
        ({"show": 1.5}, "show is 1.5, expected a share"),
    ],
)
def test_settings_out_of_range(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PosteriorAgent(**told)


def test_views_that_are_not_there(generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match="unknown view 'smell'; expected some of values, layout, convolutions, deep"):
        PosteriorAgent(views=["smell"]).reset(generator, None, 0)
    with pytest.raises(ValueError, match="none of the views deep is there for these media; add 'values'"):
        PosteriorAgent(views=["deep"]).reset(generator, None, 0)
