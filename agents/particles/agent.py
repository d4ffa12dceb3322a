"""The agent that keeps samples of who answers and what they want, and asks what tells most about it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import Noise
from agents.particles.belief import Asked, Belief, Media
from agents.particles.surrogate import Surrogate
from agents.remembering import RememberingAgent
from pbg_env import Answer, Discriminator, Generator, Preference

_RANKS = (2, 4, 8, 16)
# Of how far questions reach.
_LENGTHS = (0.25, 0.5, 1.0)
_ASCENT = 20
_RATE = 0.06
# How much the prior holds what is recommended.
_HELD = 2e-4

_STATE = ("_belief", "_asked", "_here", "_seen", "_details", "_next", "metrics", "rounds")
"""What an answer changes, beside the random numbers."""


class Question(NamedTuple):
    """What is asked next.

    Attributes:
        noise: (2, noise_dim).
        features: of its media, (2, width).
        details: (2, views, finer).
    """

    noise: Noise
    features: Tensor
    details: Tensor


class ParticleAgent(RememberingAgent):
    """Believes in samples of users and of what they want, asks what narrows that most, and recommends its middle.

    Args:
        views: of media and of noise that users may go by, weighed by each as answers say: "values", "deep" (the
            discriminator's features), "noise", "layout", "convolutions", or any similarity that describes media, such
            as "vit". Those that are not there for the media are left out.
        dimensions: directions of noise, at most noise_dim.
        particles: samples.
        candidates: for a question.
        reach: how far the media of a question lie from what is recommended, at most, in draws from the belief.
        show: share of the questions that show what is recommended, so that the user may say that this is it, in [0, 1].

    Raises:
        ValueError: a number out of range, or no views; by `reset`, unknown ones, or none that is there for the media.
    """

    def __init__(
        self,
        views: Sequence[str] = ("values", "deep", "noise"),
        dimensions: int = 64,
        particles: int = 96,
        candidates: int = 150,
        reach: float = 1.0,
        show: float = 0.0,
    ) -> None:
        super().__init__()
        for name, number in {"dimensions": dimensions, "candidates": candidates}.items():
            if number < 1:
                raise ValueError(f"{name} is {number}, expected at least 1")
        if particles < 2:
            raise ValueError(f"particles is {particles}, expected at least 2: they are asked where they differ")
        if not views or reach <= 0:
            raise ValueError(f"views are {views} and reach {reach}; expected some views, and a reach above 0")
        if not 0 <= show <= 1:
            raise ValueError(f"show is {show}, expected a share, in [0, 1]")
        self.views = tuple(views)
        self.dimensions = dimensions
        self.particles = particles
        self.candidates = candidates
        self.reach = reach
        self.show = show

    @torch.no_grad()
    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._surrogate = Surrogate.of(generator, discriminator, self.views, min(self.dimensions, generator.noise_dim))
        self._belief = Belief(self._surrogate, self.particles, rng)
        here = torch.zeros(self._surrogate.dimensions)
        features, details = self._surrogate.look(here[None])
        self._recommend(here, features[0], details[0])
        self._asked = Asked.nothing(self._surrogate.width, *self._details.shape)
        self._spread_before = self._belief.spread
        self._choose()

    @torch.no_grad()
    def _learn(self, answer: Answer) -> None:
        self._remember()
        self.rounds += 1
        features, details = self._looked(answer.first, answer.second)
        known = len(self._asked)
        if answer.preference == Preference.BOTH_BAD:
            # Both are farther than what is recommended, and how they compare is not told.
            for side, noise in enumerate((answer.first, answer.second)):
                if not np.array_equal(noise, self.destination):
                    self._asked = self._asked.and_also(
                        torch.stack((self._seen, features[side])),
                        torch.stack((self._details, details[side])),
                        Preference.FIRST,
                    )
        else:
            self._asked = self._asked.and_also(features, details, answer.preference)
        belief = copy.copy(self._belief)
        belief.learn(self._asked, known, self._details, self._rng)
        self._belief = belief
        self._settle()
        users = self._belief.users
        self.metrics = {
            f"weight_{view}": float(weight)
            for view, weight in zip(self._surrogate.views, self._belief.weights, strict=True)
        }
        self.metrics |= {"spread": self._belief.spread / self._spread_before}
        self.metrics |= {name: float(getattr(users, name).mean()) for name in users._fields[1:]}
        self._choose()

    def _looked(self, first: Noise, second: Noise) -> tuple[Tensor, Tensor]:
        """Features and details of a pair; those of the question are known."""
        if np.array_equal(self._next.noise, (first, second)):
            return self._next.features, self._next.details
        return self._surrogate.joined(self._surrogate.around.look(np.stack((first, second))))

    def _state(self) -> dict[str, Any]:
        """What an answer changes, as it is now. Nothing that is held is ever written to."""
        return {name: getattr(self, name) for name in _STATE} | {"_rng": copy.deepcopy(self._rng)}

    def _settle(self) -> None:
        """Goes where media are nearest to the mean of what is wanted, as generated."""
        wanted, weighed = self._belief.wanted(), self._belief.weighed

        def away(features: Tensor) -> Tensor:
            return (weighed * (features - wanted).square()).sum(dim=1)

        middle = self._belief.places.mean(dim=0)
        with torch.enable_grad():
            places = torch.stack((self._here, middle)).requires_grad_()
            optimiser = torch.optim.Adam([places], lr=_RATE)
            for _ in range(_ASCENT):
                loss = away(self._belief.features(places)) + _HELD * places.square().sum(dim=1)
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()
        places = places.detach()
        best = places[int(away(self._belief.features(places)).argmin())]
        # The surrogate may be wrong about the best.
        tried = torch.stack((best, (best + self._here) / 2, middle))
        features, details = self._surrogate.look(tried)
        found = away(features)
        nearest = int(found.argmin())
        if found[nearest] < away(self._seen[None])[0]:
            self._recommend(tried[nearest], features[nearest], details[nearest])

    def _recommend(self, place: Tensor, features: Tensor, details: Tensor) -> None:
        self._here, self._seen, self._details = place, features, details
        belief = copy.copy(self._belief)
        belief.seen(place, features)
        self._belief = belief

    def _choose(self) -> None:
        """The pair that narrows the belief most: mirror images around what is recommended, or that and another."""
        away = self._belief.steps(self.candidates, _RANKS, self._rng)
        away = away * torch.from_numpy(self._rng.choice(_LENGTHS, size=(len(away), 1))).float() * self.reach
        first, second = self._here + away, self._here - away
        if self.show > 0 and self._rng.random() < self.show:
            second = torch.cat((first, second))
            first = self._here.expand_as(second)
        rests = torch.zeros(len(first), len(self._surrogate.views))
        sides = (Media(self._belief.features(side), rests) for side in (first, second))
        best = int(self._belief.worth(*sides).argmax())
        noise = self._surrogate.around.coordinates.to_noise(torch.stack((first[best], second[best])).double().numpy())
        if self._rng.random() < 0.5:
            noise = noise[::-1]
        self._next = Question(noise, *self._surrogate.joined(self._surrogate.around.look(noise)))

    def _question(self) -> tuple[Noise, Noise]:
        return self._next.noise[0], self._next.noise[1]

    @property
    def confidence(self) -> float:
        """The share of the spread of what may be wanted that the answers have taken away."""
        return float(np.clip(1.0 - self._belief.spread / self._spread_before, 0.0, 1.0))

    @property
    def destination(self) -> Noise:
        return self._surrogate.around.coordinates.to_noise(self._here.double().numpy()[None])[0]
