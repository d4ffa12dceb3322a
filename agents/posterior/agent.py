"""The agent that keeps a posterior over what somebody wants, and asks what tells most about it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.base import Noise
from agents.posterior.contest import Contest
from agents.posterior.ordinal import Array
from agents.posterior.surroundings import Line, Surroundings
from agents.posterior.wish import Asked, Wish
from agents.remembering import RememberingAgent
from pbg_env import Answer, Discriminator, Generator, Preference

_STEP = 0.02
# Along the others media change too little for their tangents to matter.
_TANGENT = 40
# Of how far questions reach.
_LENGTHS = (0.25, 0.5, 1.0)
_LEADING = 12
_JITTER = 1e-9
# Of the way to the belief's mean.
_WAYS = (1.0, 0.6, 0.3, 0.1)
# Of the answers that there were, how many more ask for another look at their manner.
_MANNER_AGAIN = 0.1
# Of the mean of what a line leaves out, how much it is moved by: it is a mean of a few media.
_SHIFT = 0.5
# How firmly a line between two is held half-way, in shares of what the probes say.
_HALFWAY = 0.1

_STATE = (
    "_wishes",
    "_asked",
    "_contest",
    "_learned",
    "_moved_at",
    "_manner_at",
    "_here",
    "_seen",
    "_next",
    "metrics",
    "rounds",
)
"""What an answer changes, beside the random numbers."""


class Question(NamedTuple):
    """What is asked next.

    Attributes:
        noise: (2, noise_dim).
        features: of its media in each view, (2, components).
        compares: of which views these are the recommendations, None where it is asked for another reason.
    """

    noise: Noise
    features: dict[str, Array]
    compares: tuple[str, str] | None


class Found(NamedTuple):
    """A place, (dimensions,), the features of its medium in each view, and how far it is from what is wanted."""

    place: Array
    features: dict[str, Array]
    away: float


class PosteriorAgent(RememberingAgent):
    """Believes in the noise of the wanted medium, by the ordinal answers so far, and narrows that belief down.

    Noise is looked at along the directions that change media most, w ~ N(0, I) before any answer. Each view of media
    is a hypothesis of what the user goes by (`wish.Wish`), and one of them is followed: that whose recommendation the
    user preferred when last asked to compare it with another view's (`contest.Contest`).

    - *Belief*: expectation propagation in a model of features that is linear in w: between the best line over the
      prior and the tangent at what is recommended, what fits media across the belief best, moved as the belief moves.
    - *Question*: now and then what two views recommend; else the pair whose answer is expected to take away the largest
      share of the belief's spread in features, among mirror images around what is recommended, along what is uncertain
      and matters.
    - *Recommendation*: the mean, as far as media follow it.

    Taking back one of the latest 24 answers costs as much as the answers after it.

    Args:
        views: what users may go by, some of "values", "noise", "layout", "convolutions" and "deep", of which those that
            the media or tools do not have are left out; or similarities that describe media, such as "vit". The first
            is followed to begin with.
        dimensions: directions of noise, at most noise_dim.
        relinearise: answers between lines.
        narrow: spread in features, of 1 over the prior, below which the line over the whole prior is left.
        bend: share of what a line was seen to leave out that it is thought to.
        probes: media by which that is measured, an even number.
        mirrored: candidates for a question.
        tried: of these, how many are generated.
        manner_every: answers between looks for another manner, at least; a tenth of them where they are many.
        show: share of the other questions that show what is recommended, so that the user may say that this is it, in
            [0, 1].

    Raises:
        ValueError: a number out of range, or no views; by `reset`, unknown ones, or none that is there for the media.
    """

    def __init__(
        self,
        views: Sequence[str] = ("noise", "values"),
        dimensions: int = 64,
        relinearise: int = 4,
        narrow: float = 0.5,
        bend: float = 0.3,
        probes: int = 16,
        mirrored: int = 600,
        tried: int = 6,
        manner_every: int = 5,
        show: float = 0.0,
    ) -> None:
        super().__init__()
        numbers = {"dimensions": dimensions, "relinearise": relinearise, "probes": probes}
        numbers |= {"mirrored": mirrored, "tried": tried, "manner_every": manner_every}
        for name, number in numbers.items():
            if number < 1:
                raise ValueError(f"{name} is {number}, expected at least 1")
        if probes % 2:
            raise ValueError(f"probes is {probes}, expected an even number: they lie on both sides of the mean")
        if not views or narrow <= 0 or bend < 0:
            raise ValueError(f"views are {views}, narrow {narrow}, bend {bend}; expected some, above 0, at least 0")
        if not 0 <= show <= 1:
            raise ValueError(f"show is {show}, expected a share, in [0, 1]")
        self.views = tuple(views)
        self.dimensions = dimensions
        self.relinearise = relinearise
        self.narrow = narrow
        self.bend = bend
        self.probes = probes
        self.mirrored = mirrored
        self.tried = tried
        self.manner_every = manner_every
        self.show = show

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        dimensions = min(self.dimensions, generator.noise_dim)
        self._around = Surroundings.of(generator, discriminator, self.views, dimensions)
        self._wishes = {name: Wish(view, self._around.lines[name]) for name, view in self._around.views.items()}
        self._asked = {view: Asked(self._around.features[view].shape[1]) for view in self._around.views}
        self._contest = Contest(list(self._wishes))
        # Answers, with those that a search begins again from.
        self._learned = self._moved_at = self._manner_at = 0
        self._here = np.zeros(dimensions)
        looks = self._around.look(self._around.coordinates.to_noise(self._here[None]))
        self._recommend(self._here, {view: features[0] for view, features in looks.items()})
        self._choose()

    def _learn(self, answer: Answer) -> None:
        self._remember()
        self.rounds += 1
        self._learned += 1
        looks = self._looked(answer.first, answer.second)
        recommended = self.destination
        self._contest = self._judged(answer, looks)
        others = [
            side for side, noise in enumerate((answer.first, answer.second)) if not np.array_equal(noise, recommended)
        ]
        for view, features in looks.items():
            # Both are farther than what is recommended, and how they compare is not told.
            if answer.preference == Preference.BOTH_BAD:
                for side in others:
                    self._asked[view].add(self._seen[view], features[side], Preference.FIRST)
            else:
                self._asked[view].add(features[0], features[1], answer.preference)
        manner_too = self._learned - self._manner_at >= max(self.manner_every, self._manner_at * _MANNER_AGAIN)
        if manner_too:
            self._manner_at = self._learned
        for view, wish in self._wishes.items():
            wish.learn(self._asked[view], manner_too=manner_too)
        if self._learned - self._moved_at >= self.relinearise and self._followed.uncertainty < self.narrow:
            self._move_lines()
        followed = self._followed
        self.metrics = {f"follows_{view}": float(view == self._contest.followed) for view in self._wishes}
        self.metrics |= {"spread": followed.uncertainty, **followed.manner._asdict()}
        self._settle()
        self._choose()

    def _looked(self, first: Noise, second: Noise) -> dict[str, Array]:
        """Features of a pair in each view, (2, components); those of the question are known."""
        if np.array_equal(self._next.noise, (first, second)):
            return self._next.features
        return self._around.look(np.stack((first, second)))

    def _judged(self, answer: Answer, looks: dict[str, Array]) -> Contest:
        """What an answer about media with these features, (2, components) in each view, says of views."""
        contest = copy.copy(self._contest)
        compares = self._next.compares
        if compares is not None and np.array_equal(self._next.noise, (answer.first, answer.second)):
            contest.decide(dict(zip(compares, answer.preference.label, strict=True)))
        else:
            contest.hear(
                {view: self._wishes[view].foretold(pair[0], pair[1], answer.preference) for view, pair in looks.items()}
            )
        return contest

    def _state(self) -> dict[str, Any]:
        """What an answer changes, as it is now. No array is ever written to: only what holds them is copied."""
        state = {name: copy.copy(getattr(self, name)) for name in _STATE}
        for name in ("_wishes", "_asked"):
            state[name] = {view: copy.copy(held) for view, held in state[name].items()}
        return state | {"_rng": copy.deepcopy(self._rng)}

    @property
    def _followed(self) -> Wish:
        return self._wishes[self._contest.followed]

    def _move_lines(self) -> None:
        """Takes lines for the belief as it is, and measures with media across it what they leave out."""
        self._moved_at = self._learned
        dimensions = len(self._here)
        looked = min(_TANGENT, dimensions)
        away = self._rng.standard_normal((self.probes // 2, dimensions)) @ self._root().T
        away = np.r_[away, -away]
        places = np.concatenate((_STEP * np.eye(looked, dimensions), away)) + self._here
        for view, features in self._around.look(self._around.coordinates.to_noise(places)).items():
            wish = self._wishes[view]
            count = len(wish.line.offset)
            features, here = features[:, :count], self._seen[view][:count]
            seen = features[looked:] - here
            far = self._around.lines[view].matrix
            near = far.copy()
            near[:, :looked] = ((features[:looked] - here) / _STEP).T
            matrix = between(far, near, away, seen)
            left_out = seen - away @ matrix.T
            variance = (left_out**2).mean(axis=0)
            # So few media say how much is left out, not well of which features: half of it is as features vary at all.
            typical = self._around.features[view][:, :count].var(axis=0)
            residual = self.bend * (0.5 * variance + 0.5 * variance.sum() * typical / typical.sum())
            offset = here - matrix @ self._here + _SHIFT * left_out.mean(axis=0)
            wish.line = Line(matrix, offset, residual)
            wish.learn(self._asked[view], manner_too=False)

    def _settle(self) -> None:
        """Goes towards the belief's mean as far as media come nearer to what is believed of them."""
        towards = self._towards(self._contest.followed)
        if towards.away < self._followed.away(self._seen[self._contest.followed][None])[0]:
            self._recommend(towards.place, towards.features)

    def _towards(self, view: str) -> Found:
        """What is nearest to what a view believes to be wanted, of some places on the way to its belief's mean.

        A line is right near where it was taken; a mean that it puts far from there may be anything.
        """
        wish = self._wishes[view]
        places = self._here + np.array(_WAYS)[:, None] * (wish.mean - self._here)
        looks = self._around.look(self._around.coordinates.to_noise(places))
        away = wish.away(looks[view])
        nearest = int(away.argmin())
        return Found(places[nearest], {view: features[nearest] for view, features in looks.items()}, away[nearest])

    def _recommend(self, place: Array, features: dict[str, Array]) -> None:
        """Goes to a place whose medium was looked at, and takes details of what is wanted to be as there."""
        self._here, self._seen = place, features
        for view, wish in self._wishes.items():
            wish.details = self._seen[view][len(wish.line.offset) :]

    def _root(self) -> Array:
        """A square root of the belief's covariance."""
        covariance = self._followed.covariance + _JITTER * np.eye(len(self._here))
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)

    def _choose(self) -> None:
        """Finds the next question."""
        challenger = self._contest.challenger
        comparison = None if challenger is None else self._comparison(challenger)
        self._next = comparison or self._narrowing()

    def _comparison(self, challenger: str) -> Question | None:
        """What is recommended and what another view would recommend; None where that is the same."""
        other = self._towards(challenger)
        noise = self._around.coordinates.to_noise(np.stack((self._here, other.place)))
        if np.array_equal(noise[0], noise[1]):
            return None
        order = self._in_any_order([0, 1])
        first, second = ((self._contest.followed, challenger)[side] for side in order)
        pairs = {view: np.stack((features, other.features[view])) for view, features in self._seen.items()}
        return Question(noise[order], {view: pair[order] for view, pair in pairs.items()}, (first, second))

    def _in_any_order(self, pair: list[int]) -> list[int]:
        return pair[:: 1 if self._rng.random() < 0.5 else -1]

    def _narrowing(self) -> Question:
        """The pair that narrows the belief most."""
        media = self._mirror_images()
        looks = self._around.look(media)
        one, other = np.triu_indices(len(media), 1)
        if self.show > 0 and self._rng.random() < self.show:
            media = np.concatenate((self.destination[None], media))
            looks = {view: np.concatenate((self._seen[view][None], features)) for view, features in looks.items()}
            one, other = np.zeros(len(media) - 1, dtype=np.int64), np.arange(1, len(media))
        features = looks[self._contest.followed]
        best = int(self._followed.worth(features[one], features[other]).argmax())
        order = self._in_any_order([int(one[best]), int(other[best])])
        return Question(media[order], {view: pair[order] for view, pair in looks.items()}, None)

    def _mirror_images(self) -> Noise:
        """Noise on both sides of what is recommended, along what is uncertain, (2 · tried, noise_dim)."""
        root = self._root()
        _, _, leading = np.linalg.svd(self._followed.line.matrix @ root, full_matrices=False)
        drawn = self._rng.standard_normal((self.mirrored, len(leading)))
        view = self._around.views[self._contest.followed]
        # Along few or more of the directions that matter. What seems not to matter stays as it is: it may, to the user.
        drawn *= np.arange(len(leading)) < self._rng.choice(view.ranks, size=(self.mirrored, 1))
        away = np.r_[drawn @ leading, leading[:_LEADING]] @ root.T
        away *= view.reach * self._rng.choice(_LENGTHS, size=len(away))[:, None]
        line = self._followed.line
        worth = self._followed.worth(line.at(self._here + away), line.at(self._here - away))
        chosen = away[np.argsort(-worth, kind="stable")[: self.tried]]
        return self._around.coordinates.to_noise(np.concatenate((self._here + chosen, self._here - chosen)))

    def _question(self) -> tuple[Noise, Noise]:
        return self._next.noise[0], self._next.noise[1]

    @property
    def confidence(self) -> float:
        """The share of the spread in features over the prior that the answers have taken away."""
        return float(np.clip(1.0 - self._followed.uncertainty, 0.0, 1.0))

    @property
    def destination(self) -> Noise:
        return self._around.coordinates.to_noise(self._here[None])[0]


def between(far: Array, near: Array, away: Array, seen: Array) -> Array:
    """Of two lines' matrices (components, dimensions), the mixture that tells best what was seen.

    Over a belief of some width the tangent promises too much, and the line over the whole prior too little.

    Args:
        far: the line over the prior.
        near: the tangent.
        away: steps from the mean, (probes, dimensions); the second half mirrors the first.
        seen: how features changed, (probes, components).
    """
    half = len(away) // 2
    odd = (seen[:half] - seen[half:]) / 2
    told = np.stack([(away[:half] @ matrix.T).ravel() for matrix in (far, near)], axis=1)
    gram = told.T @ told
    halfway = _HALFWAY * np.trace(gram) / 2 * np.eye(2)
    shares = np.linalg.solve(gram + halfway, told.T @ odd.ravel() + halfway @ np.full(2, 0.5))
    mixture: Array = shares[0] * far + shares[1] * near
    return mixture
