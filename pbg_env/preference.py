"""The answers an oracle can give, and the record of one question with its answer."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Preference(IntEnum):
    """The answer to "which of these two is nearer to what you want?"."""

    FIRST = 0
    SECOND = 1
    BOTH_GOOD = 2
    BOTH_BAD = 3

    @property
    def label(self) -> tuple[float, float]:
        """Weight on the first and on the second: (1, 0), (0, 1), (½, ½), (0, 0)."""
        return _LABELS[self]


_LABELS = {
    Preference.FIRST: (1.0, 0.0),
    Preference.SECOND: (0.0, 1.0),
    Preference.BOTH_GOOD: (0.5, 0.5),
    Preference.BOTH_BAD: (0.0, 0.0),
}

NOT_ASKED = -1
"""Stands in the place of an answer where the budget was spent before the pair could be asked."""


class Answer(NamedTuple):
    """One question and its answer."""

    id: int
    """Number of the answer within its search, from 0; stays the same when earlier ones are taken back."""
    first: NDArray[np.float32]
    """Noise of the first medium, (noise_dim,)."""
    second: NDArray[np.float32]
    """Noise of the second medium, (noise_dim,)."""
    preference: Preference
