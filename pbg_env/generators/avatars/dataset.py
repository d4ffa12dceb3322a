"""Drawn portraits as a dataset in torchvision's style: as many as wanted, none of them stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from pbg_env.generators.avatars.drawing import sample_portrait


class AvatarDataset(Dataset[Any]):
    """Portrait number i of a seed, drawn when asked for; always the same one.

    Args:
        count: how many portraits the dataset has.
        size: side of a picture in pixels.
        seed: portraits of two seeds have nothing in common.
        transform: applied to the PIL picture, as torchvision's datasets do.
    """

    def __init__(
        self, count: int, size: int = 64, *, seed: int = 0, transform: Callable[[Image.Image], Any] | None = None
    ) -> None:
        if count < 1:
            raise ValueError(f"count is {count}, expected at least 1 portrait")
        self.count = count
        self.size = size
        self.seed = seed
        self.transform = transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        """Portrait `index`, an RGB PIL picture of `size` × `size`, or what `transform` made of it."""
        if not 0 <= index < self.count:
            raise IndexError(f"portrait {index} of a dataset of {self.count}")
        picture = sample_portrait(np.random.default_rng((self.seed, index)), self.size)
        return picture if self.transform is None else self.transform(picture)
