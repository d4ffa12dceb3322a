"""Pictures for training: an endless stream in which position p always holds the same picture, however often resumed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import InterpolationMode, v2
from tqdm import tqdm

from pbg_env.generators.avatars.drawing import sample_portrait
from pbg_env.media.image import UNREADABLE, read_rgb

AVATARS = "avatars"
"""The name that asks for drawn portraits in place of a folder."""


class DataError(ValueError):
    """The pictures given cannot be trained on; the message says why and what to do."""


class PictureSource(Protocol):
    """Where the pictures of a stream come from."""

    def picture(self, position: int) -> Image.Image:
        """The RGB picture at a position of the stream, 0, 1, …"""
        ...


class DrawnPortraits:
    """Every position holds a fresh portrait."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed

    def picture(self, position: int) -> Image.Image:
        return sample_portrait(np.random.default_rng((self.seed, position)), self.size)


class PictureFolder:
    """All pictures below a folder, each once an epoch, in an order of its own every epoch.

    Args:
        folder: searched with its subfolders; files of the formats Pillow reads.
        size: side of the finest scale; smaller pictures are an error.
        seed: of the order.

    Raises:
        DataError: no such folder, no readable picture in it, or a picture whose shorter side is below `size`.
    """

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        if not folder.is_dir():
            raise DataError(f"--data {folder}: no such folder; give a folder of pictures, or {AVATARS!r}")
        suffixes = Image.registered_extensions()
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
        if not files:
            raise DataError(f"--data {folder}: no pictures in it (looked for {', '.join(sorted(suffixes)[:6])}, …)")
        self.files: list[Path] = []
        unreadable: list[str] = []
        small: list[str] = []
        for path in tqdm(files, desc="reading pictures", unit="file", leave=False):
            try:
                with Image.open(path) as picture:
                    picture.load()
                    if min(picture.size) < size:
                        small.append(f"{path.relative_to(folder)} ({picture.width} × {picture.height})")
                    else:
                        self.files.append(path)
            except UNREADABLE as error:
                unreadable.append(f"{path.relative_to(folder)} ({error})")
        if small:
            raise DataError(
                f"--data {folder}: {len(small)} of {len(files)} pictures are smaller than the finest scale, {size} px: "
                f"{_some(small)}; remove them, or train fewer scales"
            )
        if not self.files:
            raise DataError(f"--data {folder}: none of its {len(files)} pictures can be read: {_some(unreadable)}")
        if unreadable:
            warnings.warn(
                f"skipped {len(unreadable)} of {len(files)} pictures that cannot be read: {_some(unreadable)}",
                stacklevel=2,
            )
        self.seed = seed
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def picture(self, position: int) -> Image.Image:
        epoch, place = divmod(position, len(self.files))
        if epoch != self._epoch:
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.files))
            self._epoch = epoch
        return read_rgb(self.files[self._order[place]])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class _Stream(Dataset[list[Tensor]]):
    """Position → the picture at every scale, each (3, side, side) in [-1, 1]."""

    def __init__(self, source: PictureSource, sizes: list[int], flip: bool, seed: int) -> None:
        self.source = source
        self.seed = seed
        finest = max(sizes)
        augment: list[torch.nn.Module] = [
            v2.ToImage(),
            v2.Resize(finest, InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(finest),
        ]
        if flip:
            augment.append(v2.RandomHorizontalFlip())
        self.augment = v2.Compose(augment)
        self.resize = [
            v2.Identity() if size == finest else v2.Resize(size, InterpolationMode.BILINEAR, antialias=True)
            for size in sizes
        ]
        self.scale = v2.Compose(
            [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])]
        )

    def __getitem__(self, index: int) -> list[Tensor]:
        # Torchvision draws from torch's global state; what it draws must depend on the position alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, index)).generate_state(1, np.uint64)[0] >> 1))
            picture = self.augment(self.source.picture(index))
        return [self.scale(resize(picture)) for resize in self.resize]


class _Positions(Sampler[int]):
    def __init__(self, start: int, stop: int) -> None:
        self.positions = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)

    def __len__(self) -> int:
        return len(self.positions)


def batches(
    data: str, sizes: list[int], *, batch_size: int, start: int, stop: int, flip: bool, workers: int, seed: int
) -> DataLoader[list[Tensor]]:
    """The batches of steps `start` to `stop` (exclusive) of the endless stream.

    Args:
        data: a folder, or "avatars".
        sizes: side of each scale in pixels.

    Returns:
        A loader of lists with one tensor (batch_size, 3, size, size) in [-1, 1] a scale.

    Raises:
        DataError: the folder cannot be trained on.
    """
    source: PictureSource
    if data == AVATARS and not Path(data).is_dir():
        source = DrawnPortraits(max(sizes), seed)
    else:
        source = PictureFolder(Path(data), max(sizes), seed)
    return DataLoader(
        _Stream(source, sizes, flip, seed),
        batch_size=batch_size,
        sampler=_Positions(start * batch_size, stop * batch_size),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # In workers, processes that were started afresh cannot inherit a lock that another thread holds.
        multiprocessing_context="spawn" if workers else None,
    )
