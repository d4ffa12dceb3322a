"""Samples of users and of what they want."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.particles import belief as module
from agents.particles.belief import Asked, Belief, Media
from agents.particles.surrogate import Surrogate
from pbg_env import Discriminator, Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator

VIEWS = ("values", "noise")


def of(generator: StackGANGenerator, discriminator: Discriminator | None, *views: str, particles: int = 64) -> Belief:
    surrogate = Surrogate.of(generator, discriminator, views or VIEWS, 6)
    return Belief(surrogate, particles, np.random.default_rng(0))


def media(belief: Belief, places: Tensor) -> Media:
    return Media(belief.features(places), torch.zeros(len(places), len(belief._surrogate.views)))


def told(belief: Belief, pairs: int, wanted: Tensor, view: str) -> Asked:
    """Answers about random pairs by somebody who goes by one view."""
    drawn = torch.Generator().manual_seed(2)
    part = belief._surrogate.views[view].part
    asked = Asked.nothing(belief._surrogate.width, len(belief._surrogate.views), 1)
    at = belief.features(wanted[None])[0, part]
    for _ in range(pairs):
        features = belief.features(torch.randn(2, 6, generator=drawn))
        far = (features[:, part] - at).square().sum(dim=1)
        answer = Preference.FIRST if far[0] < far[1] else Preference.SECOND
        asked = asked.and_also(features, torch.zeros(2, len(belief._surrogate.views), 1), answer)
    return asked


def learned(belief: Belief, asked: Asked) -> None:
    rng = np.random.default_rng(1)
    for known in range(len(asked)):
        part = Asked(asked.features[:, : known + 1], asked.details[:, : known + 1], asked.answers[: known + 1])
        belief.learn(part, known, asked.details[0, 0], rng)


def test_without_answers_samples_stay_those_of_the_prior(generator: StackGANGenerator) -> None:
    belief = of(generator, None, particles=400)
    nothing = Asked.nothing(belief._surrogate.width, 2, 1)
    rng = np.random.default_rng(1)
    before = belief._draws
    for _ in range(30):
        belief.learn(nothing, 0, torch.zeros(2, 1), rng)
    assert (belief._draws - before).abs().mean() > 0.5
    for samples in (belief._draws, belief._traits):
        torch.testing.assert_close(samples.mean(dim=0), torch.zeros(samples.shape[1]), atol=0.2, rtol=0)
        torch.testing.assert_close(samples.var(dim=0), torch.ones(samples.shape[1]), atol=0.3, rtol=0)


def test_samples_are_of_the_posterior(generator: StackGANGenerator) -> None:
    """As weights on many draws from the prior give it."""
    belief = of(generator, None, particles=600)
    asked = told(belief, 6, torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, 0.0]), "values")
    many = of(generator, None, particles=60_000)
    sides = asked.sides(asked.details[0, 0])
    with torch.no_grad():
        weights = (
            many._log_likelihoods(many._draws, many._traits, sides, asked.answers, ties=False).sum(dim=1).softmax(0)
        )
    assert 1 / weights.square().sum() > 1000
    learned(belief, asked)
    rng = np.random.default_rng(3)
    means = []
    for _ in range(40):
        belief.learn(asked, 6, asked.details[0, 0], rng)
        means.append(belief.places.mean(dim=0))
    found = torch.stack(means).mean(dim=0)
    torch.testing.assert_close(found, weights @ many.places, atol=0.08, rtol=0)


@pytest.mark.parametrize("view", ["values", "noise"])
def test_what_somebody_goes_by_is_found(view: str, generator: StackGANGenerator) -> None:
    belief = of(generator, None)
    wanted = torch.tensor([1.0, -1.0, 1.5, -0.5, 0.5, 1.0])
    before = belief.spread
    learned(belief, told(belief, 60, wanted, view))
    weights = dict(zip(belief._surrogate.views, belief.weights.tolist(), strict=True))
    assert weights[view] > 0.6
    assert belief.spread < 0.2 * before
    part = belief._surrogate.views[view].part
    off = (belief.wanted() - belief.features(wanted[None])[0])[part].square().sum()
    assert off < 0.2 * belief.features(wanted[None])[0, part].square().sum()


def test_of_every_pair_something_is_said(generator: StackGANGenerator) -> None:
    belief = of(generator, None, particles=8)
    pairs = [media(belief, torch.randn(20, 6, generator=torch.Generator().manual_seed(seed))) for seed in (1, 2)]
    every = [
        belief._log_likelihoods(
            belief._draws, belief._traits, (pairs[0], pairs[1]), torch.full((20,), int(answer)), ties=True
        ).exp()
        for answer in (Preference.FIRST, Preference.SECOND, Preference.BOTH_GOOD)
    ]
    torch.testing.assert_close(sum(every), torch.ones(8, 20), atol=1e-4, rtol=0)
    chances = belief.chances(*pairs) + belief.chances(pairs[1], pairs[0])
    torch.testing.assert_close(chances, torch.ones(8, 20))


def test_who_calls_much_equal_has_wide_ties(generator: StackGANGenerator) -> None:
    belief, other = of(generator, None), of(generator, None)
    asked = told(belief, 30, torch.ones(6), "values")
    half = torch.where(torch.arange(30) % 2 == 0, asked.answers, int(Preference.BOTH_GOOD))
    learned(belief, Asked(asked.features, asked.details, half))
    assert belief.users.tie.mean() > 1.5 * other.users.tie.mean()
    assert belief.spread < other.spread


def test_worth_is_what_answers_take_away(generator: StackGANGenerator) -> None:
    """Of many particles: what weights by either answer leave of the spread, averaged over answers."""
    belief = of(generator, None, particles=4000)
    pairs = [media(belief, torch.randn(12, 6, generator=torch.Generator().manual_seed(seed))) for seed in (1, 2)]
    features = belief.features(belief.places)
    chances = belief.chances(*pairs)
    spreads = []
    for pair in range(12):
        left = 0.0
        for chance in (chances[:, pair], 1 - chances[:, pair]):
            weights = chance / chance.sum()
            away = features - weights @ features
            left += float(chance.mean() * (weights @ (belief.weighed * away.square()).sum(dim=1)))
        spreads.append(belief.spread - left)
    np.testing.assert_allclose(belief.worth(pairs[0], pairs[1]), spreads, atol=0.02 * max(spreads), rtol=0.05)
    assert max(spreads) > 1.4 * min(spreads)


def test_the_surrogate_is_right_where_it_was_compared(generator: StackGANGenerator) -> None:
    belief = of(generator, None)
    place = torch.full((6,), 0.5)
    wrong = belief.features(place[None])[0] + 0.1
    far = belief.features(20 * place[None])
    belief.seen(place, wrong)
    torch.testing.assert_close(belief.features(place[None])[0], wrong)
    torch.testing.assert_close(belief.features(20 * place[None]), far)
    near = place + 0.3
    ends = (belief.features(near + sign * 0.01 * torch.eye(6)) for sign in (1, -1))
    torch.testing.assert_close(belief.jacobian(near), ((next(ends) - next(ends)) / 0.02).T, atol=3e-3, rtol=0)


def test_steps_lie_along_few_directions(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEADING", 0)
    belief = of(generator, None)
    steps = belief.steps(50, (2,), np.random.default_rng(0))
    assert steps.shape == (50, 6)
    assert np.linalg.matrix_rank(steps.numpy(), tol=1e-4) == 2


def test_what_is_copied_stays(generator: StackGANGenerator) -> None:
    belief = of(generator, None)
    asked = told(belief, 5, torch.ones(6), "values")
    kept = copy.copy(belief)
    before = [belief._draws.clone(), belief._traits.clone(), belief._root.clone()]
    learned(belief, asked)
    after = (kept._draws, kept._traits, kept._root)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise((kept._draws, belief._draws)))
