"""Searches as strips of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.evolution import OneBitMomentum
from agents.random_search import Origin
from benchmarks.strips import draw, main, strip


def test_a_strip_is_of_what_was_recommended() -> None:
    still, moved = (strip(agent, [0, 4], 1) for agent in (Origin(), OneBitMomentum()))
    assert len(still.frames) == 3
    np.testing.assert_array_equal(still.frames[0], still.frames[1])
    assert still.scores[0] == still.scores[1] == moved.scores[0] != moved.scores[1]
    # The same seed wants the same.
    np.testing.assert_array_equal(still.frames[2], moved.frames[2])
    figure = draw([still, moved], [0, 4])
    assert [axes.get_title() for axes in figure.axes[:3]] == ["start", "4 answers", "target"]
    assert figure.axes[0].get_xlabel() == f"{still.scores[0]:.2f}"


def test_the_command_draws_searches(tmp_path: Path) -> None:
    main([str(tmp_path / "strips.png"), "--answers", "[0, 2]", "--seeds", "[1, 2]"])
    with Image.open(tmp_path / "strips.png") as picture:
        assert picture.width > picture.height > 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/strips.png"], "no folder nowhere"),
        (["strips.png", "--seeds", "[]"], "expected one of each"),
        (["strips.png", "--answers", "[10, 0]"], "answers are \\[10, 0\\], expected ascending numbers"),
        (["strips.png", "--answers", "[1, 1]"], "expected ascending numbers"),
        (["strips.png", "--teacher", "strict"], "unknown teacher 'strict'; expected one of oracle, noisy"),
        (["strips.txt"], "strips.txt would be no picture; expected a name that ends in .*png"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_searching(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.strips.strip", lambda *_, **__: pytest.fail("it searched"))
    with pytest.raises(SystemExit, match=message):
        main(arguments)
