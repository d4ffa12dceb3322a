"""What a person who answers is, to the environments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.generators.base import Generator
from pbg_env.oracles.base import Oracle
from pbg_env.preference import Answer


class NoAnswer(RuntimeError):
    """The person has not answered in time, or somebody has ended the wait; the question stays, and can be asked on."""


class Reply(NamedTuple):
    """What a person did about the pairs of a step."""

    answers: NDArray[np.int64]
    """(pairs,), each a `Preference`; `NOT_ASKED` where the person did something else instead."""
    ids: NDArray[np.int64]
    """Numbers of the answers, (pairs,), −1 where there is none."""
    retracted: tuple[int, ...] = ()
    """Numbers of earlier answers that were taken back."""
    accepted: NDArray[np.float32] | None = None
    """Noise (noise_dim,) of what the person wanted, where they said that it is found."""
    restart_from: NDArray[np.float32] | None = None
    """Noise (noise_dim,) from which the person wants to begin again."""


@runtime_checkable
class Person(Oracle, Protocol):
    """An oracle that can take answers back, say that it is satisfied, and look at what is recommended."""

    @property
    def restarted_from(self) -> NDArray[np.float32] | None:
        """Noise (noise_dim,) that the search had begun again from before this one goes on; None where it had not."""
        ...

    def begin(self, generator: Generator, max_queries: int, rng: np.random.Generator) -> list[Answer]:
        """A search begins; gives the answers that stand already."""
        ...

    def ask(self, noise: NDArray[np.float32], first: Tensor, second: Tensor, rng: np.random.Generator) -> Reply:
        """Asks pairs of noise (pairs, 2, noise_dim) with media (pairs, *shape) twice.

        Raises:
            NoAnswer: not in time.
        """
        ...

    def show(self, noise: NDArray[np.float32], medium: Tensor, confidence: float | None) -> None:
        """Shows what a search recommends: noise (noise_dim,), medium (*shape)."""
        ...

    def interrupt(self) -> None:
        """Ends a wait in `ask`, which raises `NoAnswer`; from another thread or a signal's handler."""
        ...

    def finish(self, why: str, files: Mapping[str, Path] | None = None) -> None:
        """The search has ended; why, as a sentence for the person, and files they may have, by name."""
        ...

    def close(self) -> None:
        """The environment is closed; may be called again."""
        ...
