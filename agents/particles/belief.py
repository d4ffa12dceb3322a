"""Who answers and what they want, as samples from the posterior over both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.particles.surrogate import Surrogate
from pbg_env import Preference

# What is thought of a user before any answer: medians, and how far from these they may be. Noise and mismatch are in
# units of what is compared, a tie's half-width in units of noise, in orders of e; mistakes in orders of e of the odds.
_NOISE, _UNSURE_OF_NOISE = 0.08, 0.8
_MISMATCH, _UNSURE_OF_MISMATCH = 0.05, 0.7
_TIE, _UNSURE_OF_TIE = 0.3, 1.0
_MISTAKES, _UNSURE_OF_MISTAKES = 0.015, 1.0
_UNSURE_OF_WEIGHTS = 1.5
_UNSURE_OF_POWER = 1.5
_UNSURE_OF_RADIUS = 0.35
_TRAITS = 6

_LEAPS = 6
_STEP = 0.15
_STEPS = (0.01, 0.8)
_JITTERED = (0.7, 1.3)
# Of a step among draws, one among traits.
_TRAITS_STEP = 0.6
_ACCEPTED = 0.7
_HASTE = 0.3
# Squared distance in noise, of 2 between samples of the prior, over which the surrogate's error changes.
_NEAR = 0.27
# Of the directions that are most uncertain, so many are steps of their own.
_LEADING = 12
_JITTER = 1e-6
_SMALLEST = 1e-4
_LEAST_CHANCE = 1e-8


class Users(NamedTuple):
    """How users answer, each (users,) but the weights.

    Attributes:
        weights: of squared distances in each view, in sum 1, (users, views).
        noise: standard deviation of what is felt beside the difference of utilities.
        mismatch: of what is felt because they go by something else, as a share of the utility.
        power: of the distance, by which the utility falls, in [1, 2].
        tie: half the width of what counts as equal, in units of noise.
        mistake: share of answers that name the other one, in [0, ½).
        radius: how far out what they want may lie, in draws from the prior.
    """

    weights: Tensor
    noise: Tensor
    mismatch: Tensor
    power: Tensor
    tie: Tensor
    mistake: Tensor
    radius: Tensor


@dataclass(frozen=True)
class Media:
    """Media, as views describe them.

    Attributes:
        features: side by side, (media, width).
        rests: squared distances in what features leave out, to what is recommended, (media, views).
    """

    features: Tensor
    rests: Tensor


class Wanted(NamedTuple):
    """Media of places, as the surrogate tells them.

    Attributes:
        features: (places, width).
        doubt: which share of the surrogate's usual error is left in them, (places,).
    """

    features: Tensor
    doubt: Tensor


@dataclass(frozen=True)
class Asked:
    """Pairs of media and what was said of them.

    Attributes:
        features: of both sides, (2, pairs, width).
        details: beyond those, (2, pairs, views, finer).
        answers: (pairs,), each a `Preference` but `BOTH_BAD`.
    """

    features: Tensor
    details: Tensor
    answers: Tensor

    @classmethod
    def nothing(cls, width: int, views: int, finer: int) -> Asked:
        return cls(torch.zeros(2, 0, width), torch.zeros(2, 0, views, finer), torch.zeros(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.answers)

    def and_also(self, features: Tensor, details: Tensor, answer: Preference) -> Asked:
        """With a pair more: features (2, width), details (2, views, finer)."""
        return Asked(
            torch.cat((self.features, features[:, None]), dim=1),
            torch.cat((self.details, details[:, None]), dim=1),
            torch.cat((self.answers, torch.tensor([int(answer)]))),
        )

    def sides(self, recommended: Tensor) -> tuple[Media, Media]:
        """First and second, beside details (views, finer) of what is recommended."""
        rests = (self.details - recommended).square().sum(dim=3)
        return Media(self.features[0], rests[0]), Media(self.features[1], rests[1])


class Belief:
    """Samples of (w*, a user) from the posterior by the answers.

    The user wants the medium of noise w* = r z, z ~ N(0, I), and of two prefers the one nearer to it, by

        D²(x) = Σᵥ aᵥ ‖fᵥ(x) − fᵥ(w*)‖² + what the surrogate leaves out,

    in views v with weights a of their own. What the surrogate leaves out is known where it was compared with a medium,
    and the less the farther from there. Utility is −Dᵖ / p, felt with noise. All of z, r, a, p, the noise, how
    far they go by something else, ties and mistakes is unknown, and sampled along: by weights of the newest answer, and
    Hamiltonian Monte Carlo (Neal 2011) through the surrogate's gradient, in the metric of a Gauss–Newton account.

    Args:
        surrogate: of the generator.
        particles: how many samples.
        rng: draws them.
    """

    def __init__(self, surrogate: Surrogate, particles: int, rng: np.random.Generator) -> None:
        self._surrogate = surrogate
        views = list(surrogate.views.values())
        self._errors = torch.tensor([view.error for view in views])
        self._view_of = torch.empty(surrogate.width, dtype=torch.int64)
        for number, view in enumerate(views):
            self._view_of[view.part] = number
        self._draws = _normal(rng, particles, surrogate.dimensions)
        self._traits = _normal(rng, particles, len(views) + _TRAITS)
        self._step = _STEP
        self._root = torch.eye(surrogate.dimensions)
        self._centre, self._off = torch.zeros(surrogate.dimensions), torch.zeros(surrogate.width)
        shares = torch.from_numpy(surrogate.around.coordinates.shares).float()
        self._shares = shares / shares.sum()

    def seen(self, place: Tensor, features: Tensor) -> None:
        """Takes the features (width,) of the medium at a place (dimensions,) as they are, for the surrogate's error
        there and nearby."""
        self._centre, self._off = place, features - self._surrogate(place[None])[0]

    def _near(self, places: Tensor) -> Tensor:
        """Which share of the surrogate's error where it was compared is its error at places (batch, dimensions)."""
        return torch.exp(-((places - self._centre).square() @ self._shares) / _NEAR)

    def _wanted(self, places: Tensor) -> Wanted:
        near = self._near(places)
        return Wanted(self._surrogate(places) + self._off * near[:, None], 1 - near.square())

    def features(self, places: Tensor) -> Tensor:
        """Places (batch, dimensions) → features (batch, width)."""
        return self._wanted(places).features

    @property
    def places(self) -> Tensor:
        """Samples of w*, (particles, dimensions)."""
        return self._draws * self.users.radius[:, None]

    @property
    def users(self) -> Users:
        return self._users(self._traits)

    def _users(self, traits: Tensor) -> Users:
        noise, mismatch, power, tie, mistake, radius = traits[:, -_TRAITS:].T
        odds = np.log(_MISTAKES / (0.5 - _MISTAKES)) + _UNSURE_OF_MISTAKES * mistake
        return Users(
            (_UNSURE_OF_WEIGHTS * traits[:, :-_TRAITS]).softmax(dim=1),
            _NOISE * torch.exp(_UNSURE_OF_NOISE * noise),
            _MISMATCH * torch.exp(_UNSURE_OF_MISMATCH * mismatch),
            1 + torch.sigmoid(_UNSURE_OF_POWER * power),
            _TIE * torch.exp(_UNSURE_OF_TIE * tie),
            0.5 * torch.sigmoid(odds),
            torch.exp(_UNSURE_OF_RADIUS * radius),
        )

    def _squares(self, wanted: Wanted, media: Media, users: Users) -> Tensor:
        """D² of media from what users want, (users, media)."""
        weighed = users.weights[:, self._view_of] * wanted.features
        by_view = torch.zeros(len(media.features), len(self._errors))
        by_view = by_view.index_add(1, self._view_of, media.features.square())
        squares = (
            (weighed * wanted.features).sum(dim=1, keepdim=True)
            + users.weights @ (by_view + media.rests).T
            + wanted.doubt[:, None] * (users.weights @ self._errors)[:, None]
            - 2 * weighed @ media.features.T
        )
        return squares.clamp(min=_SMALLEST)

    def _felt(self, wanted: Wanted, first: Media, second: Media, users: Users) -> tuple[Tensor, Tensor]:
        """By how much users like the first of pairs more, and the noise beside that, (users, pairs) each."""
        one, other = self._squares(wanted, first, users), self._squares(wanted, second, users)
        power = users.power[:, None]
        felt = (other ** (power / 2) - one ** (power / 2)) / power
        level = ((one + other) / 2) ** power
        return felt, (users.noise[:, None].square() + users.mismatch[:, None].square() * level).sqrt()

    def chances(self, first: Media, second: Media) -> Tensor:
        """Probability that each particle's user prefers the first where they prefer one, (particles, pairs)."""
        felt, noise = self._felt(self._wanted(self.places), first, second, self.users)
        mistake = self.users.mistake[:, None]
        return mistake + (1 - 2 * mistake) * torch.special.ndtr(felt / noise)

    def _log_likelihoods(
        self, draws: Tensor, traits: Tensor, sides: tuple[Media, Media], answers: Tensor, *, ties: bool
    ) -> Tensor:
        """Of answers, (particles, answers)."""
        users = self._users(traits)
        felt, noise = self._felt(self._wanted(draws * users.radius[:, None]), *sides, users)
        tie = users.tie[:, None] * users.noise[:, None] / noise if ties else torch.zeros(())
        toward = torch.where(answers == Preference.FIRST, 1.0, -1.0) * felt / noise
        mistake = users.mistake[:, None]
        told = torch.logaddexp(
            torch.special.log_ndtr(toward - tie) + torch.log1p(-mistake),
            torch.special.log_ndtr(-toward - tie) + torch.log(mistake),
        )
        if not ties:
            return told
        inside = torch.special.ndtr(tie - toward) - torch.special.ndtr(-tie - toward)
        equal = torch.log(inside.clamp(min=_LEAST_CHANCE))
        return torch.where(answers == Preference.BOTH_GOOD, equal, told)

    def learn(self, asked: Asked, known: int, details: Tensor, rng: np.random.Generator) -> None:
        """Believes what all answers say.

        Args:
            asked: all pairs.
            known: how many of them, the first, were there before.
            details: of what is recommended, (views, finer).
            rng: draws.
        """
        sides = asked.sides(details)
        ties = bool((asked.answers == Preference.BOTH_GOOD).any())
        newest = tuple(Media(side.features[known:], side.rests[known:]) for side in sides)
        told = self._log_likelihoods(
            self._draws, self._traits, (newest[0], newest[1]), asked.answers[known:], ties=ties
        ).sum(dim=1)
        self._resample(told, rng)
        self._root = self._preconditioner(sides)
        self._move(sides, asked.answers, ties, rng)

    def _resample(self, log_weights: Tensor, rng: np.random.Generator) -> None:
        """Systematically (Kitagawa 1996)."""
        count = len(self._draws)
        cumulative = log_weights.double().softmax(dim=0).cumsum(dim=0)
        points = (torch.arange(count, dtype=torch.float64) + rng.random()) / count
        kept = torch.searchsorted(cumulative, points).clamp(max=count - 1)
        self._draws, self._traits = self._draws[kept], self._traits[kept]

    def _preconditioner(self, sides: tuple[Media, Media]) -> Tensor:
        """A root of about the covariance of z, (dimensions, dimensions): what answers say of lines at the mean."""
        users = self.users
        felt, noise = self._felt(self._wanted(self.places), *sides, users)
        sure = felt / noise
        mean = sure.mean(dim=0)
        spread = 1 + (sure - mean).square().mean(dim=0)
        # The curvature of a probit whose argument is spread so, about.
        curvature = 0.64 / spread * torch.exp(-mean.square() / (2 * spread)) / noise.mean(dim=0).square()
        middle = self.places.mean(dim=0)
        typical = self._users(self._traits.mean(dim=0, keepdim=True))
        at = self._wanted(middle[None])
        slopes = []
        for side in sides:
            steepness = self._squares(at, side, typical)[0] ** (typical.power / 2 - 1)
            slopes.append((at.features - side.features) * typical.weights[0, self._view_of] * steepness[:, None])
        by_draw = (slopes[1] - slopes[0]) @ self.jacobian(middle) * users.radius.mean()
        precision = torch.eye(len(middle)) + (by_draw * curvature[:, None]).T @ by_draw
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        return torch.linalg.cholesky(covariance + _JITTER * torch.eye(len(middle)))

    def jacobian(self, place: Tensor) -> Tensor:
        """Of features by noise at a place, (width, dimensions)."""
        away = (place - self._centre) * self._shares * (2 / _NEAR) * self._near(place[None])
        return self._surrogate.jacobian(place) - torch.outer(self._off, away)

    def _move(self, sides: tuple[Media, Media], answers: Tensor, ties: bool, rng: np.random.Generator) -> None:
        """One proposal of Hamiltonian Monte Carlo for each particle (Neal 2011, section 5.3)."""
        root = self._root

        def slopes(draws: Tensor, traits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            with torch.enable_grad():
                draws, traits = draws.detach().requires_grad_(), traits.detach().requires_grad_()
                likelihood = self._log_likelihoods(draws, traits, sides, answers, ties=ties).sum(dim=1)
                log = likelihood - (draws.square().sum(dim=1) + traits.square().sum(dim=1)) / 2
                by_draw, by_trait = torch.autograd.grad(log.sum(), (draws, traits))
            return log.detach(), by_draw @ root, by_trait

        step = self._step * float(rng.uniform(*_JITTERED))
        steps = step, _TRAITS_STEP * step
        draws, traits = self._draws, self._traits
        along, across = _normal(rng, *draws.shape), _normal(rng, *traits.shape)
        before = -(along.square().sum(dim=1) + across.square().sum(dim=1)) / 2
        log, by_draw, by_trait = slopes(draws, traits)
        before = before + log
        for _ in range(_LEAPS):
            along, across = along + steps[0] / 2 * by_draw, across + steps[1] / 2 * by_trait
            draws, traits = draws + steps[0] * along @ root.T, traits + steps[1] * across
            log, by_draw, by_trait = slopes(draws, traits)
            along, across = along + steps[0] / 2 * by_draw, across + steps[1] / 2 * by_trait
        after = log - (along.square().sum(dim=1) + across.square().sum(dim=1)) / 2
        chance = torch.exp((after - before).clamp(max=0)).nan_to_num()
        taken = torch.from_numpy(rng.random(len(draws))) < chance
        self._draws = torch.where(taken[:, None], draws, self._draws)
        self._traits = torch.where(taken[:, None], traits, self._traits)
        # Longer where more proposals were taken than wanted, shorter where fewer were.
        self._step = float(np.clip(self._step * np.exp(_HASTE * (float(chance.mean()) - _ACCEPTED)), *_STEPS))

    @property
    def weights(self) -> Tensor:
        """Of views, on average, (views,)."""
        return self.users.weights.mean(dim=0)

    @property
    def weighed(self) -> Tensor:
        """Weights of features by their views', (width,)."""
        return self.weights[self._view_of]

    def wanted(self) -> Tensor:
        """Features of what is wanted, on average, (width,): their mean squared distance in D is least."""
        each = self.users.weights[:, self._view_of]
        return (each * self.features(self.places)).mean(dim=0) / each.mean(dim=0)

    @property
    def spread(self) -> float:
        """Mean squared distance of what is wanted from its mean, as views are weighed."""
        features = self.features(self.places)
        return float((self.weighed * (features - features.mean(dim=0)).square()).sum(dim=1).mean())

    def steps(self, count: int, ranks: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """Draws from about the belief along directions that are uncertain and matter, (about count, dimensions).

        Args:
            count: of draws.
            ranks: along how many directions; each draw takes one of these numbers.
            rng: draws.
        """
        root = self._root * self.users.radius.mean()
        jacobian = self.weighed.sqrt()[:, None] * self.jacobian(self.places.mean(dim=0))
        _, _, leading = torch.linalg.svd(jacobian @ root, full_matrices=False)
        drawn = _normal(rng, count, len(leading))
        drawn = drawn * (torch.arange(len(leading)) < torch.from_numpy(rng.choice(ranks, size=(count, 1))))
        return torch.cat((drawn @ leading, leading[:_LEADING])) @ root.T

    def worth(self, first: Media, second: Media) -> Tensor:
        """How much of the spread of what is wanted answers to pairs are expected to take away, (pairs,).

        An answer splits the particles: the spread is less by |Cov(p, f)|² / (p (1 − p)). What so few particles give by
        chance is taken off.
        """
        features = self.features(self.places)
        away = (features - features.mean(dim=0)) * self.weighed.sqrt()
        chances = self.chances(first, second).T
        chance = chances.mean(dim=1)
        shared = (chances - chance[:, None]) @ away / len(away)
        by_chance = chances.var(dim=1) * away.square().sum(dim=1).mean() / len(away)
        return (shared.square().sum(dim=1) - by_chance) / (chance * (1 - chance)).clamp(min=_SMALLEST)


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
