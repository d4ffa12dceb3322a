"""The report: what is in its tables, what may be put together, and what counts."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from benchmarks import results as stored_results
from benchmarks.report import main, markdown, summary, write_report
from benchmarks.results import COLUMNS, Results

MADE = {"command": "python -m benchmarks.run --config a.yaml", "jobs": 2, "cpus": 4, "processor": "Abacus 9",
        "version": "1.2.3"}  # fmt: skip
FACES = {"faces": {"generator": "avatars", "similarity": "ssim", "teacher": "oracle"}}
PIXELS = {"faces": {"generator": "avatars", "similarity": "pixels", "teacher": "oracle", "targets": "prior"}}

BASE = [[0.2, 0.4], [0.6, 0.8]]
BETTER = [[0.3, 0.5], [0.7, 0.9]]
WORSE = [[0.1, 0.3], [0.5, 0.7]]
MIXED = [[0.3, 0.5], [0.5, 0.7]]

Scores = Sequence[Sequence[float | None]]


def stored(
    folder: Path,
    strategies: dict[str, Scores],
    *,
    protocol: dict[str, Any] | None = None,
    tasks: dict[str, Any] = FACES,
    groups: dict[str, str] | None = None,
    slow: Sequence[str] = (),
    targets: Sequence[int] = (0, 1),
    agent: str = "Agent",
) -> str:
    """A folder with a result for each strategy: 0 at once, scores[target][seed] at 8 answers, half of that at 4.

    None is a search that failed, NaN one that is missing; slow ones are stopped at 4 answers.
    """
    protocol = {"first_seed": 1, "targets": 2, "seeds": 2, "checkpoints": [0, 4, 8]} | (protocol or {})
    (folder / "cells").mkdir(parents=True)
    cells = {}
    for task in tasks:
        for strategy, scores in strategies.items():
            for target in targets:
                for seed, score in enumerate(scores[target]):
                    key = f"{task}-{strategy}-{target}-{seed}-{agent}".replace("/", "")
                    cells[key] = [task, strategy, target, seed]
                    if score is None or not np.isnan(score):
                        cell = result(task, strategy, target, seed, score, strategy in slow)
                        (folder / "cells" / f"{key}.json").write_text(json.dumps(cell))
    described = {name: {"agent": agent, "class": (groups or {}).get(name, "scratch")} for name in strategies}
    manifest = {"name": folder.name, "protocol": protocol, "tasks": tasks, "strategies": described, "cells": cells}
    (folder / "run.json").write_text(json.dumps(manifest | {"made": MADE}))
    return str(folder)


def result(task: str, strategy: str, target: int, seed: int, score: float | None, is_slow: bool) -> dict[str, Any]:
    cell = {"task": task, "strategy": strategy, "target": target, "seed": seed}
    rows = [
        cell | {"answers": answers, "queries": answers, "finished": False, "score": (score or 0) * answers / 8}
        | {"thinking": 0.5, "generated": 3 * answers, "first": answers // 4, "second": answers // 2}
        | {"both_good": answers // 4, "both_bad": 0}
        for answers in ((0, 4) if is_slow else (0, 4, 8))
    ]  # fmt: skip
    error = "Traceback\n  …\nValueError: no luck\n" if score is None else None
    ended = {"error": error, "stopped": "slow" if is_slow else None, "commit": "abc123"}
    return cell | {"rows": [] if error else rows} | ended


def load(*folders: str) -> Results:
    return Results.load([Path(folder) for folder in folders])


def tables(text: str) -> list[dict[str, dict[str, str]]]:
    """Every table by its first column, then by the heading of its columns."""
    found = []
    for block in text.split("\n\n"):
        if block.startswith("| "):
            lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in block.splitlines()]
            found.append({line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]})
    return found


def test_summary_has_the_largest_area_first(tmp_path: Path) -> None:
    results = load(stored(tmp_path / "a", {"worse": WORSE, "base": BASE, "better": BETTER}))
    (found,) = tables(summary(results))
    assert list(found) == ["better", "base", "worse"]
    assert re.fullmatch(r"0\.50 \[0\.\d\d, 0\.\d\d\]", found["base"]["8"])
    # Straight from 0 to the score: half of it on average.
    assert found["base"]["area"].startswith("0.25 [")
    assert found["base"]["s per answer"] == "0.5"
    # 0.6 and 0.8 get there, after 8 and 6 answers: for half of the searches there is no median.
    assert found["base"]["to 0.6"] == ">8 [6, >8], 50%"
    assert found["better"]["to 0.7"] == ">8 [6, >8], 50%"
    assert found["worse"]["to 0.7"] == ">8 [8, >8], 25%"


def test_classes_are_apart_and_who_knows_the_target_is_no_competitor(tmp_path: Path) -> None:
    groups = {"better": "pretrained", "inversion": "ceiling"}
    strategies = {"base": BASE, "better": BETTER, "inversion": [[1.0, 1.0], [1.0, 1.0]], "worse": WORSE}
    text = summary(load(stored(tmp_path / "a", strategies, groups=groups)))
    assert [list(found) for found in tables(text)] == [["base", "worse"], ["better"], ["inversion"]]
    headings = re.findall(r"\*\*(.*)\*\*", text)
    assert headings[:2] == ["From scratch", "Pretrained on simulated users"]
    assert "no competitors" in headings[2]
    assert "- From scratch the best is at 8 answers `base` (0.500)" in text
    assert "- Pretrained on simulated users the best is at 8 answers `better` (0.600)" in text
    assert "`inversion`" not in text


def test_it_says_whom_the_reference_agent_loses_to(tmp_path: Path) -> None:
    strategies = {
        "preference GP": BETTER,
        "reference": BASE,
        "better": BETTER,
        "mixed": [[0.1, 0.5], [0.6, 0.9]],
        "worse": WORSE,
    }
    text = summary(load(stored(tmp_path / "a", strategies)))
    assert (
        "- At 8 answers `reference` loses clearly to `preference GP` by 0.100 [0.100, 0.100], "
        "`better` by 0.100 [0.100, 0.100]; perhaps to `mixed` by 0.050 [-" in text
    )
    alone = summary(load(stored(tmp_path / "b", {"reference": BASE, "worse": WORSE})))
    assert "- At 8 answers `reference` loses to none of them" in alone


def test_tables_of_a_task(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE, "better": BETTER, "worse": WORSE, "mixed": MIXED})
    _, scores, needed, differences, costs, _ = tables(markdown(load(folder)))
    assert scores["base"]["4"].startswith("0.250 [")
    assert scores["base"]["**8**"].startswith("0.500 [")
    assert scores["base"]["0"] == "0.000 [0.000, 0.000]"
    assert list(needed["base"]) == ["answers to a score of", "0.5", "0.6", "0.7", "0.8"]
    assert needed["better"]["0.5"].startswith("7 [")
    assert needed["worse"]["0.8"] == ">8, 0%"
    assert list(differences["base"].values()) == ["base", "—", "—", "—"]
    assert differences["better"]["8"] == "+0.100 [+0.100, +0.100]"
    assert differences["worse"]["8"] == "-0.100 [-0.100, -0.100]"
    assert [row["effect"] for row in differences.values()] == ["helps", "—", "no difference", "hurts"]
    # Of sixteen pairs ten are better: 0.3 beats one, 0.5 two, 0.7 three, 0.9 four.
    assert differences["better"]["P"].startswith("0.62 [")
    assert costs["base"]["thinking, s per answer"] == "0.5000"
    assert costs["base"]["pictures per answer"] == "3.0"
    assert costs["base"]["both good"] == "25%"
    assert costs["base"]["both bad"] == "0%"
    assert costs["base"]["bits per answer, at most"] == "1.50"
    assert costs["base"]["searches"] == "4 of 4"


def test_another_baseline(tmp_path: Path) -> None:
    results = load(stored(tmp_path / "a", {"base": BASE, "better": BETTER}))
    differences = tables(markdown(results, "better"))[3]
    assert differences["base"]["8"] == "-0.100 [-0.100, -0.100]"
    with pytest.raises(ValueError, match="baseline: no strategy 'best'; there are base, better"):
        markdown(results, "best")


def test_report_begins_with_how_it_was_made(tmp_path: Path) -> None:
    text = markdown(load(stored(tmp_path / "a", {"base": BASE})))
    beginning = text[: text.index("## faces")]
    for part in (
        "# Benchmark a",
        "`python -m benchmarks.run --config a.yaml`",
        "pbg-env 1.2.3; Abacus 9, 4 CPUs",
        "Searches by commit: abc123 (4)",
        "Targets: 2,",
        "first seed 1",
        "searches towards each: 2",
    ):
        assert part in beginning


def test_targets_without_a_failed_or_missing_search_count(tmp_path: Path) -> None:
    strategies = {"base": BASE, "half": [[0.4, 0.4], [0.9, None]], "some": [[0.4, float("nan")], [0.9, 0.9]],
                  "none": [[None, 0.5], [None, 0.5]]}  # fmt: skip
    text = markdown(load(stored(tmp_path / "a", strategies)))
    found, _, _, differences, costs = tables(text)
    # Other targets may be easier: whoever reads the table is told.
    half, some = "half (on 1 of 2 targets alone)", "some (on 1 of 2 targets alone)"
    assert list(found) == [some, "base", half]
    assert found[half]["8"] == "0.40"
    assert found[some]["8"] == "0.90"
    assert differences[half]["8"] == "+0.100"
    assert differences[half]["effect"] == "one target only"
    assert differences[some]["8"] == "+0.200"
    assert costs[half]["searches"] == "3 of 4, 1 failed"
    assert costs[some]["searches"] == "3 of 4"
    # What has other targets is not compared in words.
    assert "the best is at 8 answers `base`" in text
    assert "No target is complete yet of `none` (2 of 4, 2 failed searches)" in text
    assert "- faces, half, target 1, seed 1: ValueError: no luck" in text[text.index("## Failed searches") :]


def test_slow_strategies_count_as_far_as_they_came(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE, "slow": BETTER}, slow=["slow"])
    text = markdown(load(folder))
    found, scores, needed, differences, costs, _ = tables(text)
    assert list(found) == ["base", "slow †"]
    assert found["slow †"]["8"] == found["slow †"]["area"] == "—"
    assert scores["slow †"]["4"].startswith("0.300 [")
    assert needed["slow †"]["0.5"] == ">4, 0%"
    assert differences["slow †"]["8"] == "—"
    assert costs["slow †"]["searches"] == "4 of 4, 4 †"
    assert "the best is at 8 answers `base`" in text
    assert "- † thinks too long" in text
    assert "†" not in markdown(load(stored(tmp_path / "b", {"base": BASE})))


def test_one_slow_search_shortens_all(tmp_path: Path) -> None:
    """A mean at the last checkpoint would be one of the quick searches alone."""
    folder = Path(stored(tmp_path / "a", {"base": BASE}))
    path = folder / "cells" / "faces-base-0-0-Agent.json"
    path.write_text(json.dumps(result("faces", "base", 0, 0, 0.2, True)))
    _, scores, _, _, costs = tables(markdown(load(str(folder))))
    assert scores["base †"]["4"].startswith("0.250 [")
    assert scores["base †"]["**8**"] == "—"
    assert costs["base †"]["searches"] == "4 of 4, 1 †"


def test_several_tasks_are_also_taken_together(tmp_path: Path) -> None:
    tasks = FACES | {"a/b": FACES["faces"]}
    first = stored(tmp_path / "first", {"base": BASE, "better": BETTER}, tasks=tasks)
    only_faces = stored(tmp_path / "second", {"mixed": MIXED})
    text = markdown(load(first, only_faces))
    assert re.findall("^## (.*)", text, re.M) == ["Task by task", "All tasks", "faces", "a/b"]
    together, of_faces, other = (tables(part)[0] for part in text.split("\n## ")[2:])
    assert list(together) == list(other) == ["better", "base"]
    assert list(of_faces) == ["better", "base", "mixed"]
    assert together["base"]["8"].startswith("0.50 [")
    assert tables(text.split("\n## ")[2])[-2]["base"]["searches"] == "8 of 8"


def test_shards_and_other_strategies_are_put_together(tmp_path: Path, capsys: Any) -> None:
    folders = [stored(tmp_path / f"a{number}", {"base": BASE}, targets=[number]) for number in (0, 1)]
    folders.append(stored(tmp_path / "b", {"better": BETTER}))
    main([*folders, "--out", str(tmp_path / "merged")])
    text = (tmp_path / "merged" / "report.md").read_text()
    differences = tables(text)[3]
    assert differences["better"]["effect"] == "helps"
    assert tables(text)[-2]["base"]["searches"] == "4 of 4"
    assert "# Benchmark a0 + a1 + b" in text
    printed = capsys.readouterr()
    assert tables(printed.out) == tables(text)[:1]
    assert printed.err.strip() == f"everything: {tmp_path / 'merged' / 'report.md'}"
    rows = list(csv.DictReader((tmp_path / "merged" / "rows.csv").read_text().splitlines()))
    assert [(row["strategy"], row["target"], row["seed"], row["answers"], row["score"]) for row in rows[1:4]] == [
        ("base", "0", "0", "4", "0.1"),
        ("base", "0", "0", "8", "0.2"),
        ("base", "0", "1", "0", "0.0"),
    ]
    assert len(rows) == 24


def test_several_folders_are_printed_alone_unless_told_where_to(tmp_path: Path, capsys: Any) -> None:
    folders = [stored(tmp_path / "a", {"base": BASE}), stored(tmp_path / "b", {"better": BETTER})]
    main(folders)
    printed = capsys.readouterr()
    assert "better" in printed.out
    assert "nothing is written" in printed.err
    assert not list(tmp_path.rglob("report.md"))


def test_a_search_that_succeeded_elsewhere_counts(tmp_path: Path) -> None:
    failed = stored(tmp_path / "a", {"base": [[None, 0.4], [0.6, 0.8]]})
    succeeded = stored(tmp_path / "b", {"base": BASE})
    for folders in ((failed, succeeded), (succeeded, failed)):
        results = load(*folders)
        assert not results.failed
        assert tables(markdown(results))[-1]["base"]["searches"] == "4 of 4"


def test_what_is_not_of_the_benchmark_does_not_count(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE})
    before = markdown(load(folder))
    one = next((Path(folder) / "cells").iterdir())
    (Path(folder) / "cells" / "left_over.json").write_text(one.read_text())
    (Path(folder) / "cells" / ".cell.json.17").write_text("{")
    assert markdown(load(folder)) == before


def test_everything_is_written_and_again_the_same(tmp_path: Path) -> None:
    folder = Path(stored(tmp_path / "a", {"base": BASE, "better": BETTER, "half": [[0.1, 0.2], [None, 0.3]]}))
    text = write_report(load(str(folder)), folder)
    assert text == summary(load(str(folder)))
    links = re.findall(r"\]\((plots/.*?)\)", (folder / "report.md").read_text())
    assert [link.rpartition("_")[2] for link in links] == ["scores.png", "profiles.png", "answers.png", "thinking.png"]
    written = ["report.md", "rows.csv", *links]
    contents = [(folder / name).read_bytes() for name in written]
    assert all(content.startswith(b"\x89PNG") for content in contents[2:])
    table = pyarrow.parquet.read_table(folder / "rows.parquet")
    assert table.column_names == list(COLUMNS)
    rows = list(csv.DictReader((folder / "rows.csv").read_text().splitlines()))
    assert [str(score) for score in table["score"].to_pylist()] == [row["score"] for row in rows]
    assert len(rows) == 3 * (4 + 4 + 3)
    main([str(folder)])
    assert [(folder / name).read_bytes() for name in written] == contents


def test_names_that_mean_something_to_markdown_and_plots(tmp_path: Path) -> None:
    folder = Path(stored(tmp_path / "a", {"a|b": BASE, "$x_1": BETTER, "_c": WORSE}))
    write_report(load(str(folder)), folder)
    scores = (folder / "report.md").read_text().split("### ")[1].split("\n\n")[1]
    assert [line.split(" | ")[0].strip("| ") for line in scores.splitlines()[2:]] == ["$x_1", r"a\|b", "_c"]


def test_a_benchmark_that_has_not_begun(tmp_path: Path) -> None:
    nan = float("nan")
    folder = stored(tmp_path / "a", {"base": [[nan, nan], [nan, nan]]})
    text = write_report(load(folder), tmp_path / "out")
    assert "No target is complete yet of `base` (0 of 4 searches)" in text
    assert (tmp_path / "out" / "rows.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_reference_curve_of_exact_answers_by_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(stored_results, "load_generator", lambda source, device: asked.append((source, device)))
    monkeypatch.setattr(stored_results, "spectrum", lambda generator: np.ones(4))
    monkeypatch.setattr(stored_results, "noise_spectrum", lambda generator: np.ones(2))
    folder = stored(tmp_path / "a", {"base": BASE}, tasks=PIXELS)
    text = markdown(load(folder))
    assert asked == [("avatars", "cpu")]
    assert "### Reference, which is no strategy and no bound" in text
    references = tables(text)[-1]
    bits = {"1 bit an answer": 1.0, "2 bits an answer": 2.0, "1.50 bits, as of base": 1.5}
    described = [(what, count, name) for what, count in (("pictures", 4), ("noise", 2)) for name in bits]
    assert list(references) == [f"rate–distortion of {what}, {name}" for what, _, name in described]
    # So many equal components: √(D / 2 Σλ) = √½ · 2^(−bits / components).
    for name, (_, count, told) in zip(references, described, strict=True):
        for answers in (0, 4, 8):
            expected = 1 - np.sqrt(0.5) * 2 ** (-bits[told] * answers / count)
            assert float(references[name][str(answers)]) == pytest.approx(expected, abs=6e-4)
    write_report(load(folder), tmp_path / "out")
    assert (tmp_path / "out" / "plots" / "0_faces_scores.png").is_file()


@pytest.mark.parametrize(
    "other",
    [{"similarity": "ssim"}, {"teacher": "noisy"}, {"targets": "portraits"}, {"generator": "netG_10.pth"}],
)
def test_no_reference_curve_of_anything_else(other: dict[str, str], tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE}, tasks={"faces": PIXELS["faces"] | other})
    assert "Reference" not in markdown(load(folder))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"protocol": {"first_seed": 2}}, "first_seed is 2, but 1 in a folder before"),
        ({"protocol": {"checkpoints": [0, 4, 9]}}, r"checkpoints is \[0, 4, 9\], but \[0, 4, 8\]"),
        ({"tasks": {"faces": {"generator": "own.pth"}}}, "task faces has other arguments than in a folder before"),
        ({"strategies": {"base": BETTER}, "agent": "Other"}, "strategy base has other arguments"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    first = stored(tmp_path / "a", {"base": BASE})
    second = stored(tmp_path / "b", **({"strategies": {"better": BETTER}} | other))
    with pytest.raises(SystemExit, match=message):
        main([first, second])


def test_two_results_of_one_search_are_refused(tmp_path: Path) -> None:
    folders = [Path(stored(tmp_path / name, {"base": BASE})) for name in ("a", "b")]
    manifest = json.loads((folders[1] / "run.json").read_text())
    manifest["cells"]["another"] = manifest["cells"].pop("faces-base-0-0-Agent")
    (folders[1] / "run.json").write_text(json.dumps(manifest))
    (folders[1] / "cells" / "faces-base-0-0-Agent.json").rename(folders[1] / "cells" / "another.json")
    with pytest.raises(SystemExit, match="b holds other results of base on faces than a folder before"):
        main(list(map(str, folders)))


def without(column: str) -> str:
    """A result whose rows lack a column."""
    content = result("faces", "base", 0, 0, 0.2, False)
    for row in content["rows"]:
        del row[column]
    return json.dumps(content)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[]",
        without("generated"),
        json.dumps(result("faces", "base", 0, 1, 0.2, False)),
        json.dumps(result("faces", "base", 0, 0, 0.2, True) | {"stopped": None}),
        json.dumps(result("faces", "base", 0, 0, 0.2, False) | {"rows": []}),
    ],
    ids=["cut off", "empty", "no result", "another version", "another search", "too short", "no rows"],
)
def test_damaged_results_are_refused(content: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE})
    (Path(folder) / "cells" / "faces-base-0-0-Agent.json").write_text(content)
    with pytest.raises(SystemExit, match=r"faces-base-0-0-Agent.json is damaged or of another version .* delete it"):
        main([folder])


def test_a_folder_without_a_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .* holds no benchmark"):
        main([str(tmp_path)])
    (tmp_path / "run.json").write_text(json.dumps({"cells": ["key"]}))
    with pytest.raises(SystemExit, match=r"error: .* is of another version of the benchmark; run it again"):
        main([str(tmp_path)])


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", {"base": BASE}, groups={"base": "magic"})
    with pytest.raises(SystemExit, match="strategy base is 'magic', expected one of scratch, pretrained, ceiling"):
        main([folder])
