"""The server killed with SIGKILL at random moments under a scripted user: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from pbg_env import AnswerLog, Preference
from tests.web.client import PageUser, Refused

ANSWERS = 2000
SEARCH = f"""
import sys
from pathlib import Path
from agents.random_search import RandomSearch
from agents.record import Record
from agents.run import run
from pbg_env import HumanOracle, PreferencePairsEnv
from tests.web.conftest import Colours

folder, address = Path(sys.argv[1]), Path(sys.argv[2])
human = HumanOracle(open_browser=False)
env = PreferencePairsEnv(1, Colours(), oracle=human, goal=None, max_queries={ANSWERS})
record = Record(folder, Colours.media, {{}}, resume=folder.exists(), person=True)
address.with_suffix(".new").write_text(human.address)
address.with_suffix(".new").replace(address)
run(RandomSearch(), env, record, 0, quiet=True)
"""


class Scripted(threading.Thread):
    """Answers whatever is asked as fast as it can, at whatever address stands in the file, and keeps what was
    acknowledged: left, right and the choice."""

    def __init__(self, address: Path) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[tuple[str, str, str]] = []
        self.begun = threading.Event()
        self.enough = False
        self._address = address
        self._rng = random.Random(1)

    def run(self) -> None:
        while not self.enough:
            try:
                user = PageUser(self._address.read_text())
                while not self.enough:
                    self._answer(user, user.state())
            except (OSError, HTTPException, Refused):
                time.sleep(0.02)

    def _answer(self, user: PageUser, state: dict) -> None:  # type: ignore[type-arg]
        question = state["question"]
        if question is None:
            time.sleep(0.002)
            return
        choice = self._rng.choice(["left", "right", "both_good", "both_bad"])
        user.post("/answer", key=question["key"], choice=choice, seconds=0.1)
        self.acknowledged.append((question["left"]["picture"], question["right"]["picture"], choice))
        self.begun.set()


def stored(log: AnswerLog) -> list[tuple[str, str, str]]:
    """What the log holds, as the user saw it."""
    found = []
    for row in log.everything():
        sides = [row["first_media"].id, row["second_media"].id]
        choice = {Preference.BOTH_GOOD: "both_good", Preference.BOTH_BAD: "both_bad"}.get(row["preference"])
        if choice is None:
            choice = "left" if (row["preference"] == Preference.FIRST) == row["first_is_left"] else "right"
        left, right = sides if row["first_is_left"] else reversed(sides)
        found.append((left, right, choice))
    return found


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_every_acknowledged_answer_is_there_and_none_twice(tmp_path: Path, kills: int) -> None:
    rng = random.Random(kills)
    address, folder = tmp_path / "address", tmp_path / "run"
    user = Scripted(address)
    user.start()
    survived = []
    for _ in range(kills):
        user.begun.clear()
        process = subprocess.Popen(
            [sys.executable, "-c", SEARCH, str(folder), str(address)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        went_on = user.begun.wait(60)
        time.sleep(rng.uniform(0.0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert went_on
        survived.append(len(user.acknowledged))
    user.enough = True
    user.join()
    log = AnswerLog(folder / "answers.sqlite")
    found = stored(log)
    rest = iter(found)
    assert all(answer in rest for answer in user.acknowledged), "in the order in which they were given"
    assert len(user.acknowledged) <= len(found) <= len(user.acknowledged) + kills
    ids = [row["id"] for row in log.everything()]
    assert ids == list(range(len(found)))
    assert len(log.answers()) == len([row for row in log.everything() if row["repeat_of"] is None])
    assert survived == sorted(set(survived)), "the search went on after every kill"
    log.close()
    print(f"{kills} kills, {len(user.acknowledged)} answers acknowledged, {len(found)} stored")
