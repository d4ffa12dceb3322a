"""Runs of a benchmark: that they repeat, go on after a kill, and outlive what fails in them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.base import Agent, Noise
from benchmarks.cell import Cell, Row, SourcesChanged, run_cell, search
from benchmarks.run import main
from benchmarks.suite import Strategy, Suite, Task
from pbg_env import Answer, Discriminator, Generator, Preference, sample_noise

ROOT = Path(__file__).parents[2]


class Keeping(Agent):
    """Asks prior samples against the best so far, and ends, pauses or fails when it is told to."""

    def __init__(self, ends: int | None = None, fails: bool = False, pauses: float = 0.0, shows_same: bool = False):
        super().__init__()
        self._ends, self._fails, self._pauses, self._shows_same = ends, fails, pauses, shows_same

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._best, self._next = sample_noise((2, generator.noise_dim), rng)

    def _learn(self, answer: Answer) -> None:
        time.sleep(self._pauses)
        if self._fails and len(self._history) == 3:
            raise RuntimeError("three are too many")
        if answer.preference == Preference.FIRST:
            self._best = answer.first
        self._next = sample_noise(self._best.shape, self._rng)
        self.finished = len(self._history) == self._ends

    def _question(self) -> tuple[Noise, Noise]:
        return (self._best if self._shows_same else self._next), self._best

    @property
    def destination(self) -> Noise:
        return self._best


def keeping(**arguments: Any) -> dict[str, Any]:
    return {"agent": {"class_path": "tests.benchmarks.test_run.Keeping", "init_args": arguments}}


@pytest.fixture
def small(checkpoint: Callable[..., Path]) -> str:
    return str(checkpoint())


def written(folder: Path, small: str, strategies: dict[str, Any], **changed: Any) -> str:
    settings = {
        "name": "tiny",
        "tasks": [{"name": "exact", "generator": small, "max_queries": 12}],
        "strategies": strategies,
        **{"targets": 2, "seeds": 2, "first_seed": 5, "checkpoints": [4, 8]},
    } | changed
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return str(path)


def ran(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--jobs=1"] if "--jobs=2" not in arguments else list(arguments))
    assert stop.value.code == code


def rows(folder: Path) -> list[Row]:
    """Without what no two runs share: seconds, and more digits of a score than anybody reads."""
    found: list[Row] = list(csv.DictReader((folder / "rows.csv").read_text().splitlines()))
    return [row | {"thinking": "", "score": f"{float(row['score']):.6f}"} for row in found]


def stored(folder: Path) -> dict[str, int]:
    """When each search was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


def one_cell(small: str, strategy: dict[str, Any], **changed: Any) -> Cell:
    settings: dict[str, Any] = {"targets": 1, "seeds": 1, "first_seed": 5, "checkpoints": [4, 8]} | changed
    return next(Suite("one", [Task("exact", 12, small)], {"only": Strategy(**strategy)}, **settings).cells())


def test_the_same_search_twice_gives_the_same_rows(small: str) -> None:
    original = {
        "config": str(ROOT / "configs" / "agents" / "original.yaml"),
        "overrides": {"agent.sampling.init_args.count": 12, "agent.pairing.init_args.limit": 3},
    }
    cell = one_cell(small, original)
    once, again = ([row | {"thinking": 0} for row in search(cell)] for _ in range(2))
    assert once == again
    assert [(row["answers"], row["queries"], row["finished"]) for row in once] == [(4, 4, False), (8, 8, False)]
    assert (once[0]["task"], once[0]["strategy"], once[0]["target"], once[0]["seed"]) == ("exact", "only", 0, 0)
    assert once[0]["score"] != once[1]["score"] < 1


def test_an_agent_that_is_finished_keeps_its_score(small: str) -> None:
    free, ended = (search(one_cell(small, keeping(ends=ends), checkpoints=[4, 8, 12])) for ends in (None, 6))
    assert [row["queries"] for row in ended] == [4, 6, 6]
    assert [row["finished"] for row in ended] == [False, True, True]
    assert ended[0]["score"] == free[0]["score"]
    assert ended[1]["score"] == ended[2]["score"]
    assert not any(row["finished"] for row in free)


