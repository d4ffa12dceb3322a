"""`python -m benchmarks.report DIR …`: tables and plots of a benchmark, from what its searches have stored."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jsonargparse
import numpy as np
import pyarrow
import pyarrow.parquet

from agents.files import write
from benchmarks import plots, tables
from benchmarks.results import COLUMNS, GROUPS, Outcome, Results, Section, fixed_rng
from benchmarks.statistics import (
    LEVEL,
    REPLICATES,
    performance_profile,
)


def summary(results: Results) -> str:
    """The compact tables: scores, areas, answers needed and seconds of each section and group, then who is best."""
    return "\n\n".join(
        part for section in results.sections for part in [f"## {section.title}", *_overview(results, section)]
    )


def markdown(results: Results, baseline: str | None = None) -> str:
    """The report: how it was made, the summary, then of each task the plots, all tables, and what failed.

    Args:
        results: of which.
        baseline: strategy that all others are compared with; the first unless told.

    Raises:
        ValueError: no such strategy.
    """
    baseline = _baseline(results, baseline)
    names = " + ".join(dict.fromkeys(manifest["name"] for manifest in results.manifests))
    parts = [f"# Benchmark {names}", _listed(_made(results)), *_task_by_task(results)]
    for number, section in enumerate(results.sections):
        parts += [f"## {section.title}", *_overview(results, section)]
        parts += [f"![{kind}]({_plot(number, section, kind)})" for kind in _KINDS] if section.outcomes else []
        for group, heading in GROUPS.items():
            if found := section.group(group):
                parts += [f"### {heading}", *map(tables.as_text, tables.details(results, section, found, baseline))]
        if len(saved := tables.saved(results, section)) > 1:
            parts += ["### How many answers the best saves", tables.as_text(saved)]
        if references := section.references(results.checkpoints):
            parts += [
                "### Reference, which is no strategy and no bound",
                tables.as_text(tables.references(results, references)),
            ]
    if results.failed:
        parts += ["## Failed searches", _listed([f"{place}: {why}" for place, why in results.failed.items()])]
    return "\n\n".join(parts) + "\n"


def _baseline(results: Results, told: str | None) -> str:
    if told is not None and told not in results.groups:
        raise ValueError(f"baseline: no strategy {told!r}; there are {', '.join(results.groups)}")
    return told or next(iter(results.groups), "")


def _made(results: Results) -> list[str]:
    """How it was made, line by line."""
    protocol = results.protocol
    lines = []
    commits = Counter(cell["commit"] or "no checkout" for cell in results.cells.values())
    for made in (manifest["made"] for manifest in results.manifests):
        lines += [
            f"`{made['command']}`",
            f"pbg-env {made['version']}; {made['processor']}, {made['cpus']} CPUs, {made['jobs']} searches at once, "
            f"one thread each",
        ]
    return [
        *dict.fromkeys(lines),
        "Searches by commit: " + ", ".join(f"{commit} ({count})" for commit, count in sorted(commits.items())),
        f"Targets: {protocol['targets']}, the same for every strategy, from the first seed {protocol['first_seed']}; "
        f"searches towards each: {protocol['seeds']}",
        f"Score after so many answers: 0 is a random picture, 1 the target; the interquartile mean over searches. In "
        f"brackets the {LEVEL:.0%} bootstrap interval of {REPLICATES:,} replicates that resample targets, then seeds "
        f"within them",
        "Area: the mean score over all answers, by the lines between checkpoints. Answers to a score: where this line "
        "first gets there, the median over searches and the share of them that did",
        "Differences are paired by target and seed; P is the probability that a search does better than one of the "
        "other strategy's on the same task",
    ]


def _overview(results: Results, section: Section) -> list[str]:
    """The summary of a section."""
    parts = []
    for group, heading in GROUPS.items():
        if found := section.group(group):
            parts += [f"**{heading}**", tables.as_text(tables.overview(results, found))]
    parts.append(_listed(_words(results, section)))
    return [part for part in parts if part]


def _task_by_task(results: Results) -> list[str]:
    """Where there are several tasks, these beside each other."""
    if len(results.tasks) == 1:
        return []
    parts = ["## Task by task"]
    for group, heading in GROUPS.items():
        if found := tables.task_by_task(results, group):
            parts += [f"**{heading}**", *map(tables.as_text, found)]
    return parts


def _words(results: Results, section: Section) -> list[str]:
    """Who is best, where the reference agent loses, and what the marks mean."""
    lines = []
    for group in ("scratch", "pretrained"):
        complete = [found for found in section.group(group) if found.is_complete]
        best = []
        for answers in tables.highlights(results):
            reached = {found.name: at.value for found in complete if (at := found.score(answers)) is not None}
            if reached:
                name = max(reached, key=lambda name: reached[name])
                best.append(f"at {answers} answers `{name}` ({reached[name]:.3f})")
        if best:
            lines.append(f"{GROUPS[group]} the best is " + ", ".join(best))
        # Whole words: "preference" is in the names of others.
        reference = next((found for found in complete if re.search(r"\breference\b", found.name.lower())), None)
        if reference is not None:
            lines += [_losses(reference, complete, answers) for answers in tables.highlights(results)
                      if answers in reference.answers]  # fmt: skip
    if any(found.is_slow for found in section.outcomes):
        lines.append("† thinks too long for searches of full length: it counts as far as all its searches have come")
    if section.empty:
        names = ", ".join(f"`{name}` ({searches} searches)" for name, searches in section.empty.items())
        lines.append(f"No target is complete yet of {names}")
    return lines


def _losses(reference: Outcome, others: list[Outcome], answers: int) -> str:
    """Whom the reference agent loses to after so many answers: clearly, where the interval leaves out 0."""
    differences = {other.name: tables.compared(other, reference, answers) for other in others if other is not reference}
    found = {name: both[0] for name, both in differences.items() if both is not None}
    ahead = sorted((name for name in found if found[name].value > 0), key=lambda name: -found[name].value)
    parts = []
    for how, names in (
        ("clearly", [name for name in ahead if found[name].low > 0]),
        ("perhaps", [name for name in ahead if not found[name].low > 0]),
    ):
        if names:
            parts.append(f"{how} to " + ", ".join(f"`{name}` by {tables.shown(found[name], 3)}" for name in names))
    return f"At {answers} answers `{reference.name}` loses {'; '.join(parts) or 'to none of them'}"


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def long_format(results: Results) -> str:
    """All rows as CSV."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(results.rows)
    return text.getvalue()


