"""What the searches of a benchmark have stored, read from its folders and put into numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rate_distortion import entropy, noise_spectrum, reference_scores, spectrum
from benchmarks.statistics import Estimate, Values, answers_to, area_under_curve, estimate, median_answers
from pbg_env import EMBEDDED, load_generator

MANIFEST = "run.json"

GROUPS = {
    "scratch": "From scratch",
    "pretrained": "Pretrained on simulated users",
    "ceiling": "Ceilings, which know the target: no competitors",
}

THRESHOLDS = (0.5, 0.6, 0.7, 0.8)

Row = dict[str, Any]
"""What a search had reached at a checkpoint; its names are `COLUMNS`."""

ANSWERS = ("first", "second", "both_good", "both_bad")
COLUMNS = ("task", "strategy", "target", "seed", "answers", "queries", "finished", "score", "thinking", "generated",
           *ANSWERS)  # fmt: skip

Place = tuple[str, str, int, int]
"""Task, strategy, target and seed of a search."""


@dataclass(frozen=True)
class Results:
    """What the searches of one or several folders have stored.

    Attributes:
        manifests: of the folders.
        cells: of the searches that have ended.
    """

    manifests: list[dict[str, Any]]
    cells: dict[Place, dict[str, Any]]

    @staticmethod
    def load(folders: Sequence[Path]) -> Results:
        """Reads folders of benchmarks; searches of other settings or sources that are left in them do not count.

        Of a search that failed in one folder and succeeded in another, what succeeded counts.

        Raises:
            FileNotFoundError: a folder that holds no benchmark.
            ValueError: the benchmarks have other targets, checkpoints, tasks or strategies, or different results of one
                search; or what is stored is damaged or of another version.
        """
        manifests: list[dict[str, Any]] = []
        cells: dict[Place, dict[str, Any]] = {}
        keys: dict[Place, str] = {}
        for folder in folders:
            manifest = _manifest(folder)
            for other in manifests:
                _check_alike(other, manifest, folder)
            manifests.append(manifest)
            for key, (task, strategy, target, seed) in manifest["cells"].items():
                place = task, strategy, target, seed
                path = folder / "cells" / f"{key}.json"
                if not path.is_file():
                    continue
                if keys.setdefault(place, key) != key:
                    raise ValueError(f"{folder} holds other results of {strategy} on {task} than a folder before")
                if place not in cells or cells[place]["error"] is not None:
                    cells[place] = _stored(path, place, manifest["protocol"]["checkpoints"])
        return Results(manifests, cells)

    @property
    def protocol(self) -> dict[str, Any]:
        """`targets`, `seeds`, `first_seed`, `checkpoints`."""
        protocol: dict[str, Any] = self.manifests[0]["protocol"]
        return protocol

    @property
    def checkpoints(self) -> Values:
        """Numbers of answers, (checkpoints,)."""
        return np.array(self.protocol["checkpoints"], dtype=np.float64)

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Their arguments."""
        return {name: told for manifest in self.manifests for name, told in manifest["tasks"].items()}

    @property
    def groups(self) -> dict[str, str]:
        """The group of each strategy; the baseline comes first unless told otherwise."""
        return {name: told["class"] for manifest in self.manifests for name, told in manifest["strategies"].items()}

    @property
    def rows(self) -> list[Row]:
        """One for each checkpoint of each search that succeeded."""
        return [row for _, cell in sorted(self.cells.items()) if cell["error"] is None for row in cell["rows"]]

    @property
    def failed(self) -> dict[str, str]:
        """The last line of the error of each search that failed."""
        return {
            f"{task}, {strategy}, target {target}, seed {seed}": stored["error"].strip().splitlines()[-1]
            for (task, strategy, target, seed), stored in sorted(self.cells.items())
            if stored["error"] is not None
        }

    @cached_property
    def sections(self) -> list[Section]:
        """One for each task, and before them one for all together where there are several."""
        together = [Section.of(self, "All tasks", list(self.tasks))] if len(self.tasks) > 1 else []
        return together + [Section.of(self, task, [task]) for task in self.tasks]


def _manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder} holds no benchmark; expected a folder of `python -m benchmarks.run`")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(manifest.get("cells"), dict):
        raise ValueError(f"{folder} is of another version of the benchmark; run it again")
    for name, told in manifest["strategies"].items():
        if told["class"] not in GROUPS:
            raise ValueError(f"{folder}: strategy {name} is {told['class']!r}, expected one of {', '.join(GROUPS)}")
    return manifest


