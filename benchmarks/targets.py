"""Targets that no generator made: drawn portraits, and pictures of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pbg_env.generators.avatars.drawing import sample_portrait

PORTRAIT_SEED = 2**31 + 2
"""Of a stream of portraits that has none in common with those that the embedded generator was trained on (seed 0), nor
with those that its figures or the factor regressor were made with."""


def portrait(number: int, size: int = 64) -> NDArray[np.float32]:
    """A drawn portrait that no network here has seen.

    Args:
        number: which one, from 0; always the same one.
        size: side of the picture in pixels, that of the generator's media.

    Returns:
        (3, size, size) in [0, 1], for `reset(options={"target": …})`.

    Raises:
        ValueError: a negative number, or a size below 1.
    """
    _demand_number(number)
    picture = sample_portrait(np.random.default_rng((PORTRAIT_SEED, number)), size)
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255.0


def picture(folder: str | Path, number: int) -> Path:
    """A picture of a folder of the user's, for `reset(options={"target": …})`.

    Args:
        folder: files in it of the formats Pillow reads count, those of subfolders do not.
        number: which one by name, from 0.

    Raises:
        FileNotFoundError: no such folder, or not as many pictures in it.
        ValueError: a negative number.
    """
    _demand_number(number)
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(f"no such folder of targets: {place}; give a folder of pictures")
    suffixes = Image.registered_extensions()
    files = sorted(path for path in place.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if number >= len(files):
        raise FileNotFoundError(
            f"target {number} needs {number + 1} pictures in {place}, but there are {len(files)}; add some, or ask for "
            f"fewer targets"
        )
    return files[number]


def _demand_number(number: int) -> None:
    if number < 0:
        raise ValueError(f"target {number} asked for; expected a number from 0")
