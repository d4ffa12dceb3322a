"""The table: what is in it, and what may be put together."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import Results, main, markdown

MADE = {"command": "python -m benchmarks.run --config a.yaml", "jobs": 2, "cpus": 4, "processor": "Abacus 9",
        "version": "1.2.3", "commit": "abc123", "sources": "5eed"}  # fmt: skip


def stored(
    folder: Path, strategies: dict[str, Any], protocol: dict[str, Any] | None = None, seconds: float = 0.5
) -> str:
    """A folder with a result for each strategy: scores[target][seed] at 8 answers, half of that at 4; None failed."""
    protocol = {"first_seed": 1, "targets": 2, "seeds": 2, "checkpoints": [4, 8]} | (protocol or {})
    (folder / "cells").mkdir(parents=True)
    keys = []
    for strategy, scores in strategies.items():
        for target, of_target in enumerate(scores):
            for seed, score in enumerate(of_target):
                keys.append(f"{folder.name}-{strategy}-{target}-{seed}")
                cell = {"task": "faces", "strategy": strategy, "target": target, "seed": seed}
                rows = [
                    cell | {"answers": answers, "queries": answers, "finished": False, "score": value}
                    | {"thinking": seconds, "ties": 0.25}
                    for answers, value in ((4, (score or 0) / 2), (8, score))
                ]  # fmt: skip
                error = "Traceback\n  …\nValueError: no luck\n" if score is None else None
                content = {"cell": cell, "rows": [] if error else rows, "error": error}
                (folder / "cells" / f"{keys[-1]}.json").write_text(json.dumps(content))
    manifest = {"name": folder.name, "protocol": protocol, "tasks": {"faces": {"generator": "avatars"}},
                "strategies": {name: {} for name in strategies}, "cells": keys, "made": MADE}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(manifest))
    return str(folder)


BASE = [[0.2, 0.4], [0.6, 0.8]]
BETTER = [[0.3, 0.5], [0.7, 0.9]]
WORSE = [[0.1, 0.3], [0.5, 0.7]]
MIXED = [[0.3, 0.5], [0.5, 0.7]]


def table(text: str) -> dict[str, dict[str, str]]:
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


def test_table_compares_with_the_first_strategy(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE, "better": BETTER, "worse": WORSE, "mixed": MIXED})
    found = table(markdown(Results.load([Path(folder)])))
    assert list(found) == ["base", "better", "worse", "mixed"]
    assert found["base"]["4"].startswith("0.250 [")
    assert re.fullmatch(r"0\.500 \[0\.2\d\d, 0\.7\d\d\]", found["base"]["8"])
    assert found["base"]["middle half at 8"].startswith("0.500 [")
    assert found["base"]["minus base at 8"] == found["base"]["effect"] == "—"
    assert found["better"]["minus base at 8"] == "+0.100 [+0.100, +0.100]"
    assert found["worse"]["minus base at 8"] == "-0.100 [-0.100, -0.100]"
    assert found["mixed"]["minus base at 8"] == "+0.000 [-0.100, +0.100]"
    assert [row["effect"] for row in found.values()] == ["—", "helps", "hurts", "no difference"]
    assert found["base"]["thinking, s per answer"] == "0.5000"
    assert found["base"]["ties"] == "25%"
    assert found["base"]["searches"] == "4 of 4"


def test_report_begins_with_how_it_was_made(tmp_path: Path) -> None:
    text = markdown(Results.load([Path(stored(tmp_path / "a", {"base": BASE}))]))
    beginning = text[: text.index("## faces")]
    for part in ("# Benchmark a", "`python -m benchmarks.run --config a.yaml`", "pbg-env 1.2.3", "commit abc123",
                 "Abacus 9, 4 CPUs", "2 targets × 2 seeds", "first seed 1"):  # fmt: skip
        assert part in beginning


def test_targets_without_a_failed_search_count(tmp_path: Path) -> None:
    half = [[0.4, 0.4], [0.9, None]]
    text = markdown(
        Results.load([Path(stored(tmp_path / "a", {"base": BASE, "half": half, "none": [[None] * 2] * 2}))])
    )
    found = table(text)
    # Other targets may be easier: whoever reads the table is told.
    row = found["half (on 1 of 2 targets alone)"]
    assert row["8"] == "0.400"
    assert row["minus base at 8"] == "+0.100"
    assert row["effect"] == "one target only"
    assert row["searches"] == "3 of 4"
    assert set(found["none"].values()) == {"none", "—", "0 of 4"}
    assert "## Failed searches" in text
    assert "- faces, half, target 1, seed 1: ValueError: no luck" in text


def test_folders_are_put_together(tmp_path: Path, capsys: Any) -> None:
    folders = [stored(tmp_path / "a", {"base": BASE}), stored(tmp_path / "b", {"better": BETTER})]
    main([*folders, "--markdown", str(tmp_path / "table.md"), "--csv", str(tmp_path / "rows.csv")])
    text = (tmp_path / "table.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert table(text)["better"]["effect"] == "helps"
    assert "# Benchmark a + b" in text
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [(row["strategy"], row["target"], row["seed"], row["answers"], row["score"]) for row in rows[:2]] == [
        ("base", "0", "0", "4", "0.1"),
        ("base", "0", "0", "8", "0.2"),
    ]
    assert len(rows) == 16


def test_what_is_not_of_the_benchmark_does_not_count(tmp_path: Path) -> None:
    folder = Path(stored(tmp_path / "a", {"base": BASE}))
    before = markdown(Results.load([folder]))
    one = next((folder / "cells").iterdir())
    (folder / "cells" / "left_over.json").write_text(one.read_text())
    (folder / "cells" / ".cell.json.17").write_text("{")
    assert markdown(Results.load([folder])) == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"protocol": {"first_seed": 2}}, "first_seed is 2, but 1 in the first folder"),
        ({"protocol": {"checkpoints": [4, 9]}}, r"checkpoints is \[4, 9\], but \[4, 8\]"),
        ({"strategies": {"base": BETTER}}, "other results of base on faces than a folder before"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    first = stored(tmp_path / "a", {"base": BASE})
    second = stored(tmp_path / "b", **({"strategies": {"better": BETTER}} | other))
    with pytest.raises(SystemExit, match=message):
        main([first, second])


def test_a_folder_without_a_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .* holds no benchmark"):
        main([str(tmp_path)])
