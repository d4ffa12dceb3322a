"""The kinds of media a generator can make."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


class MediaError(ValueError):
    """A file or an array cannot be taken as a medium; the message says why and what to do."""


@runtime_checkable
class Medium(Protocol):
    """A kind of media of one shape. Values are always within [0, 1]."""

    @property
    def kind(self) -> str:
        """One word, such as "image"."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one medium, without the batch."""
        ...

    @property
    def levels(self) -> int:
        """Steps between 0 and 1 in what carries a value to a person: 255 on a screen, 65535 in 16-bit sound."""
        ...

    def features(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) → what matters of them to a person (batch, width), differentiable.

        Media whose features are near each other look or sound alike; `media.flatten(1)` is a beginning.
        """
        ...

    def read(self, source: Any) -> Tensor:
        """A file or an array fitted to this medium, (*shape).

        Raises:
            MediaError: it cannot be read as such a medium.
        """
        ...

    def frame(self, medium: Tensor) -> NDArray[np.uint8]:
        """One medium (*shape) as a picture to look at, (height, width, 3)."""
        ...

    def save(self, medium: Tensor, path: Path) -> Path:
        """Writes one medium (*shape) to `path`, with this kind's suffix, and returns where it stands."""
        ...

    def log(self, writer: SummaryWriter, tag: str, medium: Tensor, step: int) -> None:
        """Shows one medium (*shape) in TensorBoard."""
        ...


def as_perceived(medium: Medium, media: Tensor) -> Tensor:
    """Media (batch, *shape) as they reach a person, rounded to the medium's levels."""
    levels = media.float() * medium.levels
    # In place where no gradient is recorded: a large batch is memory that is walked over again and again.
    return levels.round() / medium.levels if levels.requires_grad else levels.round_().div_(medium.levels)
