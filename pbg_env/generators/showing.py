"""Media as a person or a simulated user gets to see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.generators.base import Generator
from pbg_env.media import Medium, as_perceived


@torch.no_grad()
def show(generator: Generator, noise: NDArray[np.floating] | Tensor) -> Tensor:
    """Noise (batch, noise_dim) → media (batch, *media.shape) as perceived, without gradients.

    Raises:
        MemoryError: the batch does not fit; the message names its size.
    """
    noise = torch.as_tensor(noise, dtype=torch.float32, device=generator.device)
    try:
        return as_perceived(generator.media, generator.generate(noise))
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise MemoryError(
            f"out of memory on {generator.device} while making {len(noise)} media at once; use a smaller num_envs, "
            f"pairs_per_step or batch of noise (half of it may do), or another device"
        ) from error


def side_by_side(medium: Medium, media: Sequence[Tensor | None]) -> NDArray[np.uint8]:
    """Frames of media (*shape) with white between them, (height, width, 3); black where there is none yet."""
    frames = [black(medium) if one is None else medium.frame(one) for one in media]
    gap = np.full((frames[0].shape[0], max(2, frames[0].shape[1] // 32), 3), 255, dtype=np.uint8)
    pieces = [piece for frame in frames for piece in (gap, frame)][1:]
    return np.concatenate(pieces, axis=1)


def black(medium: Medium) -> NDArray[np.uint8]:
    """A black frame, (height, width, 3): frames of a medium have one shape, known without generating any."""
    return np.zeros_like(medium.frame(torch.zeros(medium.shape)))


def _is_out_of_memory(error: Exception) -> bool:
    # CUDA has a class for it; the CPU's allocator says it in words alone.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
