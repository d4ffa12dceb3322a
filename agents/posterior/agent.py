"""The agent that keeps a posterior over what somebody wants, and asks what tells most about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.base import Agent, Noise
from agents.posterior.ordinal import Array
from agents.posterior.views import Line, Surroundings
from agents.posterior.wish import Asked, Wish
from pbg_env import Answer, Discriminator, Generator, Preference, clip_noise

_STEP = 0.02
_LENGTHS = (1.0, 2.0, 4.0)
_LEADING = 12
_JITTER = 1e-9
_EARLIEST_MANNER = 5


class PosteriorAgent(Agent):
    """Believes in the noise of the wanted medium, by the ordinal answers so far, and narrows that belief down.

    Noise is looked at along the directions that change media most, w ~ N(0, I) before any answer. Each view of media
    is a hypothesis of what the user goes by (`wish.Wish`); they are weighed by how probable they made the answers
    (the evidence of a posterior is the product of what it foretold of each answer before it was given).

    - *Belief*: expectation propagation in a model of features that is linear in w: at first the best line over the
      prior; once the belief is narrow, the tangent at its mean by finite differences, moved as the mean moves.
    - *Question*: the pair whose answer is expected to take away the largest share of the belief's spread in features,
      among pairs of prior samples and among mirror images around the mean, along what is uncertain.
    - *Recommendation*: the mean.

    Args:
        views: what users may go by, some of "values", "layout" and "deep"; those that the media or tools do not have
            are left out.
        dimensions: directions of noise, at most noise_dim.
        relinearise: answers between tangents.
        narrow: spread in features, of 1 over the prior, below which a tangent is taken.
        bend: share of what the tangent leaves out that is counted as noise.
        probes: media by which that is measured, an even number.
        prior_pairs: candidates for a question among prior samples.
        mirrored: candidates around the mean.
        tried: of these, how many are generated.
        manner_every: answers between looks for another manner.

    Raises:
        ValueError: a number out of range, no views, or an unknown one.
    """

    def __init__(
        self,
        views: Sequence[str] = ("values",),
        dimensions: int = 64,
        relinearise: int = 3,
        narrow: float = 0.5,
        bend: float = 0.3,
        probes: int = 8,
        prior_pairs: int = 1500,
        mirrored: int = 600,
        tried: int = 8,
        manner_every: int = 5,
    ) -> None:
        super().__init__()
        numbers = {"dimensions": dimensions, "relinearise": relinearise, "probes": probes, "prior_pairs": prior_pairs}
        numbers |= {"mirrored": mirrored, "tried": tried, "manner_every": manner_every}
        for name, number in numbers.items():
            if number < 1:
                raise ValueError(f"{name} is {number}, expected at least 1")
        if probes % 2:
            raise ValueError(f"probes is {probes}, expected an even number: they lie on both sides of the mean")
        if not views or narrow <= 0 or bend < 0:
            raise ValueError(f"views are {views}, narrow {narrow}, bend {bend}; expected some, above 0, at least 0")
        self.views = tuple(views)
        self.dimensions = dimensions
        self.relinearise = relinearise
        self.narrow = narrow
        self.bend = bend
        self.probes = probes
        self.prior_pairs = prior_pairs
        self.mirrored = mirrored
        self.tried = tried
        self.manner_every = manner_every

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        dimensions = min(self.dimensions, generator.noise_dim)
        self._around = Surroundings.of(generator, discriminator, self.views, dimensions)
        if not self._around.views:
            raise ValueError(f"none of the views {', '.join(self.views)} is there for these media; add 'values'")
        self._wishes = {view: Wish(self._around.lines[view]) for view in self._around.views}
        self._asked = {view: Asked(self._around.features[view].shape[1]) for view in self._around.views}
        self._weights = {view: 1.0 / len(self._wishes) for view in self._wishes}
        self._moved_at = 0
        self._mean, self._covariance = np.zeros(dimensions), np.eye(dimensions)
        self._next: tuple[Noise, Noise] | None = None
        self._choose()

    def _learn(self, answer: Answer) -> None:
        self.rounds += 1
        looks = self._around.look(np.stack((answer.first, answer.second)))
        for view, features in looks.items():
            # Both are farther than what is recommended, and how they compare is not told.
            if answer.preference == Preference.BOTH_BAD:
                best = self._wishes[view].line.at(self._mean[None])[0]
                for side in features:
                    self._asked[view].add(best, side, Preference.FIRST)
            else:
                self._asked[view].add(features[0], features[1], answer.preference)
        manner_too = self.rounds >= _EARLIEST_MANNER and self.rounds % self.manner_every == 0
        for view, wish in self._wishes.items():
            wish.learn(self._asked[view], manner_too=manner_too)
        self._weigh()
        if self.rounds - self._moved_at >= self.relinearise and self._likeliest.spread < self.narrow:
            self._move_lines()
        self._choose()

    def _weigh(self) -> None:
        evidences = np.array([wish.plausibility for wish in self._wishes.values()])
        shares = np.exp(evidences - evidences.max())
        self._weights = dict(zip(self._wishes, (shares / shares.sum()).tolist(), strict=True))
        beliefs = [(self._weights[view], wish) for view, wish in self._wishes.items()]
        self._mean = sum((weight * wish.mean for weight, wish in beliefs), np.zeros_like(self._mean))
        self._covariance = sum((weight * wish.covariance for weight, wish in beliefs), np.zeros_like(self._covariance))
        likeliest = self._likeliest
        self.metrics = {f"weight_{view}": weight for view, weight in self._weights.items()}
        self.metrics |= {"spread": likeliest.spread, **likeliest.manner._asdict()}

    @property
    def _likeliest(self) -> Wish:
        return self._wishes[max(self._weights, key=self._weights.__getitem__)]

    def _move_lines(self) -> None:
        """Takes tangents at the mean, and measures with media across the belief what they leave out."""
        self._moved_at = self.rounds
        count = len(self._mean)
        away = self._rng.standard_normal((self.probes // 2, count)) @ self._root().T
        away = np.r_[away, -away]
        places = np.concatenate((np.zeros((1, count)), _STEP * np.eye(count), away)) + self._mean
        for view, features in self._around.look(self._around.noise_at(places)).items():
            wish = self._wishes[view]
            matrix = ((features[1 : 1 + count] - features[0]) / _STEP).T
            left_out = features[1 + count :] - features[0] - away @ matrix.T
            variance = (left_out**2).mean(axis=0)
            # So few media say how much is left out, not well of which features: half of it is as features vary at all.
            typical = self._around.features[view].var(axis=0)
            residual = self.bend * (0.5 * variance + 0.5 * variance.sum() * typical / typical.sum())
            offset = features[0] - matrix @ self._mean + 0.5 * self.bend * left_out.mean(axis=0)
            wish.line = Line(matrix, offset, residual)
            wish.learn(self._asked[view], manner_too=False)
        self._weigh()

    def _root(self) -> Array:
        """A square root of the belief's covariance."""
        return np.asarray(np.linalg.cholesky(self._covariance + _JITTER * np.eye(len(self._mean))), dtype=np.float64)

    def _choose(self) -> None:
        pool = self._around.features
        first, second = self._rng.integers(len(self._around.noise), size=(2, self.prior_pairs))
        worth = self._worth({view: pool[view][first] for view in pool}, {view: pool[view][second] for view in pool})
        best = int(worth.argmax())
        pair = self._around.noise[first[best]], self._around.noise[second[best]]
        media = self._mirror_images()
        looks = self._around.look(media)
        one, other = np.triu_indices(len(media), 1)
        near = self._worth({view: looks[view][one] for view in looks}, {view: looks[view][other] for view in looks})
        nearest = int(near.argmax())
        if near[nearest] > worth[best]:
            pair = media[one[nearest]], media[other[nearest]]
        first_is_left = self._rng.random() < 0.5
        self._next = pair if first_is_left else (pair[1], pair[0])

    def _mirror_images(self) -> Noise:
        """Noise of both sides of the mean along what is uncertain, the most promising, (2 · tried, noise_dim)."""
        root = self._root()
        _, _, leading = np.linalg.svd(self._likeliest.line.matrix @ root, full_matrices=False)
        away = np.r_[self._rng.standard_normal((self.mirrored, len(root))), leading[:_LEADING]] @ root.T
        away *= self._rng.choice(_LENGTHS, size=len(away))[:, None]
        expected = [
            {view: wish.line.at(self._mean + side * away) for view, wish in self._wishes.items()} for side in (1, -1)
        ]
        chosen = away[np.argsort(-self._worth(*expected), kind="stable")[: self.tried]]
        return clip_noise(self._around.noise_at(np.concatenate((self._mean + chosen, self._mean - chosen))))

    def _worth(self, first: dict[str, Array], second: dict[str, Array]) -> Array:
        parts = [weight * self._wishes[view].worth(first[view], second[view]) for view, weight in self._weights.items()]
        return np.sum(parts, axis=0)

    def _question(self) -> tuple[Noise, Noise]:
        assert self._next is not None
        return self._next

    @property
    def destination(self) -> Noise:
        return clip_noise(self._around.noise_at(self._mean))