def test_ties_and_thinking_are_shares_of_the_answers(small: str) -> None:
    cell = one_cell(small, keeping(shows_same=True, pauses=0.01))
    assert [row["ties"] for row in search(cell)] == [1, 1]
    assert all(0.01 <= row["thinking"] < 0.1 for row in search(cell))
    assert search(one_cell(small, keeping()))[1]["ties"] == 0


def test_a_search_that_takes_too_long_has_failed(small: str, tmp_path: Path) -> None:
    assert not run_cell(one_cell(small, keeping(pauses=5)), tmp_path / "cell.json", timeout=0.3)
    result = json.loads((tmp_path / "cell.json").read_text())
    assert result["rows"] == []
    assert "SearchTimeout: the search took longer than 0.3 s" in result["error"]


def test_processes_give_what_one_process_gives(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"all": keeping(), "some": keeping(ends=3)})
    ran("--config", config, "--out", str(tmp_path / "one"))
    ran("--config", config, "--out", str(tmp_path / "two"), "--jobs=2")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert len(rows(tmp_path / "one")) == 2 * 2 * 2 * 2
    printed = capsys.readouterr()
    assert "| some " in printed.out
    assert "8/8" in printed.err


def test_a_killed_run_goes_on(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"slow": keeping(pauses=0.02)}, targets=3)
    arguments = ["--config", config, "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.run", *arguments, "--jobs=1"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(stored(tmp_path / "killed")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = stored(tmp_path / "killed")
    assert 2 <= len(before) < 6
    ran(*arguments)
    after = stored(tmp_path / "killed")
    assert after.items() > before.items()
    assert len(after) == 6
    assert f"{len(before)} of 6 searches are there already" in capsys.readouterr().err
    ran("--config", config, "--out", str(tmp_path / "whole"))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    ran(*arguments)
    assert stored(tmp_path / "killed") == after


def test_what_fails_stops_nothing_else(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"fails": keeping(fails=True), "works": keeping()})
    arguments = ["--config", config, "--out", str(tmp_path / "out")]
    ran(*arguments, code=1)
    assert {row["strategy"] for row in rows(tmp_path / "out")} == {"works"}
    assert "- exact, fails, target 0, seed 1: RuntimeError: three are too many" in capsys.readouterr().out
    before = stored(tmp_path / "out")
    ran(*arguments, code=1)
    assert stored(tmp_path / "out") == before
    ran(*arguments, "--retry-failed", code=1)
    after = stored(tmp_path / "out")
    assert sum(after[name] != before[name] for name in before) == 4
    ran(*arguments, "--only", "works")


def test_only_some_strategies(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"one": keeping(), "two": keeping(), "three": keeping(ends=1)})
    arguments = ["--config", config, "--out", str(tmp_path / "out")]
    ran(*arguments, "--only", "one", "three")
    assert {row["strategy"] for row in rows(tmp_path / "out")} == {"one", "three"}
    ran(*arguments)
    assert "8 of 12 searches are there already" in capsys.readouterr().err
    ran(*arguments, "--only", "four", code="error: only: no strategies four; there are one, two, three")  # type: ignore[arg-type]


def test_a_changed_strategy_runs_anew_and_the_old_one_does_not_count(small: str, tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path / "out"), "--config"]
    ran(*arguments, written(tmp_path, small, {"one": keeping(), "two": keeping()}))
    before = rows(tmp_path / "out")
    ran(*arguments, written(tmp_path, small, {"one": keeping(), "two": keeping(ends=1)}))
    assert len(stored(tmp_path / "out")) == 12
    after = rows(tmp_path / "out")
    assert len(after) == len(before)
    changed = {row["strategy"] for row, earlier in zip(after, before, strict=True) if row != earlier}
    assert changed == {"two"}


def test_sources_that_change_meanwhile_are_told(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = one_cell(small, keeping())
    monkeypatch.setattr("benchmarks.cell.sources", lambda: "others")
    with pytest.raises(SourcesChanged, match="the sources have changed since the benchmark was started; start it"):
        run_cell(cell, tmp_path / "cell.json", None)
    # As a failure it would count as done.
    assert not list(tmp_path.iterdir())
