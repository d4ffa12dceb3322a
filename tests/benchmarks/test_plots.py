"""What is in the pictures of a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import plots
from benchmarks.plots import Curve, draw_answers, draw_curves, draw_profiles, draw_thinking, looks
from benchmarks.statistics import Estimate, Profile

LOOK = looks(["low", "high", "short"], ["scratch", "scratch", "pretrained"])


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    found: list[Figure] = []
    save = plots._save

    def remember(figure: Figure, path: Path) -> None:
        save(figure, path)
        found.append(figure)

    monkeypatch.setattr(plots, "_save", remember)
    return found


def curve(name: str, answers: list[float], last: float) -> Curve:
    scores = [Estimate(value, value - 0.1, value + 0.1) for value in np.linspace(0, last, len(answers)).tolist()]
    return Curve(name, answers, scores)


CURVES = [curve("low", [0, 10, 30], 0.2), curve("high", [0, 10, 30], 0.9), curve("short", [0, 10], 0.5)]


def test_forty_strategies_look_different_and_groups_have_markers() -> None:
    found = looks([str(number) for number in range(40)], ["scratch"] * 30 + ["pretrained"] * 10)
    assert len({(look.colour, look.dashes) for look in found.values()}) == 40
    assert {look.marker for look in list(found.values())[:30]} == {""}
    assert {look.marker for look in list(found.values())[30:]} == {"o"}


def test_curves_with_bands_and_references(tmp_path: Path, figure: list[Figure]) -> None:
    fine = np.linspace(0, 30, 7)
    draw_curves(tmp_path / "a.png", "faces", CURVES, LOOK, {"1 bit": (fine, fine / 30)})
    (axes,) = figure[0].axes
    assert axes.get_title() == "faces"
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_allclose(lines["high"].get_xydata(), [[0, 0], [10, 0.45], [30, 0.9]])
    np.testing.assert_allclose(lines["short"].get_xydata(), [[0, 0], [10, 0.5]])
    np.testing.assert_allclose(lines["1 bit"].get_ydata(), fine / 30)
    assert lines["high"].get_color() == LOOK["high"].colour
    # As the curves end, from the top; what no strategy made comes last.
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["high", "short", "low", "1 bit"]
    band = axes.collections[0].get_paths()[0].vertices
    assert np.max(band[:, 1]) == pytest.approx(1.0)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "10", "30"]


def test_profiles_beside_each_other(tmp_path: Path, figure: list[Figure]) -> None:
    thresholds = np.linspace(0, 1, 5)
    low, high = np.array([1, 0.5, 0, 0, 0]), np.array([1, 1, 1, 0.5, 0])
    panels = {
        "after 10": {"low": Profile(low, low, low), "high": Profile(high, high, high)},
        "after 30": {"high": Profile(high, high - 0.1, high)},
    }
    draw_profiles(tmp_path / "a.png", "faces", panels, thresholds, LOOK)
    first, second = figure[0].axes
    assert [first.get_title(), second.get_title()] == ["after 10", "after 30"]
    np.testing.assert_allclose([line.get_ydata() for line in first.get_lines()], [low, high])
    np.testing.assert_allclose(second.get_lines()[0].get_xydata(), np.stack((thresholds, high), axis=1))
    assert [text.get_text() for text in figure[0].legends[0].get_texts()] == ["low", "high"]


def test_answers_that_were_not_enough_are_as_long_as_the_budget(tmp_path: Path, figure: list[Figure]) -> None:
    never = Estimate(np.inf, np.inf, np.inf)
    medians = {"high": {0.5: (Estimate(12.0, 8.0, np.inf), 0.9), 0.6: (never, 0.4)},
               "short": {0.5: (Estimate(7.0, np.nan, np.nan), 1.0), 0.6: (never, 0.0)}}  # fmt: skip
    draw_answers(tmp_path / "a.png", "faces", medians, {"high": 300.0, "short": 100.0}, LOOK)
    first, second = figure[0].axes
    assert [bar.get_width() for bar in first.patches] == [12, 7]
    assert [bar.get_width() for bar in second.patches] == [300, 100]
    assert [text.get_text() for text in first.texts] == ["12 (90%)", "7 (100%)"]
    assert [text.get_text() for text in second.texts] == [">300 (40%)", ">100 (0%)"]
    # An interval without an end is drawn to the budget, none where there is none.
    np.testing.assert_allclose([line.get_xdata() for line in first.get_lines()], [[8, 300]])
    assert [label.get_text() for label in first.get_yticklabels()] == ["high", "short"]
    assert first.get_ylim()[0] > first.get_ylim()[1]


def test_thinking_is_on_a_logarithmic_axis(tmp_path: Path, figure: list[Figure]) -> None:
    draw_thinking(tmp_path / "a.png", "faces", {"high": 2.0, "low": 0.003, "short": 0.0}, LOOK)
    (axes,) = figure[0].axes
    assert axes.get_xscale() == "log"
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.003, 1e-6]
    low, high = axes.get_xlim()
    assert 0 < low < 1e-6
    assert high > 2


def test_names_stand_as_they_are(tmp_path: Path, figure: list[Figure]) -> None:
    names = ["$a_1$", "_b"]
    look = looks(names, ["scratch", "scratch"])
    draw_curves(tmp_path / "a.png", "$", [curve(name, [0, 10], 0.5) for name in names], look, {})
    legend = figure[0].axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [r"\$a_1\$", " _b"]


def test_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_curves(tmp_path / name, "faces", CURVES, LOOK, {})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        colours = {tuple(pixel) for pixel in np.asarray(picture.convert("RGB")).reshape(-1, 3)[::3].tolist()}
    assert tuple(bytes.fromhex(LOOK["high"].colour[1:])) in colours


def test_nothing_to_draw(tmp_path: Path, figure: list[Figure]) -> None:
    draw_curves(tmp_path / "a.png", "faces", [], {}, {})
    draw_profiles(tmp_path / "b.png", "faces", {"after 10": {}}, np.linspace(0, 1, 5), {})
    draw_answers(tmp_path / "c.png", "faces", {}, {}, {})
    draw_thinking(tmp_path / "d.png", "faces", {}, {})
    assert [len(drawn.axes) for drawn in figure] == [1, 1, 0, 1]
    assert all((tmp_path / f"{name}.png").stat().st_size > 0 for name in "abcd")
