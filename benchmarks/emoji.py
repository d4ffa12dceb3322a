"""`python -m benchmarks.emoji FONT FOLDER`: pictures of an emoji font, to train another generator on."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

# The one size that a font of bitmaps has, and the square its pictures are laid on, in pixels.
_SIZE = 109
_SQUARE = 140
_PIXELS = 64
_FIRST = 0x203C
_NO_PICTURES = ("REGIONAL INDICATOR", "EMOJI MODIFIER", "VARIATION SELECTOR", "TAG ", "EMOJI COMPONENT")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m benchmarks.emoji",
        description="Draws each character of a colour font on white, 64 px, into PNG files named by their code points.",
    )
    line.add_argument("font", type=Path, help="such as NotoColorEmoji.ttf, of Debian's fonts-noto-color-emoji")
    line.add_argument("folder", type=Path, help="where the pictures go; made where it is not there")
    told = line.parse_args(arguments)
    try:
        print(f"{draw(told.font, told.folder)} pictures in {told.folder}")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def draw(path: Path, folder: Path) -> int:
    """Draws a font's characters, and tells how many.

    Args:
        path: of a font with bitmaps in colour (CBDT).
        folder: for the pictures.

    Raises:
        OSError: no such file, or no font.
        ValueError: a font without pictures of this size.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no font {path}; on Debian: apt install fonts-noto-color-emoji")
    tables = TTFont(path)
    if "CBDT" not in tables:
        raise ValueError(f"{path} has no bitmaps in colour (a CBDT table)")
    font = ImageFont.truetype(str(path), _SIZE)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for code in tables.getBestCmap():
        if code < _FIRST or unicodedata.name(chr(code), "TAG ").startswith(_NO_PICTURES):
            continue
        picture = Image.new("RGB", (_SQUARE, _SQUARE), "white")
        half = _SQUARE // 2
        ImageDraw.Draw(picture).text((half, half), chr(code), font=font, embedded_color=True, anchor="mm")
        if picture.getextrema() == ((255, 255),) * 3:
            continue
        picture.resize((_PIXELS, _PIXELS), Image.Resampling.LANCZOS).save(folder / f"{code:05x}.png")
        drawn += 1
    return drawn


if __name__ == "__main__":
    main()
