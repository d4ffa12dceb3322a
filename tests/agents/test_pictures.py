"""The pictures of a whole run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.pictures import Album, Question, questions_sheet
from pbg_env import Preference

GREEN = (0, 140, 60)


def frame(grey: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), grey, dtype=np.uint8)


def marks(preference: Preference) -> tuple[bool, bool, bool]:
    """Whether there is green at the left edge, at the right edge, and whether the pictures' colour is still seen."""
    pair = (Image.new("RGB", (64, 64), (10, 20, 200)) for _ in range(2))
    sheet = np.asarray(questions_sheet([Question(1, *pair, preference)]))
    framed = (sheet == GREEN).all(axis=2).any(axis=0)
    coloured = (sheet == (10, 20, 200)).all(axis=2).any(axis=0)
    columns = np.flatnonzero(framed)
    middle = 12 + 4 + 96 + 4
    return bool((columns < middle).any()), bool((columns > middle).any()), bool(coloured.any())


@pytest.mark.parametrize(
    ("preference", "marked"),
    [
        (Preference.FIRST, (True, False, True)),
        (Preference.SECOND, (False, True, True)),
        (Preference.BOTH_GOOD, (True, True, True)),
        (Preference.BOTH_BAD, (False, False, False)),
    ],
)
def test_each_answer_is_marked(preference: Preference, marked: tuple[bool, bool, bool]) -> None:
    assert marks(preference) == marked


@pytest.mark.parametrize("count", [1, 30, 300])
def test_every_question_has_its_place_on_a_sheet_as_wide_as_a_screen(count: int) -> None:
    blue = Image.new("RGB", (64, 64), (10, 20, 200))
    sheet = questions_sheet([Question(number + 1, blue, blue, Preference.FIRST) for number in range(count)])
    area = int((np.asarray(sheet) == (10, 20, 200)).all(axis=2).sum())
    height = 96 if count <= 60 else 64
    assert area == count * 2 * height**2
    if count > 1:
        assert 1 < sheet.width / sheet.height < 2


def test_the_animation_shows_every_round_over_and_over_and_holds_the_last(tmp_path: Path) -> None:
    album = Album()
    album.destination("start", frame(0, 128, 192))
    for number in range(1, 5):
        album.destination(f"{number} answers\nscore 0.{number}", frame(50 * number, 128, 192))
    pictures = album.save(tmp_path, "4 answers\nscore 0.4", frame(250, 128, 192), None)
    assert set(pictures) == {"progress"}
    assert not (tmp_path / "questions.png").exists()
    with Image.open(tmp_path / "destination.webp") as animation:
        assert (animation.n_frames, animation.info["loop"]) == (5, 0)  # type: ignore[attr-defined]
        shown, durations = [], []
        for number in range(5):
            animation.seek(number)
            shown.append(int(np.asarray(animation.convert("L"))[100, 100]))
            durations.append(animation.info["duration"])
    np.testing.assert_allclose(shown, [0, 50, 100, 150, 250], atol=4)
    assert durations[-1] > 4 * durations[0]


def test_very_many_rounds_are_thinned_evenly_to_the_end(tmp_path: Path) -> None:
    album = Album()
    for number in range(1000):
        album.destination(f"{number} answers", frame(number % 256, 8, 8))
    album.save(tmp_path, "1000 answers", frame(255, 8, 8), None)
    with Image.open(tmp_path / "destination.webp") as animation:
        assert 150 <= animation.n_frames <= 301  # type: ignore[attr-defined]
