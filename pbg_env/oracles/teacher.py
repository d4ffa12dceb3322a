"""How a simulated user turns two utilities into an answer, with the imperfections people have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbg_env.preference import Preference

Threshold = float | str
"""A number of standardised units, or a share of the prior as in "5%"."""


@dataclass(frozen=True)
class Teacher:
    """Answers pairs of utilities, which are standardised on prior samples: 0 is an average random medium, 1 one
    standard deviation above it.

    In the order of the original system, and then of B-Pref (Lee et al. 2021, section 4.2): both bad when both are below
    `bad`; else both good when they differ by less than `equal`; else the first with probability σ(β (u₁ − u₂)); and in
    the end first and second are exchanged with probability `mistake`.

    Attributes:
        beta: rationality β, above 0; None always chooses the better, and calls equal ones both good.
        mistake: probability in [0, 1) that a choice is reversed.
        equal: at least 0; or "5%" for a tie between the closest 5 % of random pairs.
        bad: −∞ never; or "20%" for both bad where both are among the worst 20 % of random media.

    Raises:
        ValueError: a value out of range.
    """

    beta: float | None = None
    mistake: float = 0.0
    equal: Threshold = 0.0
    bad: Threshold = -math.inf

    def __post_init__(self) -> None:
        if self.beta is not None and not (_is_number(self.beta) and 0 < self.beta < math.inf):
            raise ValueError(f"teacher: beta is {self.beta!r}, expected a finite number above 0, or None to be exact")
        if not (_is_number(self.mistake) and 0 <= self.mistake < 1):
            raise ValueError(f"teacher: mistake is {self.mistake!r}, expected a probability from 0 to below 1")
        if isinstance(self.equal, str):
            _share(self.equal, "equal")
        elif not (_is_number(self.equal) and 0 <= self.equal < math.inf):
            raise ValueError(f"teacher: equal is {self.equal!r}, expected a finite number of at least 0, or '5%'")
        if isinstance(self.bad, str):
            _share(self.bad, "bad")
        elif not _is_number(self.bad):
            raise ValueError(f"teacher: bad is {self.bad!r}, expected a number, '20%', or -inf for never")

    @property
    def needs_standard_units(self) -> bool:
        """Whether an answer depends on more than the order of the two utilities."""
        return self.beta is not None or self.equal != 0 or self.bad != -math.inf

    @property
    def is_exact(self) -> bool:
        """Whether it always names the better one."""
        return not (self.needs_standard_units or self.is_random)

    @property
    def is_random(self) -> bool:
        """Whether anything in an answer is left to chance."""
        return self.beta is not None or self.mistake > 0

    def with_numbers(self, prior: NDArray[np.float64]) -> Teacher:
        """This teacher with shares of the prior turned into numbers.

        Args:
            prior: standardised utilities of prior samples, (count,).
        """
        equal, bad = self.equal, self.bad
        if isinstance(equal, str):
            one, other = np.triu_indices(len(prior), k=1)
            equal = float(np.quantile(np.abs(prior[one] - prior[other]), _share(equal, "equal")))
        if isinstance(bad, str):
            bad = float(np.quantile(prior, _share(bad, "bad")))
        return replace(self, equal=equal, bad=bad)

    def answer(
        self, first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Standardised utilities (batch,) twice → answers (batch,), each a `Preference`.

        Raises:
            TypeError: a threshold is a share of the prior; see `with_numbers`.
        """
        if isinstance(self.equal, str) or isinstance(self.bad, str):
            raise TypeError("thresholds are shares of the prior; with_numbers(…) turns them into numbers first")
        difference = first - second
        chosen = difference > 0
        tie = np.abs(difference) < self.equal
        if self.beta is None:
            # Of two media that are exactly as good neither is preferred, and no side may be favoured.
            tie |= difference == 0
        if self.is_random:
            # A row for each pair: asking pairs one by one draws what asking them at once does.
            chance = rng.random((len(first), 2))
            if self.beta is not None:
                # log(c / (1 − c)) of an even c is logistic: it lies below x with probability σ(x).
                with np.errstate(divide="ignore"):
                    chosen = np.log(chance[:, 0]) - np.log1p(-chance[:, 0]) < self.beta * difference
            chosen ^= chance[:, 1] < self.mistake
        answers = np.where(chosen, Preference.FIRST, Preference.SECOND)
        answers = np.where(tie, Preference.BOTH_GOOD, answers)
        return np.where((first < self.bad) & (second < self.bad), Preference.BOTH_BAD, answers).astype(np.int64)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and not math.isnan(value)


def _share(text: str, name: str) -> float:
    """ "5%" → 0.05."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = math.nan
    if not percent or rest or not 0 <= share <= 1:
        raise ValueError(f"teacher: {name} is {text!r}, expected a number, or a share of the prior such as '5%'")
    return share


TEACHERS: dict[str, Teacher] = {
    "oracle": Teacher(),
    "noisy": Teacher(beta=4.0),
    "mistaken": Teacher(mistake=0.1),
    "hesitant": Teacher(equal="30%"),
    "harsh": Teacher(bad="60%"),
    "human": Teacher(beta=6.0, mistake=0.02, equal="10%", bad="30%"),
}
"""The presets by name."""


def teacher_from(description: str | Mapping[str, Any] | Teacher) -> Teacher:
    """A preset's name, or parameters by name, or a teacher as it is.

    Raises:
        ValueError: unknown preset or parameter, or a value out of range.
    """
    if isinstance(description, Teacher):
        return description
    if isinstance(description, str):
        if description not in TEACHERS:
            raise ValueError(f"unknown teacher {description!r}; expected one of {', '.join(map(repr, TEACHERS))}, or "
                             f"parameters such as {{'beta': 4.0, 'equal': '5%'}}")  # fmt: skip
        return TEACHERS[description]
    if not isinstance(description, Mapping):
        raise ValueError(f"teacher is {description!r}, expected a preset's name or parameters by name")
    known = {field.name for field in fields(Teacher)}
    unknown = sorted(set(description) - known)
    if unknown:
        raise ValueError(
            f"teacher: unknown parameters {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    return Teacher(**description)
