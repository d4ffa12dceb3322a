"""A hypothesis about what somebody wants: a point among the features of one view, the nearer the better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from agents.posterior.ordinal import Array, Manner
from agents.posterior.propagation import Belief, Sites, believe
from agents.posterior.surroundings import Line
from agents.posterior.views import View
from pbg_env import Preference

# The manner a simulated or a real person is likely to have, and how sure that is, in orders of e.
_LIKELY = Manner(noise=0.06, tie=0.02, mistake=0.0, mismatch=0.0, power=1.0)
_SURE_OF_NOISE = 0.45
_SURE_OF_TIE = 1.0
_PRICE_OF_MISTAKES = 10.0
_PRICE_OF_MISMATCH = 4.0
# Half-width of ties that nobody has called so far, in units of what is felt as noise: nearly alike media, about which
# each answer tells much once noise is known to be small, would contradict a wider one.
_WIDEST_UNSEEN = 1 / 3
_FACTOR = 1.6
_NOISES = (3e-4, 3.0)
_MISTAKES = (0.0, 0.02, 0.05, 0.1, 0.2)
_POWERS = (1.0, 2.0)
_STEPS = 12
# Variance of what a line leaves out of a feature, of all that vary by 1, below which it leaves out nothing.
_ROUNDING = 1e-9


class Forms(NamedTuple):
    """Differences D(second) − D(first) as linear forms of what is unknown, and how they are felt.

    Attributes:
        slopes: (pairs, unknowns).
        offsets: (pairs,).
        noise: standard deviation of what is felt beside them, (pairs,).
        tie: half the width of what counts as equal, (pairs,).
    """

    slopes: Array
    offsets: Array
    noise: Array
    tie: Array


class Asked:
    """Features of what was asked, (answers, components) on each side, and the answers, (answers,)."""

    def __init__(self, components: int) -> None:
        self.first = np.zeros((0, components))
        self.second = np.zeros((0, components))
        self.answers = np.zeros(0, dtype=np.int64)

    def add(self, first: Array, second: Array, answer: Preference) -> None:
        self.first, self.second = np.r_[self.first, first[None]], np.r_[self.second, second[None]]
        self.answers = np.r_[self.answers, int(answer)]

    @property
    def has_ties(self) -> bool:
        """Whether a pair was called equally good."""
        return bool((self.answers == Preference.BOTH_GOOD).any())


class Wish:
    """Somebody prefers what is nearer to a point f*, the features of the picture of some noise w* ~ N(0, I).

    What is compared is D(second) − D(first), D(x) = ‖f(x) − f*‖. The difference of two squares over their sum is that
    very difference; with the sum as the belief expects it, it is a linear form of f*. Around the belief's mean f* is a
    line in w* and a rest that the line leaves out, f* = A w* + b + √R r with r ~ N(0, I), so that the belief about
    (w*, r) is normal (`propagation`). The rest is the same in every answer: taken for noise it would never be learned.

    Utility may fall by another power of D: differences of D are then felt the more, and ties narrower in D, the
    farther from f* the media are.

    Args:
        view: of the features.
        line: these as a function of noise, at the beginning.

    Attributes:
        line: the present one, which may be set; what is believed holds with whichever line comes next.
        details: of what is wanted, features beyond those that are believed in, as they are taken to be.
        manner: in which answers seem to be given.
        log_evidence: logarithm of the probability of all answers.
        expected: where f* is believed to be, (components,).
        spread: its mean squared distance from there.
        uncertainty: the spread, as a share of that before any answer.
    """

    def __init__(self, view: View, line: Line) -> None:
        self._view = view
        self.manner = _LIKELY._replace(mismatch=view.mismatches[0])
        self.log_evidence = 0.0
        self.details = np.zeros(0)
        self._dimensions = line.matrix.shape[1]
        # Of these alone something is unknown beside w*.
        self._left_out = np.flatnonzero(line.residual > _ROUNDING)
        unknowns = self._dimensions + len(self._left_out)
        self._unknown, self._covariance = np.zeros(unknowns), np.eye(unknowns)
        self._sites = Sites.none(0)
        self._noise = np.zeros(0)
        self.line = line
        self._spread_before = self.spread

    @property
    def line(self) -> Line:
        return self._line

    @line.setter
    def line(self, line: Line) -> None:
        self._line = line
        self._expect()

    def _expect(self) -> None:
        """What line and belief come to in features."""
        by_unknown = self._by_unknown(np.eye(len(self.line.offset)))
        self.expected = by_unknown @ self._unknown + self.line.offset
        self.spread = float(((by_unknown @ self._covariance) * by_unknown).sum())

    @property
    def uncertainty(self) -> float:
        return self.spread / self._spread_before

    @property
    def mean(self) -> Array:
        """Of w*, (dimensions,)."""
        return self._unknown[: self._dimensions]

    @property
    def covariance(self) -> Array:
        """Of w*, (dimensions, dimensions)."""
        return self._covariance[: self._dimensions, : self._dimensions]

    @property
    def plausibility(self) -> float:
        """Logarithm of the probability of the answers, and of the manner they are given in."""
        return self.log_evidence + _plausible(self.manner)

    def forms(self, first: Array, second: Array, manner: Manner) -> Forms:
        """D(second) − D(first) as linear forms of what is unknown.

        Args:
            first: features (pairs, components), with details or without.
            second: as many others.
            manner: in which they are compared.
        """
        count = len(self.line.offset)
        # Where details were not looked at, they are as those of what is wanted.
        far = [((side[:, count:] - self.details[: side.shape[1] - count]) ** 2).sum(axis=1) for side in (first, second)]
        first, second = first[:, :count], second[:, :count]
        one, other = (
            ((side - self.expected) ** 2).sum(axis=1) + detail + self.spread
            for side, detail in zip((first, second), far, strict=True)
        )
        sums = np.sqrt(one) + np.sqrt(other)
        by_feature = 2.0 * (first - second) / sums[:, None]
        squares = ((second**2).sum(axis=1) - (first**2).sum(axis=1) + far[1] - far[0]) / sums
        level = (one + other) / 2
        # Of a utility that goes by D^power / power, a difference is this many times that of D.
        steepness = level ** ((manner.power - 1) / 2)
        return Forms(
            slopes=self._by_unknown(by_feature),
            offsets=squares + by_feature @ self.line.offset,
            noise=np.sqrt((manner.noise / steepness) ** 2 + manner.mismatch**2 * level),
            tie=manner.tie / steepness,
        )

    def away(self, features: Array) -> Array:
        """Squared distances of features (batch, components) from where f* is believed to be, without details."""
        away: Array = ((features[:, : len(self.expected)] - self.expected) ** 2).sum(axis=1)
        return away

    def _by_unknown(self, by_feature: Array) -> Array:
        """Slopes by features (…, components) → by what is unknown of f*, (…, unknowns)."""
        scales = np.sqrt(self.line.residual[self._left_out])
        return np.concatenate((by_feature @ self.line.matrix, by_feature[:, self._left_out] * scales), axis=1)

    def learn(self, asked: Asked, *, manner_too: bool, steps: int = _STEPS) -> None:
        """Believes what all answers say; when told so, looks for a manner that explains them better."""
        self._take(*self._believed(asked, self.manner, steps), self.manner)
        if manner_too:
            for other in self._manners(asked):
                belief, noise = self._believed(asked, other, steps)
                if belief.log_evidence + _plausible(other) > self.plausibility:
                    self._take(belief, noise, other)

    def _take(self, belief: Belief, noise: Array, manner: Manner) -> None:
        self._unknown, self._covariance = belief.moments()
        self._sites, self.log_evidence, self._noise, self.manner = belief.sites, belief.log_evidence, noise, manner
        self._expect()

    def _believed(self, asked: Asked, manner: Manner, steps: int) -> tuple[Belief, Array]:
        slopes, offsets, noise, tie = self.forms(asked.first, asked.second, manner)
        tie, answers = tie / noise, asked.answers
        if not asked.has_ties:
            tie = np.minimum(tie, _WIDEST_UNSEEN)
        first, second = answers == Preference.FIRST, answers == Preference.SECOND
        low = np.where(first, tie, np.where(second, -np.inf, -tie))
        high = np.where(first, np.inf, np.where(second, -tie, tie))
        # The sites speak of forms in units of the noise, which may be another now.
        sites = self._sites.resized(len(answers))
        scale = noise / np.r_[self._noise, noise[len(self._noise) :]]
        start = Sites(sites.precision * scale**2, sites.shift * scale)
        return believe(slopes / noise[:, None], offsets / noise, low, high, manner.mistake, start, steps), noise

    def _manners(self, asked: Asked) -> list[Manner]:
        """Those beside the present one."""
        now = self.manner
        noises = [noise for noise in (now.noise / _FACTOR, now.noise * _FACTOR) if _NOISES[0] < noise < _NOISES[1]]
        ties = [now.tie / _FACTOR, now.tie * _FACTOR] if asked.has_ties else []
        return [
            *(now._replace(noise=noise) for noise in noises),
            *(now._replace(tie=tie) for tie in ties),
            *(now._replace(mismatch=mismatch) for mismatch in self._view.mismatches if mismatch != now.mismatch),
            *(now._replace(power=power) for power in _POWERS if power != now.power),
            *(now._replace(mistake=mistake) for mistake in _MISTAKES if mistake != now.mistake),
        ]

    def chance(self, first: Array, second: Array) -> Array:
        """Probability that the first is preferred to the second, where one is, (pairs,).

        Args:
            first: features (pairs, components).
            second: as many others.
        """
        _, _, place = self._foreseen(first, second)
        meant = _below(place)
        return self._view.least + (1 - 2 * self._view.least) * meant

    def foretold(self, first: Array, second: Array, answer: Preference) -> float:
        """How much better than a coin an answer about two media's features, (components,) each, was foretold, in
        orders of e.

        A tie is half an answer of either kind; both-bad is none about which is preferred.
        """
        chance = float(self.chance(first[None], second[None])[0])
        one, other = answer.label
        return float(one * np.log(2 * chance) + other * np.log(2 * (1 - chance)))

    def _foreseen(self, first: Array, second: Array) -> tuple[Array, Array, Array]:
        """What is believed of forms, noise included: covariances with the unknowns, variances, standardised means."""
        slopes, offsets, noise, _ = self.forms(first, second, self.manner)
        shared = slopes @ self._covariance
        variance = (shared * slopes).sum(axis=1) + noise**2
        return shared, variance, (slopes @ self._unknown + offsets) / np.sqrt(variance)

    def worth(self, first: Array, second: Array) -> Array:
        """What share of the spread along the line the answers to pairs are expected to take away.

        A normal belief of which the sign of a noisy linear form is told shrinks along the form's covariance; with
        probability p of first, by φ² / (p (1 − p)) of it.

        Args:
            first: features (pairs, components).
            second: as many others.
        """
        shared, variance, place = self._foreseen(first, second)
        told = np.exp(-(place**2)) / (2 * np.pi) / np.maximum(_below(place) * _below(-place), 1e-12)
        along = shared[:, : self._dimensions] @ self.line.matrix.T
        worth: Array = (along**2).sum(axis=1) / variance * told / self.spread
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
        + _PRICE_OF_MISTAKES * manner.mistake
        + _PRICE_OF_MISMATCH * manner.mismatch
    )
