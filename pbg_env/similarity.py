"""How near one medium is to another: the measures an oracle with a target goes by. Higher is nearer."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Media (batch, *shape) in [0, 1] and a target (*shape) → (batch,), differentiable with respect to the media."""


def pixels(media: Tensor, target: Tensor) -> Tensor:
    """Negative root mean squared error over the values in [0, 1]: 0 for the target itself, −1 at the farthest."""
    squared = (media - target).square().flatten(1).mean(dim=1)
    # The root has no slope at 0; what lies below this is a hundredth of the step between two 8-bit values.
    return -squared.clamp_min(1e-9).sqrt()


SIMILARITIES: dict[str, Similarity] = {"pixels": pixels}


def similarity_named(name: str) -> Similarity:
    """The similarity of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in SIMILARITIES:
        raise ValueError(f"unknown similarity {name!r}; expected one of {', '.join(map(repr, SIMILARITIES))}")
    return SIMILARITIES[name]
