"""Media as a browser can show them."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from pbg_env.answers import File
from pbg_env.media import MediaError, Medium
from pbg_env.media.image import UNREADABLE, read_rgb

_SOUNDS = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac"}
_LARGEST_UPLOAD = 25_000_000
_UPLOADED_SIZE = 512
# Others are read by programs that were not written for files of strangers.
_UPLOADED = ("PNG", "JPEG", "WEBP", "GIF")


class Shown(NamedTuple):
    """One medium on the page: a picture, and a sound where it has one."""

    picture: File
    sound: File | None

    @property
    def medium(self) -> File:
        """What the person judges: the sound, or else the picture."""
        return self.picture if self.sound is None else self.sound


def shown(kind: Medium, medium: Tensor) -> Shown:
    """One medium (*shape), for a page."""
    frame = io.BytesIO()
    # Of the levels of compression the quickest: the page is on the same machine.
    Image.fromarray(kind.frame(medium)).save(frame, "PNG", compress_level=1)
    picture = File("image/png", frame.getvalue())
    if kind.kind == "image":
        return Shown(picture, None)
    with TemporaryDirectory() as folder:
        path = kind.save(medium, Path(folder) / "medium")
        heard = _SOUNDS.get(path.suffix)
        return Shown(picture, None if heard is None else File(heard, path.read_bytes()))


def from_file(file: File, kind: Medium) -> Shown:
    """What was stored of a medium; of a sound its picture is drawn again."""
    if not file.type.startswith("audio/"):
        return Shown(file, None)
    suffix = next(suffix for suffix, heard in _SOUNDS.items() if heard == file.type)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"medium{suffix}"
        path.write_bytes(file.content)
        return Shown(shown(kind, kind.read(path)).picture, file)


def uploaded(content: bytes) -> File:
    """A picture from a browser, made anew so that nothing but its pixels is kept, at most 512 px high and wide.

    Raises:
        MediaError: no picture, or one of more than 25 million pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_UPLOADED) as picture:
            if picture.width * picture.height > _LARGEST_UPLOAD:
                raise MediaError(
                    f"the picture has {picture.width} × {picture.height} pixels; give one of at most 25 million"
                )
        upright = read_rgb(io.BytesIO(content), _UPLOADED)
        # Smaller ones stay as they are.
        upright.thumbnail((_UPLOADED_SIZE, _UPLOADED_SIZE))
    except UNREADABLE as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError("the file is no picture that can be read; give a PNG, JPEG, WebP or GIF") from error
    made = io.BytesIO()
    upright.save(made, "PNG")
    return File("image/png", made.getvalue())
