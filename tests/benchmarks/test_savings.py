"""How many answers a strategy saves."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.savings import main, savings
from tests.benchmarks.test_report import BASE, BETTER, FACES, WORSE, Scores, load, stored

CEILING = [[1.0, 1.0], [1.0, 1.0]]
AT = ["--late", "8", "--early", "4"]
AHEAD = [[0.4, 0.6], [0.8, 1.0]]


def test_it_tells_after_how_many_answers_it_is_where_the_best_others_are_later(tmp_path: Path) -> None:
    strategies: dict[str, Scores] = {
        "ours": AHEAD,
        "base": BASE,
        "better": BETTER,
        "worse": WORSE,
        "near": AHEAD,
        "ceiling": CEILING,
    }
    results = load(stored(tmp_path / "a", strategies, groups={"ceiling": "ceiling"}))
    (heading, row) = savings(results, "ours", ["near"], ["base", "worse"], late=8, early=4)
    assert heading[2::3] == ["best published after 8", "best of all others after 4", "below the best"]
    # Straight from 0 to 0.7 at 8 answers: at 0.5 after 8 · 5/7, and at 0.3 after 8 · 3/7.
    assert row == ["faces", "2", "base 0.50", "6", "1.4", "better 0.30", "3", "1.2", "nowhere"]


def test_it_tells_where_it_is_below(tmp_path: Path) -> None:
    results = load(stored(tmp_path / "a", {"ours": BASE, "better": BETTER, "slow": AHEAD}, slow=["slow"]))
    (_, row) = savings(results, "ours", [], ["better"], late=8, early=4)
    # The slow one is compared as far as it came: ahead by 0.1 after 4; then the other by 0.1 after 8.
    assert row == ["faces", "2", "better 0.60", ">8", "—", "slow 0.35", "6", "0.7", "4 (−0.10), 8 (−0.10)"]


def test_nobody_to_compare_with(tmp_path: Path) -> None:
    results = load(stored(tmp_path / "a", {"ours": BASE, "better": BETTER}, tasks=FACES))
    (_, row) = savings(results, "ours", [], [], late=8, early=0)
    assert row == ["faces", "2", *["—"] * 3, "better 0.00", "0", "∞", "4 (−0.05), 8 (−0.10)"]


def test_a_strategy_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored(tmp_path / "a", {"base": BASE})
    with pytest.raises(ValueError, match="'ours'; there are base"):
        savings(load(folder), "ours", late=8, early=4)
    with pytest.raises(ValueError, match="late is 300, but scores are known after 0, 4, 8 answers"):
        savings(load(folder), "base", early=4)
    with pytest.raises(SystemExit, match=r"error: .*'particles'; there are base"):
        main([folder, *AT])
    with pytest.raises(SystemExit, match=r"error: .*holds no benchmark"):
        main([str(tmp_path)])
    main([folder, "--ours", "base", *AT])
    assert "| faces | 2 " in capsys.readouterr().out
