"""`python -m benchmarks.run`: runs what is missing of a benchmark, and prints its table."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool
from jsonargparse.typing import PositiveInt
from tqdm import tqdm

from benchmarks.cell import Cell, SourcesChanged, run_cell, sources, write
from benchmarks.report import MANIFEST, Results, long_format, markdown
from benchmarks.suite import Suite

ROOT = Path(__file__).resolve().parent.parent


def parser() -> jsonargparse.ArgumentParser:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Compares strategies of searching. A run that was stopped goes on where it was.",
    )
    line.add_argument("--config", action="config", help="YAML file with any of the settings below")
    line.add_class_arguments(Suite, instantiate=False)
    line.add_argument("--out", type=Path | None, default=None, help="the results' folder; runs/benchmarks/NAME")
    line.add_argument("--jobs", type=PositiveInt, default=cpu_count(), help="searches at once, each one thread")
    line.add_argument("--only", type=str, nargs="+", default=None, help="run these strategies alone: NAME NAME …")
    line.add_argument("--retry_failed", "--retry-failed", type=bool, nargs="?", const=True, default=False,
                      help="run searches that failed before once more")  # fmt: skip
    return line


def main(arguments: list[str] | None = None) -> None:
    line = parser()
    settings = line.parse_args(arguments)
    told = sys.argv[1:] if arguments is None else arguments
    try:
        suite = Suite.read(yaml.safe_load(line.dump(settings, skip_unset=False)))
        folder = settings.out or Path("runs") / "benchmarks" / suite.name
        failed = run(
            suite,
            folder,
            jobs=settings.jobs,
            only=settings.only,
            retry_failed=settings.retry_failed,
            command=shlex.join(["python", "-m", "benchmarks.run", *told]),
        )
        results = Results.load([folder])
        text = markdown(results)
        write(folder / "report.md", text)
        write(folder / "rows.csv", long_format(results))
    except BrokenProcessPool:
        sys.exit("error: a process was killed, perhaps for want of memory; the same command goes on from here")
    except (SourcesChanged, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    print(text)
    print(f"everything: {folder}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def run(
    suite: Suite,
    folder: Path,
    *,
    jobs: int = 1,
    only: list[str] | None = None,
    retry_failed: bool = False,
    command: str = "",
) -> int:
    """Runs the searches of a suite that the folder does not hold yet.

    Args:
        suite: of which all searches belong to the folder.
        folder: made when missing. `cells` holds a file for each search, `run.json` which of them are this suite's.
        jobs: processes; with 1 this process does it all.
        only: strategies to run; None for all.
        retry_failed: whether searches that failed before are run again.
        command: how this was called, for the report.

    Returns:
        How many of the searches that were to run have failed, now or before.

    Raises:
        ValueError: a strategy or setting that does not exist.
        BrokenProcessPool: a process was killed; what it was at is run next time.
    """
    unknown = sorted(set(only or []) - set(suite.strategies))
    if unknown:
        raise ValueError(f"only: no strategies {', '.join(unknown)}; there are {', '.join(suite.strategies)}")
    cells = list(suite.cells())
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    write(folder / MANIFEST, json.dumps(_manifest(suite, cells, jobs, command), indent=1) + "\n")
    wanted = [cell for cell in cells if only is None or cell.strategy in only]
    paths = {cell.key: folder / "cells" / f"{cell.key}.json" for cell in wanted}
    before = {cell.key: _succeeded(paths[cell.key]) for cell in wanted}
    missing = [cell for cell in wanted if before[cell.key] is None or (retry_failed and not before[cell.key])]
    failed = sum(before[cell.key] is False for cell in wanted) if not retry_failed else 0
    print(f"{len(wanted) - len(missing)} of {len(wanted)} searches are there already", file=sys.stderr)
    with tqdm(total=len(missing), desc=suite.name, unit="search", smoothing=0.05, disable=not missing) as progress:
        for succeeded in _run_all(missing, paths, jobs, suite.timeout):
            failed += not succeeded
            progress.set_postfix({"failed": failed} if failed else {}, refresh=False)
            progress.update()
    return failed


def _run_all(cells: list[Cell], paths: dict[str, Path], jobs: int, timeout: float | None) -> Iterator[bool]:
    """Whether each of the cells succeeded, in the order in which they end."""
    calls = (delayed(run_cell)(cell, paths[cell.key], timeout) for cell in cells)
    if min(jobs, len(cells)) <= 1:
        for function, arguments, named in calls:
            yield function(*arguments, **named)
        return
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        yield from Parallel(return_as="generator_unordered", batch_size=1)(calls)


def _succeeded(path: Path) -> bool | None:
    """Whether the search stored here has succeeded, None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["error"] is None
    except FileNotFoundError:
        return None


def _manifest(suite: Suite, cells: list[Cell], jobs: int, command: str) -> dict[str, Any]:
    """Which searches the suite is made of, and how they were made."""
    return {
        "name": suite.name,
        "protocol": {name: getattr(suite, name) for name in ("first_seed", "targets", "seeds", "checkpoints")},
        "tasks": {cell.task: cell.environment for cell in cells},
        "strategies": {cell.strategy: cell.agent for cell in cells},
        "cells": [cell.key for cell in cells],
        "made": {
            "command": command,
            "jobs": jobs,
            "cpus": os.cpu_count(),
            "processor": _processor(),
            "version": version("pbg-env"),
            "commit": _commit(),
            "sources": sources(),
        },
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
