"""How a simulated user turns two utilities into an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbg_env.preference import Preference


@dataclass(frozen=True)
class Teacher:
    """Answers in the order of the original system: both bad, else both good, else the better of the two.

    Thresholds are in units of the utility standardised on prior samples: 0 is an average random medium, 1 one standard
    deviation above it.

    Attributes:
        equal: below this difference of utilities both are good; at least 0.
        bad: both are bad when both utilities are below this; −∞ never.
    """

    equal: float = 0.0
    bad: float = -math.inf

    def __post_init__(self) -> None:
        if not self.equal >= 0 or math.isinf(self.equal):
            raise ValueError(f"teacher: equal is {self.equal}, expected a finite number of at least 0")
        if math.isnan(self.bad):
            raise ValueError("teacher: bad is NaN, expected a number, or -inf for never")

    @property
    def needs_standard_units(self) -> bool:
        """Whether an answer depends on more than the order of the two utilities."""
        return self.equal > 0 or self.bad > -math.inf

    def answer(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
        """Standardised utilities (batch,) twice → answers (batch,)."""
        difference = first - second
        choice = np.where(difference > 0, Preference.FIRST, Preference.SECOND)
        # Of two media that are exactly as good neither is preferred, and no side may be favoured.
        choice = np.where((np.abs(difference) < self.equal) | (difference == 0), Preference.BOTH_GOOD, choice)
        return np.where((first < self.bad) & (second < self.bad), Preference.BOTH_BAD, choice).astype(np.int64)


TEACHERS: dict[str, Teacher] = {"oracle": Teacher()}
"""The presets by name: `oracle` is exact."""


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
                             f"parameters such as {{'equal': 0.1}}")  # fmt: skip
        return TEACHERS[description]
    known = {field.name for field in fields(Teacher)}
    unknown = sorted(set(description) - known)
    if unknown:
        raise ValueError(
            f"teacher: unknown parameters {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    return Teacher(**description)
