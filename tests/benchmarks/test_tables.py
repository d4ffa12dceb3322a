"""Tables that set tasks, or strategies, beside each other."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import markdown
from tests.benchmarks.test_report import BASE, BETTER, FACES, WORSE, load, stored, tables


def found(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The one table whose first column is headed so."""
    (table,) = (table for table in tables(text) if next(iter(next(iter(table.values())))) == heading)
    return table


def test_tasks_stand_beside_each_other_and_the_best_is_marked(tmp_path: Path) -> None:
    tasks = FACES | {"hands": FACES["faces"]}
    folder = stored(tmp_path / "a", {"worse": WORSE, "base": BASE, "better": BETTER}, tasks=tasks)
    text = markdown(load(folder))
    scores = found(text, "score after 8")
    assert list(scores) == ["better", "base", "worse"]
    assert scores["better"] == {"score after 8": "better", "faces": "**0.60**", "hands": "**0.60**"}
    assert scores["base"] == {"score after 8": "base", "faces": "0.50", "hands": "0.50"}
    answers = found(text, "answers to 0.6 / 0.7")
    assert answers["better"]["faces"] == ">8 / >8"


def test_one_task_has_nothing_beside_it(tmp_path: Path) -> None:
    assert "Task by task" not in markdown(load(stored(tmp_path / "a", {"base": BASE})))


def test_it_says_how_many_answers_the_best_saves(tmp_path: Path) -> None:
    strategies = {
        "base": BASE,
        "better": BETTER,
        "none": [[0.0, 0.0], [0.0, 0.0]],
        "inversion": [[1.0, 1.0], [1.0, 1.0]],
    }
    text = markdown(load(stored(tmp_path / "a", strategies, groups={"inversion": "ceiling"})))
    # Straight from 0 to 0.6 at 8 answers: at 0.5 after 8 · 5/6.
    assert found(text, "answers of better to the score of") == {
        "base": {"answers of better to the score of": "base", "after 8": "0.50: 7, 1.2 × fewer"},
        "none": {"answers of better to the score of": "none", "after 8": "0.00: 0"},
    }


def test_a_curve_of_some_targets_alone_is_compared_with_none(tmp_path: Path) -> None:
    nan = float("nan")
    strategies = {"base": BASE, "better": BETTER, "one": [[0.1, 0.2], [nan, nan]]}
    assert list(found(markdown(load(stored(tmp_path / "a", strategies))), "answers of better to the score of")) == [
        "base"
    ]
