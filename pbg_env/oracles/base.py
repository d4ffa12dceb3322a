"""What an oracle is, to the environments."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@runtime_checkable
class Oracle(Protocol):
    """Wants something, and says which of two media is nearer to it.

    Left and right carry no information: exchanging the media of a pair exchanges first and second in the distribution
    of its answer. An oracle that also has `utility(media)`, media (batch, *shape) → (batch,), higher is better, has a
    score and can be satisfied.
    """

    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """Answers pairs of media.

        Args:
            first: media (batch, *shape) in [0, 1], as a person would perceive them.
            second: as many others.
            rng: the only source of randomness.

        Returns:
            (batch,), each a `Preference`.
        """
        ...


@runtime_checkable
class OracleWithUtility(Oracle, Protocol):
    """An oracle whose wish is a number."""

    def utility(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → noiseless utility (batch,), differentiable."""
        ...
