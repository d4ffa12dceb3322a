"""One search of a benchmark: its rows, what is counted, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.base import Learner, Noise
from benchmarks.cell import Cell, Row, SourcesChanged, opened, run_cell, search
from benchmarks.inversion import Inversion
from benchmarks.suite import Strategy, Suite, Task
from benchmarks.targets import portrait
from tests.benchmarks.conftest import keeping, one_cell

ROOT = Path(__file__).parents[2]


def rows_of(cell: Cell) -> list[Row]:
    rows, is_slow = search(cell)
    assert not is_slow
    return rows


def test_the_same_search_twice_gives_the_same_rows(small: str) -> None:
    original = {
        "config": str(ROOT / "configs" / "agents" / "original.yaml"),
        "overrides": {"agent.sampling.init_args.count": 12, "agent.pairing.init_args.limit": 3},
    }
    cell = one_cell(small, original)
    once, again = ([row | {"thinking": 0} for row in rows_of(cell)] for _ in range(2))
    assert once == again
    assert [(row["answers"], row["queries"], row["finished"]) for row in once] == [(4, 4, False), (8, 8, False)]
    assert (once[0]["task"], once[0]["strategy"], once[0]["target"], once[0]["seed"]) == ("exact", "only", 0, 0)
    assert once[0]["score"] != once[1]["score"] < 1


def test_an_agent_that_is_finished_keeps_its_score(small: str) -> None:
    free, ended = (rows_of(one_cell(small, keeping(ends=ends), checkpoints=[4, 8, 12])) for ends in (None, 6))
    assert [row["queries"] for row in ended] == [4, 6, 6]
    assert [row["finished"] for row in ended] == [False, True, True]
    assert ended[0]["score"] == free[0]["score"]
    assert ended[1]["score"] == ended[2]["score"]
    assert not any(row["finished"] for row in free)


def test_answers_are_counted_and_thinking_is_timed(small: str) -> None:
    cell = one_cell(small, keeping(shows_same=True, pauses=0.01))
    assert [row["both_good"] for row in rows_of(cell)] == [4, 8]
    assert all(0.01 <= row["thinking"] < 0.1 for row in rows_of(cell))
    free = rows_of(one_cell(small, keeping()))[1]
    assert free["both_good"] == free["both_bad"] == 0
    assert free["first"] + free["second"] == 8


def test_a_search_that_takes_too_long_has_failed(small: str) -> None:
    result = run_cell(one_cell(small, keeping(pauses=5)), timeout=0.3)
    assert result["rows"] == []
    assert "SearchTimeout: the search took longer than 0.3 s" in result["error"]


def test_who_has_come_to_the_end_was_not_stopped(small: str) -> None:
    rows, is_slow = search(one_cell(small, keeping(pauses=0.02), checkpoints=[0, 2, 4], slow=0.01, slow_stops_at=4))
    assert (len(rows), is_slow) == (3, False)


def test_a_slow_strategy_stops_early(small: str) -> None:
    slow = one_cell(small, keeping(pauses=0.02), checkpoints=[0, 2, 4, 8], slow=0.01, slow_stops_at=4)
    rows, is_slow = search(slow)
    assert is_slow
    assert [row["answers"] for row in rows] == [0, 2, 4]
    result = run_cell(slow, None)
    assert (len(result["rows"]), result["stopped"], result["error"]) == (3, "slow", None)
    quick = one_cell(small, keeping(), checkpoints=[0, 2, 4, 8], slow=1.0, slow_stops_at=4)
    assert [row["answers"] for row in rows_of(quick)] == [0, 2, 4, 8]


class Uniform(Learner):
    """Tries actions of the unit cube, in a loop that knows of no budget, as a library's would."""

    steps = 0

    def __init__(self, ignores_end: bool = False) -> None:
        self._ignores_end = ignores_end

    def learn(self, env: gym.Env[Any, Any], answers: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        env.reset(seed=5)
        while True:
            _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 6).astype(np.float32))
            assert not terminated
            Uniform.steps += 1
            if truncated and not self._ignores_end:
                env.reset()


class Remembering(Uniform):
    @property
    def destination(self) -> Noise:
        return np.zeros(6, dtype=np.float32)


