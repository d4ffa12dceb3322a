from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pbg_env import ImageMedium, MediaError, Medium, as_perceived

MEDIUM = ImageMedium(64)


def test_members_of_the_protocol() -> None:
    assert isinstance(MEDIUM, Medium)
    assert MEDIUM.shape == (3, 64, 64)


def test_a_picture_of_any_size_and_mode_is_fitted(tmp_path: Path) -> None:
    pictures = {
        "large.png": Image.new("RGB", (1000, 1000), (255, 0, 0)),
        "small.png": Image.new("RGB", (10, 7), (255, 0, 0)),
        "palette.png": Image.new("RGB", (100, 90), (255, 0, 0)).convert("P"),
        "photo.jpg": Image.new("RGB", (300, 200), (255, 0, 0)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 64, 64)
        torch.testing.assert_close(MEDIUM.read(tmp_path / name), red, atol=0.02, rtol=0)


@pytest.mark.parametrize("mode", ["L", "I;16", "1", "LA"])
def test_grey_is_grey(tmp_path: Path, mode: str) -> None:
    white: int | tuple[int, int] = {"I;16": 65535, "LA": (255, 255), "1": 1}.get(mode, 255)  # type: ignore[assignment]
    Image.new(mode, (70, 70), white).save(tmp_path / "grey.png")
    torch.testing.assert_close(MEDIUM.read(tmp_path / "grey.png"), torch.ones(3, 64, 64))


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 128)).save(tmp_path / "half.png")
    torch.testing.assert_close(MEDIUM.read(tmp_path / "half.png").mean(), torch.tensor(127 / 255), atol=0.01, rtol=0)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((64, 192, 3), dtype=np.uint8)
    picture[:, 64:128] = 255
    Image.fromarray(picture).save(tmp_path / "wide.png")
    torch.testing.assert_close(MEDIUM.read(tmp_path / "wide.png"), torch.ones(3, 64, 64))


def test_exif_turns_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[:32] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    read = MEDIUM.read(tmp_path / "turned.png")
    assert read[:, :30].max() < 0.1
    assert read[:, 34:].min() > 0.9


def test_shrinking_averages(tmp_path: Path) -> None:
    checkers = (np.indices((640, 640)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkers).save(tmp_path / "checkers.png")
    torch.testing.assert_close(MEDIUM.read(tmp_path / "checkers.png"), torch.full((3, 64, 64), 0.5), atol=0.02, rtol=0)


def test_arrays_are_taken(rng: np.random.Generator) -> None:
    floats = rng.random((3, 64, 64))
    torch.testing.assert_close(MEDIUM.read(floats), torch.from_numpy(floats).float())
    bytes_ = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(MEDIUM.frame(MEDIUM.read(bytes_)), bytes_)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such picture"),
        (lambda path: path.write_text("no picture"), "cannot read .* as a picture"),
        (lambda path: path.write_bytes(b""), "cannot read .* as a picture"),
        (lambda path: _cut(path), "cannot read .* as a picture"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "target.png"
    make(path)  # type: ignore[operator]
    with pytest.raises(MediaError, match=message):
        MEDIUM.read(path)


def _cut(path: Path) -> None:
    Image.effect_noise((200, 200), 50).save(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((64, 64)), r"an array of shape \(64, 64\) and type float64 is no picture; expected uint8"),
        (np.zeros((0, 5, 3), dtype=np.uint8), r"of shape \(0, 5, 3\)"),
        (np.full((3, 64, 64), 2.0), r"not all within \[0, 1\]"),
        (np.full((3, 64, 64), np.nan), r"not all within \[0, 1\]"),
    ],
)
def test_arrays_that_are_no_pictures(array: np.ndarray, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        MEDIUM.read(array)


def test_saved_pictures_come_back(tmp_path: Path, rng: np.random.Generator) -> None:
    medium = as_perceived(MEDIUM, torch.from_numpy(rng.random((3, 64, 64))).float())
    path = MEDIUM.save(medium, tmp_path / "destination")
    assert path.name == "destination.png"
    torch.testing.assert_close(MEDIUM.read(path), medium)
