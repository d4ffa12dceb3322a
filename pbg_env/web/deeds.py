"""What is asked on the page, and what the person may do about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pbg_env.preference import Answer
from pbg_env.web.files import Shown

Noise = NDArray[np.float32]


class Question(NamedTuple):
    """A pair to show."""

    noise: NDArray[np.float32]
    """Of first and second, (2, noise_dim)."""
    media: tuple[Shown, Shown]
    first_is_left: bool
    repeat_of: int | None = None
    """Number of the answer it was asked for before."""
    revises: int | None = None
    """Number of the answer to it that was taken back."""


class Answered(NamedTuple):
    """An answer was stored."""

    answer: Answer


class Undone(NamedTuple):
    """The last answer was taken back."""


class Restarted(NamedTuple):
    """The search is to begin again from a medium."""

    noise: Noise


class Accepted(NamedTuple):
    """This medium is it."""

    noise: Noise
    medium: Shown


Deed = Answered | Undone | Restarted | Accepted
"""What a person did while a question was on the page."""


class Stale(ValueError):
    """The page spoke of a question that is no longer there, or asked for what cannot be done now."""


class Interrupted(Exception):
    """Nobody waits for the person any longer."""
