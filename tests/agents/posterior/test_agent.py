"""The posterior agent: that it finds, that taking back is exact, and what it makes of answers."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from agents.posterior import PosteriorAgent
from agents.posterior.agent import between
from agents.posterior.surroundings import Surroundings
from agents.posterior.views import Points
from pbg_env import Preference, PreferencePairsEnv, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.agents.conftest import ask, searched

SMALL: dict[str, Any] = {"mirrored": 60, "tried": 3}


@pytest.mark.parametrize("teacher", ["oracle", "noisy"])
def test_it_comes_near_to_the_target(teacher: str, generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    env, given = searched(agent, generator, 60, teacher=teacher)
    assert env.evaluate(agent.destination) > 0.8 > env.evaluate(np.zeros(6)) + 0.2
    assert all(env.action_space.contains(action) for action, _ in given)
    assert agent.metrics["spread"] < 0.1


def test_the_same_seed_asks_the_same(generator: StackGANGenerator) -> None:
    (_, once), (_, again) = (searched(PosteriorAgent(**SMALL), generator, 12) for _ in range(2))
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(once, again, strict=True))


def test_the_view_that_somebody_goes_by_is_followed_in_the_end(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    agent = PosteriorAgent(views=("values", "layout", "deep"), **SMALL)
    searched(agent, generator, 30, tool=discriminator, discriminator=discriminator, similarity="discriminator")
    follows = {name: value for name, value in agent.metrics.items() if name.startswith("follows_")}
    assert follows == {"follows_values": 0.0, "follows_layout": 0.0, "follows_deep": 1.0}
    # Without a discriminator there is no such view.
    searched(agent, generator, 2)
    assert set(agent._wishes) == {"values", "layout"}


@pytest.mark.parametrize("show", [0.0, 0.5, 1.0])
def test_what_is_recommended_is_shown_as_often_as_is_told(show: float, generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(views=["values"], **SMALL, show=show)
    agent.reset(generator, None, 3)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=0)
    shown = 0
    for number in range(20):
        shown += any(np.array_equal(noise, agent.destination) for noise in agent.act(None)[0])
        ask(agent, env, 1, number)
    assert shown == 20 * show if show in (0.0, 1.0) else 4 <= shown <= 16


def test_media_of_a_question_lie_as_near_as_its_view_reaches(
    generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(reach: float) -> float:
        monkeypatch.setattr(Points, "reach", reach)
        agent = PosteriorAgent(views=["noise"], **SMALL)
        agent.reset(generator, None, 0)
        media = agent._mirror_images()
        np.testing.assert_allclose(media[:3] - agent.destination, agent.destination - media[3:], atol=1e-6)
        return float(np.linalg.norm(media - agent.destination, axis=1).mean())

    assert apart(0.25) < 0.6 * apart(1.0) < 0.6 * apart(2.0)


def test_what_views_recommend_is_compared_now_and_then(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    env, _ = searched(agent, generator, 2)
    # Far ahead: it is compared as soon as any, and not after the 20 answers of patience.
    agent._contest.hear({"noise": 0.0, "values": 5.0})
    compared = []
    for number in range(2, 40):
        question = agent._next
        if question.compares is not None:
            compared.append(number)
            assert set(question.compares) == {"noise", "values"}
            shown = dict(zip(question.compares, question.noise, strict=True))
            np.testing.assert_array_equal(shown.pop(agent._contest.followed), agent.destination)
            ((other, noise),) = shown.items()
            # Of what lies on the way to what the other view believes in, nothing is nearer to that.
            wish = agent._wishes[other]
            looks = agent._around.look(np.stack((noise, agent.destination)))[other]
            assert wish.away(looks)[0] <= wish.away(looks)[1]
        ahead, wishes = agent._contest.ahead, {view: copy.copy(wish) for view, wish in agent._wishes.items()}
        ask(agent, env, 1, number)
        if question.compares is None:
            answer = agent._history[-1].preference
            foretold = {view: wishes[view].foretold(*question.features[view], answer) for view in ahead}
            assert agent._contest.ahead == {view: max(ahead[view] + foretold[view], -2.0) for view in ahead}
    assert compared[0] == 3
    assert len(compared) > 1
    assert all(later - earlier > 4 for earlier, later in itertools.pairwise(compared))


def test_the_view_whose_recommendation_is_preferred_is_followed(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    env, _ = searched(agent, generator, 4)
    for number in range(4, 20):
        if agent._next.compares is not None:
            break
        ask(agent, env, 1, number)
    asked, compares = agent.act(None), agent._next.compares
    assert compares is not None
    # An answer about another pair says nothing of it.
    agent.observe(asked + np.float32(0.01), np.array([Preference.FIRST]), [20])
    assert agent._contest.followed == "noise"
    agent.retract([20])
    agent.observe(asked, np.array([compares.index("values")]), [21])
    assert agent._contest.followed == "values"
    assert agent.metrics["follows_values"] == 1.0
    agent.retract([21])
    agent.observe(asked, np.array([compares.index("noise")]), [22])
    assert agent._contest.followed == "noise"


def test_one_view_is_never_compared(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL, views=["values"])
    env, _ = searched(agent, generator, 6)
    for number in range(6, 20):
        assert agent._next.compares is None
        ask(agent, env, 1, number)


def test_somebody_who_goes_by_noise_is_found_out(generator: StackGANGenerator) -> None:
    """Answers are by distances between points in noise, which the distances of media differ from."""
    agent = PosteriorAgent(**SMALL)
    agent.reset(generator, None, 3)
    wanted = agent._around.look(agent._around.noise[7:8])["noise"][0]
    for number in range(40):
        action = agent.act(None)
        far = [np.linalg.norm(agent._around.look(side[None])["noise"][0] - wanted) for side in action[0]]
        agent.observe(action, np.array([Preference.FIRST if far[0] < far[1] else Preference.SECOND]), [number])
    assert agent.metrics["follows_noise"] == 1.0
    here = agent._around.look(agent.destination[None])["noise"][0]
    assert np.linalg.norm(here - wanted) < 0.4 * np.linalg.norm(wanted)


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
    here = agent._seen["values"]
    looks = agent._around.look(action[0])["values"]
    before = copy.copy(agent._wishes["values"])
    agent.observe(action, np.array([Preference.BOTH_BAD]), [0])
    asked, wish = agent._asked["values"], agent._wishes["values"]
    np.testing.assert_array_equal(asked.first, [here, here])
    np.testing.assert_allclose(asked.second, looks, atol=1e-6)
    assert asked.answers.tolist() == [Preference.FIRST, Preference.FIRST]
    # What is wanted is believed to be farther from the two than before, compared with what was recommended.
    slopes = before.forms(asked.first, asked.second, before.manner).slopes
    assert (slopes @ (wish._unknown - before._unknown)).sum() > 0


def test_of_both_bad_answers_what_is_recommended_is_not_compared_with_itself(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL)
    agent.reset(generator, None, 3)
    other = agent.act(None)[0, 0]
    agent.observe(np.stack((agent.destination, other))[None], np.array([Preference.BOTH_BAD]), [0])
    assert len(agent._asked["values"].answers) == 1


def test_a_search_begun_again_learns_as_soon_as_any(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(**SMALL, manner_every=3, narrow=2.0)
    env, _ = searched(agent, generator, 4)
    agent.restart(agent.destination)
    looked, moved = [], []
    for number in range(8):
        before = agent._manner_at, agent._moved_at
        ask(agent, env, 1, number)
        looked += [number] * (agent._manner_at != before[0])
        moved += [number] * (agent._moved_at != before[1])
    assert len(looked) >= 2
    assert len(moved) == 2
    assert agent.rounds == 8


def test_confidence_begins_at_nothing(generator: StackGANGenerator, discriminator: StackGANDiscriminator) -> None:
    for view in ("values", "layout", "convolutions", "deep"):
        agent = PosteriorAgent(**SMALL, views=[view])
        agent.reset(generator, discriminator, 3)
        assert agent.confidence == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_media_of_another_kind_are_found_too(dtype: torch.dtype) -> None:
    tones = load_generator("tones", dtype=dtype)
    agent = PosteriorAgent(**SMALL)
    env = PreferencePairsEnv(1, tones, goal=None)
    env.reset(seed=0)
    agent.reset(tones, None, 3)
    ask(agent, env, 30)
    assert env.evaluate(agent.destination) > env.evaluate(np.zeros(tones.noise_dim)) + 0.1
    assert Surroundings.of(tones, None, ("values", "layout"), 3).views.keys() == {"values"}


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


def test_a_similarity_is_a_view(generator: StackGANGenerator, discriminator: StackGANDiscriminator) -> None:
    agent = PosteriorAgent(**SMALL, views=["values", "discriminator"])
    searched(agent, generator, 12, tool=discriminator, discriminator=discriminator, similarity="discriminator")
    assert set(agent.metrics) >= {"follows_values", "follows_discriminator"}
    # It goes by angles: distances between features are those on the unit sphere, in other units.
    noise = agent._around.noise[:8]
    described = discriminator.features(generator.generate(torch.from_numpy(noise))).numpy()
    lengths = np.linalg.norm(described, axis=1, keepdims=True)
    assert lengths.std() > 0.01 * lengths.mean()
    features = agent._around.look(noise)["discriminator"]
    apart, seen = (
        np.linalg.norm(d[:, None] - d, axis=2)[np.triu_indices(8, 1)] for d in (described / lengths, features)
    )
    np.testing.assert_allclose(seen / apart, np.mean(seen / apart), rtol=0.05)


def test_views_that_are_not_there(generator: StackGANGenerator) -> None:
    message = "view 'smell' is none of values, noise, layout, convolutions, deep, and no similarity: unknown similarity"
    with pytest.raises(ValueError, match=message):
        PosteriorAgent(views=["smell"]).reset(generator, None, 0)
    with pytest.raises(ValueError, match="view 'ssim': this similarity compares media without describing them"):
        PosteriorAgent(views=["ssim"]).reset(generator, None, 0)
    with pytest.raises(ValueError, match="none of the views deep is there for these media; add 'values'"):
        PosteriorAgent(views=["deep"]).reset(generator, None, 0)
