"""What a suite says: who meets what, which settings there are, and what counts as another search."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks import sources as sources_module
from benchmarks.cell import opened, search, seeds, target_noise
from benchmarks.run import parser
from benchmarks.suite import Strategy, Suite, Task

ROOT = Path(__file__).parents[2]
KEEPING = "tests.benchmarks.conftest.Keeping"
ORIGINAL = {"config": str(ROOT / "configs" / "agents" / "original.yaml")}


def suite(small: str, **changed: Any) -> Suite:
    settings: dict[str, Any] = {
        "name": "test",
        "tasks": [Task("noisy", 20, generator=small, teacher="noisy"), Task("exact", 20, generator=small)],
        "strategies": {
            "one": Strategy(agent={"class_path": KEEPING}),
            "other": Strategy(agent={"class_path": KEEPING, "init_args": {"ends": 4}}),
        },
        "targets": 2,
        "seeds": 2,
        "first_seed": 3,
        "checkpoints": [2, 4],
    }
    return Suite(**(settings | changed))


def test_what_is_known_to_be_slow_stops_however_fast_the_machine(small: str) -> None:
    strategies = {
        "one": Strategy(agent={"class_path": KEEPING}),
        "slow": Strategy(agent={"class_path": KEEPING}, slow=True),
    }
    limited = suite(small, strategies=strategies, targets=1, seeds=1, slow=60.0, slow_stops_at=2)
    rows = {cell.strategy: search(cell) for cell in limited.cells() if cell.task == "exact"}
    assert {name: (found[-1]["answers"], is_slow) for name, (found, is_slow) in rows.items()} == {
        "one": (4, False),
        "slow": (2, True),
    }
    # Where nothing may be slow, nothing is.
    unlimited = suite(small, strategies=strategies, targets=1, seeds=1)
    assert {cell.slow for cell in unlimited.cells()} == {None}


def test_what_is_slow_stops_at_a_checkpoint(small: str) -> None:
    with pytest.raises(ValueError, match="slow_stops_at is 3, expected one of the checkpoints"):
        suite(small, slow=1.0, slow_stops_at=3)
    suite(small, slow_stops_at=3)
    suite(small, slow=1.0, slow_stops_at=100)


def written(tmp_path: Path, settings: dict[str, Any]) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return str(path)


def read(arguments: list[str]) -> Suite:
    line = parser()
    return Suite.read(yaml.safe_load(line.dump(line.parse_args(arguments), skip_unset=False)))


def plain(small: str) -> dict[str, Any]:
    """A suite as its file says it."""
    return {
        "name": "test",
        "tasks": [{"name": "exact", "generator": small, "max_queries": 20}],
        "strategies": {"original": dict(ORIGINAL)},
        **{"targets": 2, "seeds": 1, "first_seed": 3, "checkpoints": [2, 4]},
    }


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "benchmarks").glob("*.yaml")), ids=lambda path: path.stem)
def test_suites_that_we_ship_name_existing_settings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shipped = read(["--config", str(path)])
    assert set(shipped.agents()) == set(shipped.strategies)
    assert shipped.name == path.stem


def test_tuning_is_on_targets_of_its_own() -> None:
    first_seeds = {
        path.stem: yaml.safe_load(path.read_text())["first_seed"]
        for path in (ROOT / "configs" / "benchmarks").glob("*.yaml")
    }
    tuning = first_seeds.pop("tuning")
    assert first_seeds
    assert tuning not in first_seeds.values()
    published = {target_noise(first, target, 6).tobytes() for first in first_seeds.values() for target in range(50)}
    assert not published & {target_noise(tuning, target, 6).tobytes() for target in range(50)}


def test_every_strategy_meets_the_same_target_and_teacher(small: str) -> None:
    """A target is that of its number, whatever the seed; a noisy teacher's answers are those of target and seed."""
    question = np.zeros((1, 2, 6), dtype=np.float32)
    targets: dict[int, set[bytes]] = {0: set(), 1: set()}
    answers: dict[tuple[str, int, int], set[tuple[int, ...]]] = {}
    for cell in suite(small).cells():
        env, _ = opened(cell)
        space: Any = env.unwrapped
        targets[cell.target].add(space.target.numpy().tobytes())
        given = tuple(int(env.step(question)[4]["preference"][0]) for _ in range(20))
        answers.setdefault((cell.task, cell.target, cell.seed), set()).add(given)
        assert space.evaluate(target_noise(3, cell.target, 6)) == pytest.approx(1)
    assert all(len(met) == 1 for met in targets.values())
    assert targets[0] != targets[1]
    assert all(len(met) == 1 for met in answers.values())
    of_noisy = [given for (task, _, _), given in answers.items() if task == "noisy"]
    assert len({given.pop() for given in of_noisy}) == 4


def test_all_streams_are_apart() -> None:
    numbers = [seeds(first, target, seed) for first, target, seed in itertools.product(range(3), repeat=3)]
    assert len({number for two in numbers for number in two}) == 2 * 27


def test_overrides_change_one_setting_or_a_stage(small: str) -> None:
    everything = {"class_path": "agents.reference.memory.Everything"}
    changed = Strategy(**ORIGINAL, overrides={"agent.memory": everything, "agent.sampling.init_args.count": 12})
    before, after = Strategy(**ORIGINAL).resolved()["init_args"], changed.resolved()["init_args"]
    assert after["sampling"] == before["sampling"] | {"init_args": before["sampling"]["init_args"] | {"count": 12}}
    assert after["memory"]["class_path"] == everything["class_path"]
    assert {name for name in before if before[name] != after[name]} == {"memory", "sampling"}


