"""`python -m benchmarks.report DIR`: the table of a benchmark, from what its searches have stored."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
from numpy.typing import NDArray

from benchmarks.cell import Row, write
from benchmarks.statistics import LEVEL, REPLICATES, Estimate, estimate, interquartile_mean, paired_difference

MANIFEST = "run.json"


@dataclass(frozen=True)
class Results:
    """What the searches of one or several folders have stored.

    Attributes:
        manifests: of the folders.
        cells: of the searches that have ended, by task, strategy, target and seed.
    """

    manifests: list[dict[str, Any]]
    cells: dict[tuple[str, str, int, int], dict[str, Any]]

    @staticmethod
    def load(folders: Sequence[Path]) -> Results:
        """Reads folders of benchmarks; searches of other settings or sources that are left in them do not count.

        Raises:
            FileNotFoundError: a folder that holds no benchmark.
            ValueError: the benchmarks have other targets, checkpoints or tasks, or different results of one search.
        """
        manifests = []
        cells: dict[tuple[str, str, int, int], dict[str, Any]] = {}
        keys: dict[tuple[str, str, int, int], str] = {}
        for folder in folders:
            if not (folder / MANIFEST).is_file():
                raise FileNotFoundError(f"{folder} holds no benchmark")
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            manifests.append(manifest)
            _check_alike(manifests[0], manifest, folder)
            for key in manifest["cells"]:
                path = folder / "cells" / f"{key}.json"
                if not path.is_file():
                    continue
                stored = json.loads(path.read_text(encoding="utf-8"))
                cell = stored["cell"]
                place = cell["task"], cell["strategy"], cell["target"], cell["seed"]
                if keys.setdefault(place, key) != key:
                    raise ValueError(f"{folder} holds other results of {place[1]} on {place[0]} than a folder before")
                cells[place] = stored
        return Results(manifests, cells)

    @property
    def protocol(self) -> dict[str, Any]:
        """`targets`, `seeds`, `first_seed`, `checkpoints`."""
        protocol: dict[str, Any] = self.manifests[0]["protocol"]
        return protocol

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(task for manifest in self.manifests for task in manifest["tasks"]))

    @property
    def strategies(self) -> list[str]:
        """The baseline first."""
        return list(dict.fromkeys(name for manifest in self.manifests for name in manifest["strategies"]))

    @property
    def rows(self) -> list[Row]:
        """One for each search and checkpoint."""
        return [row for place in sorted(self.cells) for row in self.cells[place]["rows"]]

    @property
    def failed(self) -> dict[str, str]:
        """The last line of the error of each search that failed."""
        return {
            f"{task}, {strategy}, target {target}, seed {seed}": stored["error"].strip().splitlines()[-1]
            for (task, strategy, target, seed), stored in sorted(self.cells.items())
            if stored["error"] is not None
        }

    def values(self, task: str, strategy: str, column: str) -> NDArray[np.float64]:
        """A column of the rows, (targets, seeds, checkpoints); NaN where a search has not succeeded."""
        sizes = (self.protocol["targets"], self.protocol["seeds"], len(self.protocol["checkpoints"]))
        found = np.full(sizes, np.nan)
        for target, seed in np.ndindex(sizes[:2]):
            stored = self.cells.get((task, strategy, target, seed))
            if stored is not None and stored["error"] is None:
                found[target, seed] = [row[column] for row in stored["rows"]]
        return found


def _check_alike(first: dict[str, Any], other: dict[str, Any], folder: Path) -> None:
    for name, value in first["protocol"].items():
        if other["protocol"][name] != value:
            raise ValueError(f"{folder}: {name} is {other['protocol'][name]}, but {value} in the first folder")
    for task in first["tasks"].keys() & other["tasks"].keys():
        if first["tasks"][task] != other["tasks"][task]:
            raise ValueError(f"{folder}: task {task} has other arguments than in the first folder")


def markdown(results: Results) -> str:
    """The report: how it was made, a table for each task, and what failed."""
    parts = ["\n".join(f"- {line}" for line in _made(results))]
    for task in results.tasks:
        parts += [f"## {task}", _table(_task_rows(results, task))]
    if results.failed:
        parts += ["## Failed searches", "\n".join(f"- {place}: {why}" for place, why in results.failed.items())]
    names = " + ".join(dict.fromkeys(manifest["name"] for manifest in results.manifests))
    return "\n\n".join([f"# Benchmark {names}", *parts]) + "\n"


def _made(results: Results) -> list[str]:
    """How it was made, line by line."""
    protocol = results.protocol
    lines = []
    for manifest in results.manifests:
        made = manifest["made"]
        commit = "no checkout" if made["commit"] is None else f"commit {made['commit']}"
        lines += [
            f"`{made['command']}`",
            f"pbg-env {made['version']}, {commit}, sources {made['sources']}",
            f"{made['processor']}, {made['cpus']} CPUs, {made['jobs']} searches at once, one thread each",
        ]
    return [
        *lines,
        f"{protocol['targets']} targets × {protocol['seeds']} seeds, the same for every strategy, from the first seed "
        f"{protocol['first_seed']}",
        f"Score of the destination after so many answers: 0 is a random picture, 1 the target. In brackets the "
        f"{LEVEL:.0%} bootstrap interval of {REPLICATES:,} replicates that resample targets, then seeds within them; "
        f"differences are paired by target and seed",
    ]


def _task_rows(results: Results, task: str) -> list[list[str]]:
    """Heading, then a row for each strategy that has anything to tell."""
    checkpoints = results.protocol["checkpoints"]
    baseline, last = results.strategies[0], checkpoints[-1]
    against = results.values(task, baseline, "score")
    heading = ["strategy", *map(str, checkpoints), f"middle half at {last}", f"minus {baseline} at {last}", "effect",
               "thinking, s per answer", "ties", "searches"]  # fmt: skip
    rows = [heading]
    for name in results.strategies:
        scores = results.values(task, name, "score")
        done = int(np.isfinite(scores[:, :, -1]).sum())
        row = [name, *["—"] * (len(heading) - 2), f"{done} of {scores[:, :, -1].size}"]
        # Means over seeds are only comparable where none of the seeds is missing.
        complete = np.isfinite(scores).all(axis=(1, 2))
        if complete.any() and not complete.all():
            # Other targets may be easier: such a row is no match for those of all targets.
            row[0] = f"{name} (on {complete.sum()} of {scores.shape[0]} targets alone)"
        if complete.any():
            kept = scores[complete]
            row[1 : len(checkpoints) + 1] = [_shown(estimate(kept[:, :, i], _rng())) for i in range(len(checkpoints))]
            row[-6] = _shown(estimate(kept[:, :, -1], _rng(), interquartile_mean))
            row[-3] = f"{results.values(task, name, 'thinking')[complete][:, :, -1].mean():.4f}"
            row[-2] = f"{results.values(task, name, 'ties')[complete][:, :, -1].mean():.0%}"
        paired = complete & np.isfinite(against).all(axis=(1, 2))
        if name != baseline and paired.any():
            difference = paired_difference(scores[paired][:, :, -1], against[paired][:, :, -1], _rng())
            row[-5], row[-4] = _shown(difference, "+"), difference.effect
        rows.append(row)
    return rows


def _rng() -> np.random.Generator:
    """Always the same: a table drawn again is the same table, and strategies are resampled alike."""
    return np.random.default_rng(0)


def _shown(found: Estimate, sign: str = "") -> str:
    # Adding 0 takes the sign from what is rounded to −0.
    value, low, high = (f"{round(number, 3) + 0.0:{sign}.3f}" for number in found)
    return value if np.isnan(found.low) else f"{value} [{low}, {high}]"


def _table(rows: list[list[str]]) -> str:
    """Columns as wide as their widest entry: it is read as plain text, too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def long_format(results: Results) -> str:
    """All rows as CSV."""
    text = io.StringIO()
    if results.rows:
        table = csv.DictWriter(text, list(results.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(results.rows)
    return text.getvalue()


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.report", description="Draws the table of a benchmark again, from one folder or more."
    )
    line.add_argument("folders", type=Path, nargs="+", help="of `python -m benchmarks.run`")
    line.add_argument("--markdown", type=Path | None, default=None, help="a file for the table")
    line.add_argument("--csv", type=Path | None, default=None, help="a file for all rows, one a search and checkpoint")
    settings = line.parse_args(arguments)
    try:
        results = Results.load(settings.folders)
        text = markdown(results)
        if settings.markdown is not None:
            write(settings.markdown, text)
        if settings.csv is not None:
            write(settings.csv, long_format(results))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(text)


if __name__ == "__main__":
    main()
