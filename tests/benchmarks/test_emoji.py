"""Pictures of an emoji font."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from benchmarks.emoji import draw

_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
_BLACK_AND_WHITE = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@pytest.mark.skipif(not _FONT.is_file(), reason="no NotoColorEmoji (Debian's fonts-noto-color-emoji)")
def test_draws_characters(tmp_path: Path) -> None:
    drawn = draw(_FONT, tmp_path)
    files = list(tmp_path.glob("*.png"))
    assert len(files) == drawn > 1000
    with Image.open(tmp_path / "1f600.png") as face:
        assert face.size == (64, 64)
        red, _, blue = face.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
        assert red > blue


def test_refuses_other_fonts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no font .*; on Debian: apt install"):
        draw(tmp_path / "missing.ttf", tmp_path)
    with pytest.raises(ValueError, match="has no bitmaps in colour"):
        draw(_BLACK_AND_WHITE, tmp_path)
    command = [sys.executable, "-m", "benchmarks.emoji", str(_BLACK_AND_WHITE), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