def described(learner: type[Learner], **arguments: Any) -> dict[str, Any]:
    return {"agent": {"class_path": f"{learner.__module__}.{learner.__qualname__}", "init_args": arguments}}


@pytest.mark.parametrize("ignores_end", [False, True])
@pytest.mark.parametrize("checkpoints", [[0, 4, 8], [4, 12]])
def test_a_learner_steps_until_its_answers_are_spent(ignores_end: bool, checkpoints: list[int], small: str) -> None:
    """12 is the environment's own budget, after which libraries reset; 8 is short of it."""
    Uniform.steps = 0
    cell = one_cell(small, described(Uniform, ignores_end=ignores_end), checkpoints=checkpoints)
    rows = rows_of(cell)
    assert [row["queries"] for row in rows] == checkpoints
    assert Uniform.steps == checkpoints[-1]
    assert [row["first"] + row["second"] for row in rows] == checkpoints
    assert [row["generated"] for row in rows] == checkpoints
    assert rows[-1]["score"] > rows[0]["score"]
    again = rows_of(cell)
    assert [row["score"] for row in again] == [row["score"] for row in rows]


def test_a_learner_recommends_its_incumbent_or_what_it_says(small: str) -> None:
    cell = one_cell(small, described(Remembering), checkpoints=[0, 8])
    env, observation = opened(cell, candidates=True)
    space: Any = env.unwrapped
    assert [row["score"] for row in rows_of(cell)] == [space.evaluate(np.zeros(6))] * 2
    of_incumbent = rows_of(one_cell(small, described(Uniform), checkpoints=[0]))
    assert of_incumbent[0]["score"] == space.evaluate(observation["incumbent"])


def test_pictures_of_questions_and_of_thinking_are_counted(small: str) -> None:
    assert [row["generated"] for row in rows_of(one_cell(small, keeping()))] == [8, 16]
    config = {"config": str(ROOT / "configs" / "agents" / "reference.yaml")}
    cell = one_cell(small, config)
    assert all(row["generated"] > 2 * row["queries"] for row in rows_of(cell))
    assert "generate" not in vars(opened(cell)[0].unwrapped.generator)  # type: ignore[attr-defined]


def test_inversion_is_near_the_wish_and_asks_nothing(small: str) -> None:
    cell = one_cell(small, described(Inversion, steps=60))
    rows = rows_of(cell)
    assert [row["queries"] for row in rows] == [0, 0]
    assert rows[0]["score"] == rows[1]["score"] > 0.9
    with pytest.raises(ValueError, match=r"steps and learning_rate are 5, 0 and 0.05; expected 1 or more"):
        Inversion(steps=0)


def test_portraits_and_pictures_of_a_folder_are_targets(small: str, tmp_path: Path) -> None:
    drawn, _ = opened(one_cell(small, keeping(), task={"targets": "portraits"}))
    target: Any = drawn.unwrapped.target  # type: ignore[attr-defined]
    np.testing.assert_allclose(target.numpy(), portrait(50_000, 64), atol=0.5 / 255)
    with pytest.raises(FileNotFoundError, match="no such folder of targets"):
        opened(one_cell(small, keeping(), task={"targets": str(tmp_path / "nowhere")}))


def test_wishes_without_a_target_are_told_its_number(small: str) -> None:
    task = {"targets": None, "similarity": "benchmarks.tastes:warm_colours_{target}"}
    tasks, strategies = [Task("warm", 12, generator=small, **task)], {"only": Strategy(**keeping())}
    cells = list(Suite("tastes", tasks, strategies, targets=2, seeds=1, first_seed=5, checkpoints=[4, 8]).cells())
    assert [cell.environment["similarity"][-14:] for cell in cells] == ["warm_colours_0", "warm_colours_1"]
    first, second = (opened(cell)[0].unwrapped for cell in cells)
    media = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    wishes: list[Any] = [first, second]
    assert all(wish.target is None for wish in wishes)
    assert not torch.equal(*(wish.oracle.utility(media) for wish in wishes))
    assert rows_of(cells[0])[-1]["score"] > -1


def test_sources_that_change_meanwhile_are_told(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = one_cell(small, keeping())
    monkeypatch.setattr("benchmarks.cell.sources", lambda settings: "others")
    with pytest.raises(SourcesChanged, match="the sources have changed since the benchmark was started; start it"):
        run_cell(cell, None)
