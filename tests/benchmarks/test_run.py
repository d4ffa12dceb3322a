"""Runs of a benchmark: that they repeat, go on after a kill, and outlive what fails in them."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.cell import Row
from benchmarks.report import main as report
from benchmarks.run import main
from tests.benchmarks.conftest import keeping

ROOT = Path(__file__).parents[2]


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
        main(list(arguments) if "--jobs=2" in arguments else [*arguments, "--engine=inline"])
    assert stop.value.code == code


def rows(folder: Path) -> list[Row]:
    """Without what no two runs share: seconds, and more digits of a score than anybody reads."""
    found: list[Row] = list(csv.DictReader((folder / "rows.csv").read_text().splitlines()))
    return [row | {"thinking": "", "score": f"{float(row['score']):.6f}"} for row in found]


def stored(folder: Path) -> dict[str, int]:
    """When each search was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


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
        [sys.executable, "-m", "benchmarks.run", *arguments, "--engine=inline"], cwd=ROOT, stderr=subprocess.DEVNULL
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


def test_shards_merge(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"one": keeping(), "two": keeping(ends=3)}, targets=3)
    ran("--config", config, "--out", str(tmp_path / "whole"))
    for number in (1, 2):
        ran("--config", config, "--out", str(tmp_path / f"shard{number}"), f"--shard={number}/2")
    assert [len(stored(tmp_path / f"shard{number}")) for number in (1, 2)] == [8, 4]
    merged = rows(tmp_path / "shard1") + rows(tmp_path / "shard2")
    assert sorted(map(str, merged)) == sorted(map(str, rows(tmp_path / "whole")))
    capsys.readouterr()
    report([str(tmp_path / "shard1"), str(tmp_path / "shard2"), "--out", str(tmp_path / "merged")])
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")
    ran("--config", config, "--shard=3/2", code="error: shard is '3/2'; expected one such as 2/4, the second of four")  # type: ignore[arg-type]


def test_a_search_whose_process_dies_stops_nothing_else(small: str, tmp_path: Path, capsys: Any) -> None:
    config = written(tmp_path, small, {"dies": keeping(dies=True), "works": keeping()})
    ran("--config", config, "--out", str(tmp_path / "out"), "--jobs=2", code=1)
    assert len(rows(tmp_path / "out")) == 2 * 2 * 2
    assert {row["strategy"] for row in rows(tmp_path / "out")} == {"works"}
    assert capsys.readouterr().out.count("dies, target") == 4


@pytest.mark.parametrize(
    ("config", "strategies", "message"),
    [
        ("tasks: [", "", "suite.yaml is no YAML: line 1, column 9"),
        ("strategies: own.yaml", "a: {\n b: [1", "own.yaml is no YAML: line 2, column 7"),
        (None, "", "suite.yaml cannot be read: No such file or directory"),
    ],
)
def test_files_that_cannot_be_read_are_named(config: str | None, strategies: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(strategies)
    if config is not None:
        (tmp_path / "suite.yaml").write_text(config)
    with pytest.raises(SystemExit, match=re.escape(message)):
        main(["--config", str(tmp_path / "suite.yaml")])


def test_strategies_of_the_command_line_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("a: [")
    with pytest.raises(SystemExit, match=r"own.yaml is no YAML: line 1, column 5"):
        main(["--strategies", str(tmp_path / "own.yaml")])
