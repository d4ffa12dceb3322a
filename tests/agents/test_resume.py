"""Runs that were killed or interrupted go on to where they would have come to by themselves."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.record import Record
from agents.reference.__main__ import main
from pbg_env import AnswerLog
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import CONFIGS

QUERIES = 30
PICTURES = ("progress.png", "questions.png", "destination.webp", "destination.png")
KILLED_AFTER = """
import os, signal, sys
from agents.reference.__main__ import main
from pbg_env import AnswerLog

add = AnswerLog.add
def add_and_die(log, answer):
    add(log, answer)
    if answer.id == 20:
        os.kill(os.getpid(), signal.SIGKILL)
AnswerLog.add = add_and_die
main(sys.argv[1:])
"""


@pytest.fixture
def small(checkpoint: Callable[..., Path]) -> str:
    return str(checkpoint())


def arguments(small: str, folder: Path) -> list[str]:
    settings = ["--agent.sampling.count=12", "--agent.pairing.limit=4", "--agent.stop.init_args.rounds=null"]
    env = ["--env.generator", small, f"--env.max_queries={QUERIES}", "--env.goal=null", "--env.teacher=noisy"]
    original = str(CONFIGS / "original.yaml")
    return ["--config", original, *settings, *env, "--seed=7", "--quiet", "--out", str(folder)]


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch, at: int, times: int = 1) -> None:
    """While answer `at` is stored."""
    add = AnswerLog.add

    def add_and_press(log: AnswerLog, answer: object) -> None:
        add(log, answer)  # type: ignore[arg-type]
        for _ in range(times if answer.id == at else 0):  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(AnswerLog, "add", add_and_press)


def read_answers(folder: Path) -> list[tuple[object, ...]]:
    log = AnswerLog(folder / "answers.sqlite")
    answers = [(each.id, each.first.tobytes(), each.second.tobytes(), each.preference) for each in log.answers()]
    log.close()
    return answers


def read_rounds(folder: Path) -> list[dict[str, str]]:
    rows = csv.DictReader((folder / "rounds.csv").read_text().splitlines())
    return [
        {name: value for name, value in row.items() if name.split("/")[0] not in ("seconds", "time")} for row in rows
    ]


def read_summary(folder: Path) -> dict[str, object]:
    return json.loads((folder / "summary.json").read_text()) | {"seconds": 0}  # type: ignore[no-any-return]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_same_run(folder: Path, other: Path) -> None:
    assert read_answers(folder) == read_answers(other)
    assert read_rounds(folder) == read_rounds(other)
    assert read_summary(folder) == read_summary(other)
    assert (folder / "destination.npy").read_bytes() == (other / "destination.npy").read_bytes()
    for name in PICTURES:
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    logged = []
    for each in (folder, other):
        events = EventAccumulator(str(each), size_guidance={"images": 0}).Reload()
        scores = [(event.step, event.value) for event in events.Scalars("destination/score")]
        images = [(event.step, event.encoded_image_string) for event in events.Images("media/destination")]
        logged.append((scores, images))
    assert logged[0] == logged[1]


def test_a_killed_run_is_readable_and_goes_on(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "killed"
    process = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER, *arguments(small, folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    summary = read_summary(folder)
    assert summary["stopped_because"] == "running"
    assert summary["rounds"] == len(read_rounds(folder)) > 0
    assert np.load(folder / "destination.npy").shape == (6,)
    before = read_answers(folder)
    main(["--resume", str(folder), "--quiet"])
    assert f"after {QUERIES} answers" in capsys.readouterr().out
    assert len(before) <= 21, "answers of simulated users are written in batches"
    assert read_answers(folder)[: len(before)] == before
    main(arguments(small, tmp_path / "whole"))
    assert_same_run(folder, tmp_path / "whole")


def test_ctrl_c_stops_after_the_step_and_the_run_goes_on(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at=17)
        main(arguments(small, folder))
    summary = read_summary(folder)
    assert (summary["stopped_because"], summary["queries"]) == ("interrupted", 18)
    assert all((folder / name).is_file() for name in PICTURES)
    assert f"-m agents.reference --resume {folder}" in capsys.readouterr().out
    main(["--resume", str(folder), "--quiet"])
    main(arguments(small, tmp_path / "whole"))
    assert_same_run(folder, tmp_path / "whole")

    before = contents(folder)
    main(["--resume", str(folder)])
    assert "has ended already (stopped: budget)" in capsys.readouterr().out
    assert contents(folder) == before


def test_ctrl_c_pressed_twice_aborts_at_once_and_the_run_goes_on(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at=3, times=2)
        with pytest.raises(SystemExit, match="aborted; every answer is kept, go on with"):
            main(arguments(small, folder))
    assert signal.getsignal(signal.SIGINT) is before
    assert len(read_answers(folder)) == 4
    assert not (folder / "summary.json").exists()
    main(["--resume", str(folder), "--quiet"])
    assert read_summary(folder)["queries"] == QUERIES


def change_log(statement: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        connection = sqlite3.connect(folder / "answers.sqlite")
        with connection:
            # The log keeps itself from being changed, and a damaged disk does not ask it.
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute(statement)
        connection.close()

    return change


def change_settings(**settings: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        for place in (config, config["env"]):
            place |= {name: value for name, value in settings.items() if name in place}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    return change


OF_ANSWER = "(SELECT answers.id FROM answers WHERE answers.question = questions.id)"
TAMPERED: list[tuple[Callable[[Path], object], str]] = [
    (
        change_log("UPDATE answers SET preference = (preference + 1) % 2 WHERE id = 5"),
        "answer 5 does not come out again",
    ),
    (
        change_log(f"UPDATE questions SET first = second WHERE {OF_ANSWER} = 12"),
        r"answer 12 .* component 0 of the first noise, now",
    ),
    (change_log(f"UPDATE questions SET first = x'0000' WHERE {OF_ANSWER} = 3"), "answers.sqlite is damaged"),
    (change_log("UPDATE answers SET preference = 9 WHERE id = 3"), "answers.sqlite is damaged"),
    (change_log("DELETE FROM answers WHERE id = 4"), "holds answer 5 where 4 was expected"),
    (change_settings(seed=8), "answer 0 does not come out again.*the configuration, the code or the machine differ"),
    (change_settings(max_queries=10), r"answer 10 .* the end of the search \(budget\)"),
    (change_settings(max_queries="many"), "config.yaml is damaged"),
    (lambda folder: (folder / "config.yaml").write_text("agent: ["), "config.yaml is damaged"),
    (lambda folder: (folder / "config.yaml").write_text("- 1"), "config.yaml is damaged"),
    (lambda folder: (folder / "config.yaml").unlink(), "holds no run: there is no"),
    (lambda folder: (folder / "summary.json").write_text("{"), "summary.json is damaged; remove it"),
]


def test_what_does_not_come_out_again_stops_and_changes_nothing(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at=14)
        main(arguments(small, tmp_path / "run"))
    for number, (tamper, message) in enumerate(TAMPERED):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", folder)
        tamper(folder)
        before = contents(folder)
        with pytest.raises(SystemExit, match=f"^error: .*{message}"):
            main(["--resume", str(folder), "--quiet"])
        assert contents(folder) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed=3"], "takes no others beside --quiet; leave out --seed=3"),
        (["--env.goal", "0.5"], "leave out --env.goal 0.5"),
        ([], "nowhere holds no run"),
    ],
)
def test_only_a_run_is_resumed_and_only_as_it_was(more: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        main(["--resume=nowhere", *more])


def test_two_processes_do_not_write_in_one_folder(generator: StackGANGenerator, tmp_path: Path) -> None:
    record = Record(tmp_path / "run", generator.media, {})
    with pytest.raises(ValueError, match=r"answers\.sqlite is in use: a run is still writing there"):
        Record(tmp_path / "run", generator.media, {}, resume=True)
    record.close()
    Record(tmp_path / "run", generator.media, {}, resume=True).close()