def test_a_file_says_what_a_suite_is(small: str, tmp_path: Path) -> None:
    settings = plain(small)
    everything = {"class_path": "agents.reference.memory.Everything"}
    settings["strategies"]["other"] = ORIGINAL | {"overrides": {"agent.memory": everything}}
    found = read(["--config", written(tmp_path, settings), "--seeds=5"])
    assert (found.name, found.targets, found.seeds, found.checkpoints) == ("test", 2, 5, [2, 4])
    assert found.tasks == [Task("exact", 20, generator=small)]
    assert list(found.strategies) == ["original", "other"]
    assert found.agents()["other"]["init_args"]["memory"]["class_path"] == everything["class_path"]


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ([], {"lunch": 1}, "lunch"),
        ([], {"targets": 0}, "0 does not conform to restriction v>0"),
        (["tasks", 0], {"goal": 0.7}, "goal"),
        (["tasks", 0], {"smilarity": "pixels"}, "smilarity"),
        (["strategies", "original"], {"configuration": "x"}, "configuration"),
    ],
)
def test_unknown_keys_are_refused(
    place: list[Any], change: dict[str, Any], message: str, small: str, tmp_path: Path, capsys: Any
) -> None:
    settings = plain(small)
    at: Any = settings
    for name in place:
        at = at[name]
    at.update(change)
    with pytest.raises(SystemExit):
        read(["--config", written(tmp_path, settings)])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"checkpoints": [4, 2]}, r"checkpoints are \[4, 2\], expected ascending"),
        ({"checkpoints": [30]}, "task noisy: max_queries is 20, but the last checkpoint is at 30"),
        ({"tasks": []}, "tasks: expected at least one"),
        ({"tasks": [Task("a", 20), Task("a", 30)]}, "two have the same name"),
    ],
)
def test_suites_that_make_no_sense_are_refused(changed: dict[str, Any], message: str, small: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite(small, **changed)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (Strategy(), "strategy bad: expected either config or agent"),
        (Strategy(**ORIGINAL, agent={"class_path": "a.B"}), "expected either config or agent"),
        (Strategy(agent={"class_path": "nowhere.Nothing"}), "nowhere"),
        (Strategy(agent={"class_path": "agents.reference.memory.Everything"}), "Everything"),
        (Strategy(config="nowhere.yaml"), "no such config: nowhere.yaml"),
        (Strategy(**ORIGINAL, overrides={"agent.fliter.limit": 3}), "fliter"),
        (Strategy(**ORIGINAL, overrides={"agent.filter.init_args.limit": 1}), "limit is 1, expected"),
        (Strategy(**ORIGINAL, overrides={"env.goal": 0.5}), "env.goal: expected settings of the agent"),
    ],
)
def test_strategies_that_do_not_exist_are_refused(strategy: Strategy, message: str, small: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite(small, strategies={"bad": strategy}).agents()


def test_another_setting_is_another_search(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(**changed: Any) -> list[str]:
        return [cell.key for cell in suite(small, **changed).cells()]

    before = keys()
    assert len(set(before)) == len(before) == 2 * 2 * 2 * 2
    assert keys() == before
    # More targets or strategies leave those that are there as they are.
    assert set(before) < set(keys(targets=3))
    assert not set(before) & set(keys(first_seed=4))
    assert not set(before) & set(keys(checkpoints=[2, 5]))
    other = {name: Strategy(agent={"class_path": KEEPING}) for name in ("one", "other")}
    assert len(set(before) & set(keys(strategies=other))) == 8
    Path(small).write_bytes(Path(small).read_bytes() + b" ")
    assert not set(before) & set(keys())
    assert not set(before) & set(keys(slow=1.0))
    cell = next(suite(small).cells())
    assert cell.key != replace(cell, sources="others").key


def test_stages_within_stages_stay_plain_data(small: str) -> None:
    filters = [
        {"class_path": "agents.reference.filtering.HighestReward", "init_args": {"limit": 0.5}},
        {"class_path": "agents.reference.filtering.KeepAll"},
    ]
    chain = {"class_path": "agents.reference.filtering.Chain", "init_args": {"filters": filters}}
    resolved = Strategy(**ORIGINAL, overrides={"agent.filter": chain}).resolved()
    assert json.loads(json.dumps(resolved))["init_args"]["filter"]["init_args"]["filters"][0] == filters[0]


def test_whatever_an_agent_is_made_of_is_in_its_key(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, module = tmp_path / "start.safetensors", tmp_path / "own_sampling_of_this_test.py"
    start.write_bytes(b"one")
    module.write_text("from agents.reference.sampling import FromPrior\n\nclass Own(FromPrior):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {
        "a file": {
            "agent.reward": {"class_path": "agents.reference.reward.MetaLearned", "init_args": {"start": str(start)}}
        },
        "a module": {"agent.sampling": {"class_path": "own_sampling_of_this_test.Own"}},
    }
    strategies = {name: Strategy(**ORIGINAL, overrides=overrides) for name, overrides in settings.items()}
    made = Suite("one", [Task("exact", 12, generator=small)], strategies, 1, 1, 5, [12])
    before = {cell.strategy: cell.key for cell in made.cells()}
    start.write_bytes(b"other")
    between = {cell.strategy: cell.key for cell in made.cells()}
    # As in a process that begins later.
    sources_module._seen_hash.cache_clear()
    module.write_text(module.read_text() + "\n")
    after = {cell.strategy: cell.key for cell in made.cells()}
    assert before["a file"] != between["a file"] == after["a file"]
    assert before["a module"] == between["a module"] != after["a module"]
