"""Square RGB pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from pbg_env.media.base import MediaError

_FEATURE_SIZE = 64


def read_rgb(path: Path | IO[bytes], formats: tuple[str, ...] | None = None) -> Image.Image:
    """A picture file as people see it: turned as its EXIF data say, transparency on white, RGB.

    Args:
        path: of the file, or the open file.
        formats: names of those that are read, all that Pillow knows unless told.

    Raises:
        OSError, SyntaxError, ValueError, Image.DecompressionBombError: Pillow cannot read it.
    """
    with Image.open(path, formats=formats) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode == "RGB":
            return upright.copy()
        if upright.mode.startswith("I"):
            # Pillow clips deep greys when it converts them; 16 bits carry 257 times the values of 8.
            upright = Image.fromarray((np.asarray(upright, dtype=np.float64) / 257.0).round().astype(np.uint8))
        layered = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")


UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no picture, truncated, or too large to be one in earnest."""


@dataclass(frozen=True)
class ImageMedium:
    """Square RGB pictures of `size` × `size` pixels, channels first, values in [0, 1]."""

    size: int

    @property
    def kind(self) -> str:
        return "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def levels(self) -> int:
        return 255

    def features(self, media: Tensor) -> Tensor:
        """Pictures (batch, 3, size, size) → their values (batch, width), large pictures averaged down to 64 px.

        What differs between pictures at large shows there already, and a thousand pictures of 512 px fill a memory.
        """
        if self.size > _FEATURE_SIZE:
            media = F.adaptive_avg_pool2d(media, _FEATURE_SIZE)
        return media.flatten(1)

    def read(self, source: Any) -> Tensor:
        """A picture fitted to this size: its middle square, resized with antialiasing.

        Args:
            source: a file of any format, mode and size that Pillow reads; or an array, uint8 (height, width, 3) or
                floats in [0, 1] of this medium's own shape (3, size, size).

        Returns:
            (3, size, size) in [0, 1], float32.

        Raises:
            MediaError: no such file, not a picture, empty, or an array of another form.
        """
        picture = self._from_file(Path(source)) if isinstance(source, (str, Path)) else self._from_array(source)
        if isinstance(picture, Tensor):
            return picture
        fitted = ImageOps.fit(picture, (self.size, self.size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1).contiguous()

    def _from_file(self, path: Path) -> Image.Image:
        if not path.is_file():
            raise MediaError(f"no such picture: {path}; give the path of an image file")
        try:
            return read_rgb(path)
        except UNREADABLE as error:
            raise MediaError(f"cannot read {path} as a picture: {error}; give an image file such as PNG or JPEG") from (
                error
            )

    def _from_array(self, source: Any) -> Image.Image | Tensor:
        array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size > 0:
            return Image.fromarray(array)
        if np.issubdtype(array.dtype, np.floating) and array.shape == self.shape:
            if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
                raise MediaError("the picture's values are not all within [0, 1]; scale them, or give uint8")
            return torch.from_numpy(array.astype(np.float32))
        raise MediaError(
            f"an array of shape {array.shape} and type {array.dtype} is no picture; expected uint8 (height, width, 3) "
            f"or floats in [0, 1] of shape {self.shape}"
        )

    def frame(self, medium: Tensor) -> NDArray[np.uint8]:
        """One picture (3, size, size) as uint8 (size, size, 3)."""
        return (medium.detach().clamp(0, 1) * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()

    def save(self, medium: Tensor, path: Path) -> Path:
        """Writes one picture (3, size, size) as PNG."""
        path = path.with_suffix(".png")
        Image.fromarray(self.frame(medium)).save(path)
        return path

    def log(self, writer: SummaryWriter, tag: str, medium: Tensor, step: int) -> None:
        writer.add_image(tag, self.frame(medium), step, dataformats="HWC")