def _check_alike(first: dict[str, Any], other: dict[str, Any], folder: Path) -> None:
    for name, value in first["protocol"].items():
        if other["protocol"][name] != value:
            raise ValueError(f"{folder}: {name} is {other['protocol'][name]}, but {value} in a folder before")
    for kind, what in (("tasks", "task"), ("strategies", "strategy")):
        for name in first[kind].keys() & other[kind].keys():
            if first[kind][name] != other[kind][name]:
                raise ValueError(f"{folder}: {what} {name} has other arguments than in a folder before")


def _stored(path: Path, place: Place, checkpoints: list[int]) -> dict[str, Any]:
    """The results of a search, whose rows are those of all checkpoints, or of the first ones where it was stopped."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stored["error"] is not None:
            return stored
        found, stopped = [row["answers"] for row in stored["rows"]], stored["stopped"] is not None
        whole = found == checkpoints[: len(found)] and (len(found) == len(checkpoints) or stopped)
        same = all((row["task"], row["strategy"], row["target"], row["seed"]) == place for row in stored["rows"])
        if found and whole and same and all(set(COLUMNS) <= row.keys() for row in stored["rows"]):
            return stored
    except (KeyError, TypeError, json.JSONDecodeError):
        pass
    raise ValueError(f"{path} is damaged or of another version of the benchmark; delete it, and run the benchmark")


@dataclass(frozen=True)
class Outcome:
    """What a strategy has reached on some tasks, over the targets of which no search is missing.

    Attributes:
        name: of the strategy.
        group: of the strategy, a key of `GROUPS`.
        targets: numbers of these targets.
        all_targets: how many there are.
        answers: (checkpoints,), as far as all searches have come: those of a slow strategy may have been stopped.
        columns: of the rows, by name (tasks, targets, seeds, checkpoints).
        is_slow: whether a search was stopped.
        searches: how many have ended well, in words.
    """

    name: str
    group: str
    targets: list[int]
    all_targets: int
    answers: Values
    columns: dict[str, Values]
    is_slow: bool
    searches: str

    @staticmethod
    def of(results: Results, tasks: list[str], name: str) -> Outcome:
        protocol = results.protocol
        sizes = len(tasks), protocol["targets"], protocol["seeds"]
        places = {(i, n, k): (tasks[i], name, n, k) for i, n, k in np.ndindex(sizes)}
        ended = {at: results.cells[place] for at, place in places.items() if place in results.cells}
        well = {at: cell for at, cell in ended.items() if cell["error"] is None}
        reached = min((len(cell["rows"]) for cell in well.values()), default=0)
        complete = [n for n in range(sizes[1])
                    if all((i, n, k) in well for i in range(sizes[0]) for k in range(sizes[2]))]  # fmt: skip
        columns = {
            column: np.array([[[[row[column] for row in well[i, n, k]["rows"][:reached]] for k in range(sizes[2])]
                               for n in complete] for i in range(sizes[0])], dtype=np.float64)
            for column in ("score", "thinking", "generated", *ANSWERS)
        }  # fmt: skip
        counts = {"failed": len(ended) - len(well), "†": sum(cell["stopped"] is not None for cell in well.values())}
        return Outcome(
            name=name,
            group=results.groups[name],
            targets=complete,
            all_targets=sizes[1],
            answers=results.checkpoints[:reached],
            columns=columns,
            is_slow=counts["†"] > 0,
            searches=f"{len(well)} of {len(places)}" + "".join(f", {n} {what}" for what, n in counts.items() if n),
        )

    @property
    def label(self) -> str:
        """The name, marked where the strategy is slow or some targets are missing."""
        # Other targets may be easier: such a row is no match for those of all targets.
        alone = "" if self.is_complete else f" (on {len(self.targets)} of {self.all_targets} targets alone)"
        return f"{self.name}{' †' if self.is_slow else ''}{alone}"

    @property
    def is_complete(self) -> bool:
        return len(self.targets) == self.all_targets

    @cached_property
    def curve(self) -> list[Estimate]:
        """The interquartile mean of the score at each checkpoint."""
        return [estimate(self.columns["score"][..., i], fixed_rng()) for i in range(len(self.answers))]

    @cached_property
    def area(self) -> Estimate:
        """The interquartile mean of the areas under curves, up to the last checkpoint that is reached."""
        return estimate(area_under_curve(self.columns["score"], self.answers), fixed_rng())

    @cached_property
    def answers_to(self) -> dict[float, tuple[Estimate, float]]:
        """For each threshold the median of the answers it takes, and the share of searches that got there."""
        taken = {level: answers_to(level, self.columns["score"], self.answers) for level in THRESHOLDS}
        return {level: (median_answers(found, fixed_rng()), float(np.isfinite(found).mean()))
                for level, found in taken.items()}  # fmt: skip

    @property
    def thinking(self) -> float:
        """Seconds an answer."""
        return float(self.columns["thinking"][..., -1].mean())

    @property
    def counts(self) -> Values:
        """How often each answer was given, (4,)."""
        return np.array([self.columns[answer][..., -1].sum() for answer in ANSWERS])

    def score(self, answers: int) -> Estimate | None:
        """Of the curve, None where not all searches have come so far."""
        return self.curve[self.answers.tolist().index(answers)] if answers in self.answers else None

    def scores_at(self, answers: int, targets: Sequence[int]) -> Values | None:
        """(tasks, targets, seeds) of these targets, None where not all searches have come so far."""
        if answers not in self.answers:
            return None
        at = [self.targets.index(target) for target in targets]
        return self.columns["score"][..., self.answers.tolist().index(answers)][:, at]


def fixed_rng() -> np.random.Generator:
    """Always the same: a table drawn again is the same table, and strategies are resampled alike."""
    return np.random.default_rng(0)


@dataclass(frozen=True)
class Section:
    """The strategies on one task or on several together.

    Attributes:
        title: above it.
        outcomes: of strategies with a complete target, what came furthest with the largest area first.
        empty: strategies without one, and how many searches they have.
        spectra: of the generator, by what is described, where the score goes by pixels and answers are exact.
    """

    title: str
    outcomes: list[Outcome]
    empty: dict[str, str]
    spectra: dict[str, Values]

    @staticmethod
    def of(results: Results, title: str, tasks: list[str]) -> Section:
        planned = {(task, name) for manifest in results.manifests for task, name, *_ in manifest["cells"].values()}
        names = [name for name in results.groups if all((task, name) in planned for task in tasks)]
        outcomes = [Outcome.of(results, tasks, name) for name in names]
        ranked = sorted((found for found in outcomes if found.targets),
                        key=lambda found: (len(found.answers), found.area.value), reverse=True)  # fmt: skip
        empty = {found.name: found.searches for found in outcomes if not found.targets}
        gauged = bool(ranked) and len(tasks) == 1 and _goes_by_pixels(results.tasks[tasks[0]])
        if not gauged:
            return Section(title, ranked, empty, {})
        generator = load_generator(results.tasks[tasks[0]]["generator"], device="cpu")
        return Section(title, ranked, empty, {"pictures": spectrum(generator), "noise": noise_spectrum(generator)})

    def group(self, group: str) -> list[Outcome]:
        return [found for found in self.outcomes if found.group == group]

    def best(self) -> Outcome | None:
        """The complete competitor with the largest area."""
        return next((found for found in self.outcomes if found.group != "ceiling" and found.is_complete), None)

    def references(self, answers: NDArray[np.float64]) -> dict[str, Values]:
        """Rate–distortion curves at these numbers of answers, by name."""
        bits = {"1 bit an answer": 1.0, "2 bits an answer": 2.0}
        if (best := self.best()) is not None:
            bits[f"{entropy(best.counts):.2f} bits, as of {best.name}"] = entropy(best.counts)
        return {
            f"rate–distortion of {what}, {name}": reference_scores(eigenvalues, b * answers)
            for what, eigenvalues in self.spectra.items()
            for name, b in bits.items()
        }


def _goes_by_pixels(task: dict[str, Any]) -> bool:
    """Whether the score is a distance to a picture of an embedded generator, and answers are exact."""
    told = task["generator"], task.get("similarity"), task.get("teacher", "oracle"), task.get("targets", "prior")
    return told in [(name, similarity, "oracle", "prior") for name in EMBEDDED for similarity in (None, "pixels")]
