"""`python -m benchmarks.run`: runs what is missing of a benchmark, and prints its table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import yaml
from jsonargparse.typing import NonNegativeFloat, PositiveInt
from tqdm import tqdm

from agents.files import write
from benchmarks.cell import Cell, SourcesChanged, run_cell
from benchmarks.engines import ROOT, Engine, Failure, Job, Kind, run_all
from benchmarks.report import write_report
from benchmarks.results import MANIFEST, Results
from benchmarks.suite import Suite


class Shard(NamedTuple):
    """The searches towards every `of`-th target, from the `number`-th on; both from 1."""

    number: int
    of: int

    @staticmethod
    def read(text: str) -> Shard:
        """From text such as "2/4".

        Raises:
            ValueError: other text, or a number out of range.
        """
        first, slash, second = text.partition("/")
        if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
            raise ValueError(f"shard is {text!r}; expected one such as 2/4, the second of four")
        return Shard(int(first), int(second))

    def holds(self, cell: Cell) -> bool:
        return cell.target % self.of == self.number - 1


def parser() -> jsonargparse.ArgumentParser:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Compares strategies of searching. A run that was stopped goes on where it was.",
    )
    line.add_argument("--config", action="config", help="YAML file with any of the settings below")
    line.add_class_arguments(Suite, instantiate=False, sub_configs=True)
    line.add_argument("--out", type=Path | None, default=None, help="the results' folder; runs/benchmarks/NAME")
    line.add_argument("--engine", type=Kind, default="joblib", help="processes of this "
                      "machine, a Ray of this machine or a cluster, or this process")  # fmt: skip
    line.add_argument("--jobs", type=PositiveInt | None, default=None, help="searches at once; one for each CPU")
    line.add_argument("--address", type=str | None, default=None, help="of a Ray cluster, HOST:PORT or auto")
    line.add_argument("--num_gpus", type=NonNegativeFloat, default=0.0, help="that Ray reserves for each search")
    line.add_argument("--only", type=str, nargs="+", default=None, help="run these strategies alone: NAME NAME …")
    line.add_argument("--shard", type=str, default="1/1", help="run every N-th target alone, as in 2/4; give each "
                      "shard a folder of its own, `python -m benchmarks.report` merges them")  # fmt: skip
    line.add_argument("--retry_failed", "--retry-failed", type=bool, nargs="?", const=True, default=False,
                      help="run searches that failed before once more")  # fmt: skip
    return line


def main(arguments: list[str] | None = None) -> None:
    line = parser()
    told = sys.argv[1:] if arguments is None else arguments
    try:
        demand_yaml(told)
    except ValueError as error:
        sys.exit(f"error: {error}")
    settings = line.parse_args(told)
    try:
        suite = Suite.read(yaml.safe_load(line.dump(settings, skip_unset=False)))
        folder = settings.out or Path("runs") / "benchmarks" / suite.name
        failed = run(
            suite,
            folder,
            Engine(settings.engine, settings.jobs, settings.address, settings.num_gpus),
            shard=Shard.read(settings.shard),
            only=settings.only,
            retry_failed=settings.retry_failed,
            command=shlex.join(["python", "-m", "benchmarks.run", *told]),
        )
        results = Results.load([folder])
        text = write_report(results, folder)
    except (SourcesChanged, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    print(text)
    for place, why in results.failed.items():
        print(f"- {place}: {why}")
    print(f"everything: {folder / 'report.md'}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def demand_yaml(arguments: Sequence[str]) -> None:
    """Demands that the files that a command line names can be read: its own parser does not say what is wrong in them.

    Raises:
        ValueError: a file cannot be opened, or is no YAML; the message names the line.
    """
    line = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    line.add_argument("--config", type=Path, action="append", default=[])
    line.add_argument("--strategies", default=None)
    known, _ = line.parse_known_args(list(arguments))
    named = [(known.strategies, Path())] if known.strategies else []
    for path in known.config:
        settings = _yaml(path)
        if isinstance(settings, dict):
            named.append((settings.get("strategies"), path.parent))
    for strategies, folder in named:
        # It may as well be the strategies themselves.
        if isinstance(strategies, str) and (folder / strategies).is_file():
            _yaml(folder / strategies)


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = "" if place is None else f"line {place.line + 1}, column {place.column + 1}: "
        raise ValueError(f"{path} is no YAML: {where}{getattr(error, 'problem', None) or error}") from error


def run(
    suite: Suite,
    folder: Path,
    engine: Engine,
    *,
    shard: Shard = Shard(1, 1),
    only: list[str] | None = None,
    retry_failed: bool = False,
    command: str = "",
) -> int:
    """Runs the searches of a suite that the folder does not hold yet.

    Args:
        suite: whose searches belong to the folder.
        folder: made when missing. `cells` holds a file for each search, `run.json` which of them are this suite's.
        engine: what runs them.
        shard: which of the suite's targets belong to the folder.
        only: strategies to run; None for all.
        retry_failed: whether searches that failed before are run again.
        command: how this was called, for the report.

    Returns:
        How many of the searches that were to run have failed, now or before.

    Raises:
        ValueError: a strategy or setting that does not exist.
        SourcesChanged: the code is another than when this was called.
    """
    unknown = sorted(set(only or []) - set(suite.strategies))
    if unknown:
        raise ValueError(f"only: no strategies {', '.join(unknown)}; there are {', '.join(suite.strategies)}")
    cells = [cell for cell in suite.cells() if shard.holds(cell)]
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    commit = _commit()
    wanted = {cell.key: cell for cell in cells if only is None or cell.strategy in only}
    # Strategies that were run before stay in the report, those that nobody asked for are not missing there.
    listed = [cell for cell in cells if cell.key in wanted or _path(folder, cell.key).is_file()]
    write(folder / MANIFEST, json.dumps(_manifest(suite, listed, _made(engine, command)), indent=1) + "\n")
    before = {key: _succeeded(_path(folder, key)) for key in wanted}
    missing = [key for key in wanted if before[key] is None or (retry_failed and not before[key])]
    failed = sum(before[key] is False for key in wanted) if not retry_failed else 0
    print(f"{len(wanted) - len(missing)} of {len(wanted)} searches are there already", file=sys.stderr)
    jobs = [Job(key, partial(run_cell, wanted[key], suite.timeout), suite.timeout) for key in missing]
    with tqdm(total=len(jobs), desc=suite.name, unit="search", smoothing=0.05, disable=not jobs) as progress:
        for job, result in run_all(jobs, engine, stop_on=(SourcesChanged,)):
            if isinstance(result, Failure):
                result = wanted[job.key].place | {"rows": [], "error": result.why, "stopped": None}
            write(_path(folder, job.key), json.dumps(result | {"commit": commit}) + "\n")
            failed += result["error"] is not None
            progress.set_postfix({"failed": failed} if failed else {}, refresh=False)
            progress.update()
    return failed


def _path(folder: Path, key: str) -> Path:
    return folder / "cells" / f"{key}.json"


def _succeeded(path: Path) -> bool | None:
    """Whether the search stored here has succeeded, None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["error"] is None
    except FileNotFoundError:
        return None


def _manifest(suite: Suite, cells: Sequence[Cell], made: dict[str, Any]) -> dict[str, Any]:
    """Which searches the suite is made of, and how they were made."""
    return {
        "name": suite.name,
        "protocol": {name: getattr(suite, name) for name in ("first_seed", "targets", "seeds", "checkpoints")},
        "tasks": {task.name: vars(task) for task in suite.tasks},
        "strategies": {
            cell.strategy: {"agent": cell.agent, "class": suite.strategies[cell.strategy].group} for cell in cells
        },
        "cells": {cell.key: list(cell.place.values()) for cell in cells},
        "made": made,
    }


def _made(engine: Engine, command: str) -> dict[str, Any]:
    return {
        "command": command,
        "engine": engine.kind,
        "jobs": engine.jobs or os.cpu_count(),
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "version": version("pbg-env"),
    }


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the checkout, marked where files differ from it; None where there is no checkout."""
    try:
        git = ["git", "-C", str(ROOT)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, with changes" if changed.strip() else commit


if __name__ == "__main__":
    main()
