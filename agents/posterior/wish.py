"""A hypothesis about what somebody wants: a point among the features of one view, the nearer the better."""

from __future__ import annotations

import numpy as np
import torch

from agents.posterior.ordinal import Array, Manner
from agents.posterior.propagation import Belief, Sites, believe
from agents.posterior.views import Line
from pbg_env import Preference

# The manner a simulated or a real person is likely to have, and how sure that is, in orders of e.
_LIKELY = Manner(noise=0.06, tie=0.02, lapse=0.0)
_SURE_OF_NOISE = 0.7
_SURE_OF_TIE = 1.0
_PRICE_OF_LAPSE = 10.0
_FACTOR = 1.6
_NOISES = (3e-4, 3.0)
_LAPSES = (0.0, 0.03, 0.1, 0.2)
_STEPS = 12


class Asked:
    """Features of what was asked, (answers, components) on each side, and the answers, (answers,)."""

    def __init__(self, components: int) -> None:
        self.first = np.zeros((0, components))
        self.second = np.zeros((0, components))
        self.answers = np.zeros(0, dtype=np.int64)

    def add(self, first: Array, second: Array, answer: Preference) -> None:
        self.first, self.second = np.r_[self.first, first[None]], np.r_[self.second, second[None]]
        self.answers = np.r_[self.answers, int(answer)]


class Wish:
    """Somebody prefers what is nearer to a point f*, the features of the picture of some noise w* ~ N(0, I).

    What is compared is D(second) − D(first), D(x) = ‖f(x) − f*‖. The difference of two squares over their sum is that
    very difference; with the sum as the belief expects it, and f linear in w around the belief's mean, it is a linear
    form of w*, so that the belief is normal (`propagation`). What the line leaves out is noise of the form's own: more
    in far comparisons than in near ones.

    Args:
        line: features as a function of noise, at the beginning.
    """

    def __init__(self, line: Line) -> None:
        dimensions = line.matrix.shape[1]
        self.line = line
        self.manner = _LIKELY
        self.mean = np.zeros(dimensions)
        self.covariance = np.eye(dimensions)
        self.log_evidence = 0.0
        self._sites = Sites.none(0)
        self._noise = np.zeros(0)

    def forms(self, first: Array, second: Array) -> tuple[Array, Array, Array]:
        """D(second) − D(first) as linear forms of w*.

        Args:
            first: features (pairs, components).
            second: as many others.

        Returns:
            Slopes (pairs, dimensions), offsets (pairs,), and the variance of what the line leaves out, (pairs,).
        """
        middle, spread = self.line.at(self.mean[None])[0], self.spread
        sums = sum(np.sqrt(((side - middle) ** 2).sum(axis=1) + spread) for side in (first, second))
        by_feature = 2.0 * (first - second) / sums[:, None]
        squares = ((second**2).sum(axis=1) - (first**2).sum(axis=1)) / sums
        line = self.line
        return by_feature @ line.matrix, squares + by_feature @ line.offset, by_feature**2 @ line.residual

    @property
    def plausibility(self) -> float:
        """Logarithm of the probability of the answers, and of the manner they are given in."""
        return self.log_evidence + _plausible(self.manner)

    @property
    def spread(self) -> float:
        """Mean squared distance of f* from where it is believed to be."""
        return float(((self.line.matrix @ self.covariance) * self.line.matrix).sum())

    def learn(self, asked: Asked, *, manner_too: bool, steps: int = _STEPS) -> None:
        """Believes what all answers say; when told so, looks for a manner that explains them better."""
        self._take(*self._believed(asked, self.manner, steps), self.manner)
        if manner_too:
            for other in self._manners(asked):
                belief, noise = self._believed(asked, other, steps)
                if belief.log_evidence + _plausible(other) > self.plausibility:
                    self._take(belief, noise, other)

    def _take(self, belief: Belief, noise: Array, manner: Manner) -> None:
        self.mean, self.covariance, self._sites = belief.mean, belief.covariance, belief.sites
        self.log_evidence, self._noise, self.manner = belief.log_evidence, noise, manner

    def _believed(self, asked: Asked, manner: Manner, steps: int) -> tuple[Belief, Array]:
        slopes, offsets, residual = self.forms(asked.first, asked.second)
        noise = np.sqrt(manner.noise**2 + residual)
        tie, answers = manner.tie / noise, asked.answers
        first, second = answers == Preference.FIRST, answers == Preference.SECOND
        low = np.where(first, tie, np.where(second, -np.inf, -tie))
        high = np.where(first, np.inf, np.where(second, -tie, tie))
        # The sites speak of forms in units of the noise, which may be another now.
        sites = self._sites.resized(len(answers))
        scale = noise / np.r_[self._noise, noise[len(self._noise) :]]
        start = Sites(sites.precision * scale**2, sites.shift * scale)
        return believe(slopes / noise[:, None], offsets / noise, low, high, manner.lapse, start, steps), noise

    def _manners(self, asked: Asked) -> list[Manner]:
        """Those beside the present one."""
        now = self.manner
        noises = [noise for noise in (now.noise / _FACTOR, now.noise * _FACTOR) if _NOISES[0] < noise < _NOISES[1]]
        ties = [now.tie / _FACTOR, now.tie * _FACTOR] if (asked.answers == Preference.BOTH_GOOD).any() else []
        return [
            *(now._replace(noise=noise) for noise in noises),
            *(now._replace(tie=tie) for tie in ties),
            *(now._replace(lapse=lapse) for lapse in _LAPSES if lapse != now.lapse),
        ]

    def worth(self, first: Array, second: Array) -> Array:
        """What share of the spread the answers to pairs of features (pairs, components) are expected to take away.

        A normal belief of which the sign of a noisy linear form is told shrinks along the form's covariance; with
        probability p of first, by φ² / (p (1 − p)) of it.
        """
        slopes, offsets, residual = self.forms(first, second)
        shared = slopes @ self.covariance
        variance = (shared * slopes).sum(axis=1) + self.manner.noise**2 + residual
        place = (slopes @ self.mean + offsets) / np.sqrt(variance)
        told = np.exp(-(place**2)) / (2 * np.pi) / np.maximum(_below(place) * _below(-place), 1e-12)
        worth: Array = ((shared @ self.line.matrix.T) ** 2).sum(axis=1) / variance * told / self.spread
        return worth


def _below(place: Array) -> Array:
    """The normal distribution function."""
    found: Array = torch.special.ndtr(torch.from_numpy(place)).numpy()
    return found


def _plausible(manner: Manner) -> float:
    """Logarithm of the prior of a manner, but for a constant."""
    return -(
        0.5 * (np.log(manner.noise / _LIKELY.noise) / _SURE_OF_NOISE) ** 2
        + 0.5 * (np.log(manner.tie / _LIKELY.tie) / _SURE_OF_TIE) ** 2
        + _PRICE_OF_LAPSE * manner.lapse
    )
