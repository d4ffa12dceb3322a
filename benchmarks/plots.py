"""The pictures of a report, drawn from numbers and names alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.statistics import LEVEL, Estimate, Profile

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#444")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("", "o", "s", "^")
_INK = "#555555"
_DOTS_PER_INCH = 130


class Look(NamedTuple):
    """How a strategy is drawn, in every picture alike."""

    colour: str
    dashes: str
    marker: str


class Curve(NamedTuple):
    """The score of a strategy, or of a reference, after so many answers.

    Attributes:
        name: of the strategy.
        answers: (checkpoints,).
        scores: at each of them.
    """

    name: str
    answers: Sequence[float]
    scores: Sequence[Estimate]


def looks(names: Sequence[str], groups: Sequence[str]) -> dict[str, Look]:
    """Ten colours with four kinds of dashes, so that forty strategies differ; each group has a marker of its own.

    Args:
        names: of all strategies of a benchmark, in an order that stays.
        groups: of each of them.
    """
    kinds = list(dict.fromkeys(groups))
    return {
        name: Look(
            _COLOURS[number % len(_COLOURS)],
            _DASHES[number // len(_COLOURS) % len(_DASHES)],
            _MARKERS[kinds.index(group) % len(_MARKERS)],
        )
        for number, (name, group) in enumerate(zip(names, groups, strict=True))
    }


def draw_curves(
    path: Path,
    title: str,
    curves: Sequence[Curve],
    look: Mapping[str, Look],
    references: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> None:
    """Scores over answers with bands, the legend in the order in which the curves end.

    Args:
        path: of the PNG.
        title: of the picture.
        curves: of the strategies.
        look: of each strategy.
        references: curves (points,) of answers and scores that no strategy made, by name.
    """
    figure = Figure(figsize=(11, max(6.0, 1.5 + 0.24 * (len(curves) + len(references)))), layout="constrained")
    axes = figure.add_subplot()
    for curve in sorted(curves, key=lambda curve: curve.scores[-1].value, reverse=True):
        value, low, high = np.transpose(curve.scores)
        drawn = look[curve.name]
        axes.plot(curve.answers, value, color=drawn.colour, linestyle=drawn.dashes, marker=drawn.marker,
                  markersize=4, linewidth=1.6, label=_label(curve.name))  # fmt: skip
        axes.fill_between(curve.answers, low, high, color=drawn.colour, alpha=0.10, linewidth=0)
    styles = itertools.product(("black", "0.6"), ("-", "--", ":"))
    for (name, (answers, scores)), (colour, dashes) in zip(references.items(), itertools.cycle(styles), strict=False):
        axes.plot(answers, scores, color=colour, linestyle=dashes, linewidth=0.8, label=_label(name))
    _finish(axes, title, "answers (square-root axis)", f"score: interquartile mean, {LEVEL:.0%} interval")
    axes.axhline(0, color=_INK, linewidth=0.6)
    ticks = sorted({answers for curve in curves for answers in curve.answers})
    # The first answers matter most, and many checkpoints are among them.
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(0, 1.02 * max(1, *ticks) if ticks else 1)
    if curves or references:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, handlelength=3.5)
    _save(figure, path)


def draw_profiles(
    path: Path,
    title: str,
    panels: Mapping[str, Mapping[str, Profile]],
    thresholds: NDArray[np.float64],
    look: Mapping[str, Look],
) -> None:
    """The share of searches that reach each score.

    Args:
        path: of the PNG.
        title: of the picture.
        panels: profiles of strategies, by what is written above their panel.
        thresholds: (thresholds,), scores.
        look: of each strategy.
    """
    names = list(dict.fromkeys(name for profiles in panels.values() for name in profiles))
    figure = Figure(figsize=(3.5 + 5.0 * len(panels), max(5.5, 1.5 + 0.24 * len(names))), layout="constrained")
    handles = {}
    for number, (heading, profiles) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), number + 1)
        for name, profile in profiles.items():
            drawn = look[name]
            (handles[name],) = axes.plot(
                thresholds, profile.share, color=drawn.colour, linestyle=drawn.dashes, marker=drawn.marker,
                markersize=4, markevery=10, linewidth=1.6,
            )  # fmt: skip
            axes.fill_between(thresholds, profile.low, profile.high, color=drawn.colour, alpha=0.08, linewidth=0)
        _finish(axes, heading, "score", "share of searches with at least this score" if number == 0 else "")
        axes.set(xlim=(thresholds[0], thresholds[-1]), ylim=(-0.02, 1.02))
    figure.suptitle(_label(title))
    if handles:
        figure.legend(list(handles.values()), list(map(_label, handles)), loc="outside right center", frameon=False,
                      fontsize=9, handlelength=3.5)  # fmt: skip
    _save(figure, path)


def draw_answers(
    path: Path,
    title: str,
    medians: Mapping[str, Mapping[float, tuple[Estimate, float]]],
    budgets: Mapping[str, float],
    look: Mapping[str, Look],
) -> None:
    """How many answers each score takes, a panel for each; what most searches never reach is a bar as pale as long.

    Args:
        path: of the PNG.
        title: of the picture.
        medians: of each strategy, from the top: by score the median of answers, and the share that got there.
        budgets: answers that each strategy was given.
        look: of each strategy.
    """
    thresholds = list(dict.fromkeys(threshold for found in medians.values() for threshold in found))
    longest = max(budgets.values(), default=1.0)
    figure = Figure(figsize=(2.2 + 2.9 * max(1, len(thresholds)), 1.4 + 0.28 * len(medians)), layout="constrained")
    first: Axes | None = None
    for number, threshold in enumerate(thresholds):
        axes = figure.add_subplot(1, len(thresholds), number + 1, sharey=first)
        first = axes if first is None else first
        for row, (name, found) in enumerate(medians.items()):
            (value, low, high), share = found[threshold]
            budget = budgets[name]
            reached = np.isfinite(value)
            colour = look[name].colour
            axes.barh(row, value if reached else budget, height=0.7, color=colour, alpha=0.85 if reached else 0.15)
            if reached and np.isfinite(low):
                axes.plot([low, min(high, budget)], [row, row], color="black", linewidth=1.1)
            text = f"{value:.0f}" if reached else f">{budget:.0f}"
            axes.text(1.06 * longest, row, f"{text} ({share:.0%})", va="center", fontsize=8, color=_INK)
        _finish(axes, f"score {threshold:g}", "answers", "")
        axes.set_xlim(0, 1.5 * longest)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= longest])
        _name_rows(axes, list(medians))
        axes.tick_params(left=number == 0, labelleft=number == 0)
    figure.suptitle(_label(title))
    _save(figure, path)


def draw_thinking(path: Path, title: str, seconds: Mapping[str, float], look: Mapping[str, Look]) -> None:
    """Seconds that each strategy thinks between two answers, on a logarithmic axis.

    Args:
        path: of the PNG.
        title: of the picture.
        seconds: of each strategy, from the top.
        look: of each strategy.
    """
    figure = Figure(figsize=(9, 1.3 + 0.28 * len(seconds)), layout="constrained")
    axes = figure.add_subplot()
    # What takes no time at all has no place on the axis.
    shown = {name: max(value, 1e-6) for name, value in seconds.items()}
    axes.barh(range(len(shown)), list(shown.values()), height=0.7, color=[look[name].colour for name in shown])
    for row, value in enumerate(shown.values()):
        axes.text(1.1 * value, row, f"{value:.2g}", va="center", fontsize=8, color=_INK)
    axes.set_xscale("log")
    if shown:
        axes.set_xlim(0.5 * min(shown.values()), 3 * max(shown.values()))
    _finish(axes, title, "seconds an answer", "")
    _name_rows(axes, list(shown))
    _save(figure, path)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names beside horizontal bars, the first at the top."""
    axes.set_yticks(range(len(names)), list(map(_label, names)), fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _finish(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(_label(title))
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _label(name: str) -> str:
    """As it stands: dollars would begin a formula, and what begins with a line is left out of legends."""
    text = name.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _save(figure: Figure, path: Path) -> None:
    # Without its version, equal numbers give equal bytes.
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
