"""Action spaces over noise whose samples come from the prior."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.noise import NOISE_BOUND, sample_noise, unit_to_noise

ActionKind = Literal["noise", "unit"]


class NoiseSpace(spaces.Box):
    """A `Box` of noise within ±4; `sample()` draws from the truncated normal prior and not evenly from the box."""

    def __init__(self, shape: tuple[int, ...], seed: int | np.random.Generator | None = None) -> None:
        super().__init__(-NOISE_BOUND, NOISE_BOUND, shape, np.float32, seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Draws from the prior.

        Raises:
            ValueError: a mask, which has no meaning in a `Box`.
        """
        if mask is not None or probability is not None:
            raise ValueError("a space of noise takes neither mask nor probability; its samples come from the prior")
        return sample_noise(self.shape, self.np_random)

    def __repr__(self) -> str:
        return f"NoiseSpace(±{NOISE_BOUND:g}, {self.shape}, float32)"


@batch_space.register(NoiseSpace)
def _batch_noise_space(space: NoiseSpace, n: int = 1) -> NoiseSpace:
    return NoiseSpace((n, *space.shape), seed=deepcopy(space.np_random))


def action_space(kind: ActionKind, shape: tuple[int, ...]) -> spaces.Box:
    """The space of actions of a shape: noise itself, or [-1, 1] that maps to it.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "noise":
        return NoiseSpace(shape)
    if kind == "unit":
        return spaces.Box(-1.0, 1.0, shape, np.float32)
    raise ValueError(f"unknown action {kind!r}; expected 'noise' or 'unit'")


def noise_of_action(action: Any, space: spaces.Box, kind: ActionKind) -> NDArray[np.float32]:
    """An action as noise: checked, clipped to the space, mapped to the prior.

    Raises:
        ValueError: not numbers, another shape, NaN or infinite.
    """
    array = finite_numbers(action, "action")
    if array.shape != space.shape:
        raise ValueError(f"an action of shape {array.shape}, expected {space.shape}")
    # Before the cast, in which numbers beyond the range of float32 would become infinite.
    clipped = np.clip(array, space.low, space.high).astype(np.float32)
    return clipped if kind == "noise" else unit_to_noise(clipped)


def finite_numbers(values: Any, what: str) -> NDArray[Any]:
    """Values, of a tensor on any device too, as an array of a type of real numbers.

    Raises:
        ValueError: not numbers, NaN or infinite; `what` they are is named.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {what}, a {type(values).__name__}, is not an array of numbers") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"the {what}, a {type(values).__name__} of type {array.dtype}, is not an array of numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"the {what} has values that are NaN or infinite; expected finite numbers")
    return array