_KINDS = ("scores", "profiles", "answers", "thinking")


def _plot(number: int, section: Section, kind: str) -> str:
    """The number keeps apart what is one to a file system."""
    return f"plots/{number}_{re.sub(r'[^A-Za-z0-9]+', '_', section.title).strip('_')}_{kind}.png"


def write_report(results: Results, folder: Path, baseline: str | None = None) -> str:
    """Writes `report.md`, `rows.csv`, `rows.parquet` and `plots`, and returns the summary.

    Args:
        results: of which.
        folder: made when missing.
        baseline: as of `markdown`.

    Raises:
        ValueError: as `markdown`.
    """
    text = markdown(results, baseline)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    write(folder / "report.md", text)
    write(folder / "rows.csv", long_format(results))
    table = pyarrow.table({column: [row[column] for row in results.rows] for column in COLUMNS})
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    looks = plots.looks(list(results.groups), list(results.groups.values()))
    for number, section in enumerate(results.sections):
        if section.outcomes:
            _draw(results, section, looks, [folder / _plot(number, section, kind) for kind in _KINDS])
    return summary(results)


def _draw(results: Results, section: Section, looks: dict[str, plots.Look], paths: list[Path]) -> None:
    # Finest at the beginning, where the curve is steepest.
    fine = results.checkpoints[-1] * np.linspace(0.0, 1.0, 201) ** 2
    references = {name: (fine, scores) for name, scores in section.references(fine).items()}
    outcomes = {found.label: found for found in section.outcomes}
    look = {label: looks[found.name] for label, found in outcomes.items()}
    curves = [plots.Curve(label, found.answers.tolist(), found.curve) for label, found in outcomes.items()]
    plots.draw_curves(paths[0], section.title, curves, look, references)
    thresholds = np.linspace(0.0, 1.0, 101)
    panels = {
        f"after {answers} answers": {
            label: performance_profile(scores, thresholds, fixed_rng())
            for label, found in outcomes.items()
            if (scores := found.scores_at(answers, found.targets)) is not None
        }
        for answers in tables.highlights(results)[-2:]
    }
    plots.draw_profiles(paths[1], section.title, panels, thresholds, look)
    medians = {label: found.answers_to for label, found in outcomes.items()}
    budgets = {label: float(found.answers[-1]) for label, found in outcomes.items()}
    plots.draw_answers(paths[2], section.title, medians, budgets, look)
    plots.draw_thinking(paths[3], section.title, {label: found.thinking for label, found in outcomes.items()}, look)


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Draws the report of a benchmark again, from one folder or more.",
    )
    line.add_argument("folders", type=Path, nargs="+", help="of `python -m benchmarks.run`")
    line.add_argument("--out", type=Path | None, default=None, help="folder of the report; of one folder, that folder")
    line.add_argument("--baseline", type=str | None, default=None, help="strategy to compare with; the first")
    settings = line.parse_args(arguments)
    out = settings.out or (settings.folders[0] if len(settings.folders) == 1 else None)
    try:
        results = Results.load(settings.folders)
        text = summary(results) if out is None else write_report(results, out, settings.baseline)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(text)
    where = "nothing is written; --out FOLDER says where to" if out is None else f"everything: {out / 'report.md'}"
    print(where, file=sys.stderr)


if __name__ == "__main__":
    main()
