"""The loop with a person: undo, beginning again, going on after an interruption, and working ahead."""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable
from concurrent.futures import Future
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.base import Agent
from agents.dueling_bandit import DuelingBandit
from agents.evolution import CMA, OneBitMomentum, OnePlusOne
from agents.foresight import Foresight
from agents.particles import ParticleAgent
from agents.particles.__main__ import main as particles_main
from agents.posterior.__main__ import main as posterior_main
from agents.posterior.agent import PosteriorAgent
from agents.random_search import RandomSearch
from agents.record import Record, Summary
from agents.reference.__main__ import main as reference_main
from agents.run import run
from pbg_env import HumanOracle, Preference, PreferencePairsEnv
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.web.server import Server
from tests.agents.conftest import agent_from
from tests.web.client import PageUser
from tests.web.conftest import meanwhile

__all__ = ["meanwhile"]

Meanwhile = Callable[..., Future[Any]]
CHOICES = ("left", "right", "both_good", "both_bad")

AGENTS: dict[str, Callable[[], Agent]] = {
    "particles": lambda: ParticleAgent(dimensions=6, particles=24),
    "posterior": lambda: PosteriorAgent(dimensions=6),
    "reference": lambda: agent_from("reference"),
    "one-bit": OneBitMomentum,
    "random": RandomSearch,
}
MORE: dict[str, Callable[[], Agent]] = {"one plus one": OnePlusOne, "cma": CMA, "bandit": DuelingBandit}


class Searching:
    """A run in another thread, and its page."""

    def __init__(
        self, agent: Agent, generator: StackGANGenerator, folder: Path, meanwhile: Meanwhile, **told: Any
    ) -> None:
        self.agent = agent
        self.folder = folder
        self.human = HumanOracle(open_browser=False)
        self.user = PageUser(self.human.address)
        env = PreferencePairsEnv(1, generator, oracle=self.human, goal=None, **{"max_queries": 60} | told)
        record = Record(folder, generator.media, {}, resume=folder.exists(), person=True)
        self.done = meanwhile(self._run, env, record)

    def _run(self, env: PreferencePairsEnv, record: Record) -> Summary:
        try:
            return run(self.agent, env, record, 0, quiet=True)
        finally:
            env.close()

    def question(self) -> tuple[str, str]:
        """The pair on the page, whatever sides it is on."""
        question = self.user.wait("question")["question"]
        one, other = sorted((question["left"]["picture"], question["right"]["picture"]))
        return one, other

    def answer(self, number: int) -> None:
        """Answers by the pictures alone, so that the sides do not matter."""
        question = self.user.wait("question")["question"]
        sides = {question[side]["picture"]: side for side in ("left", "right")}
        choice = [sides[min(sides)], sides[max(sides)], "both_good", "both_bad"][number % 4]
        self.user.post("/answer", key=question["key"], choice=choice, seconds=0.1)

    def stop(self) -> Summary:
        """As Ctrl-C does, while a question is on the page."""
        self.user.wait("question")
        self.human.interrupt()
        summary: Summary = self.done.result(timeout=60)
        return summary


@pytest.fixture(autouse=True)
def no_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats are drawn, and would make two searches differ that are to be held against each other."""
    monkeypatch.setattr("pbg_env.oracles.human._REPEAT_EVERY", 10**9)


@pytest.mark.parametrize("name", AGENTS)
def test_undo_over_three_answers_is_as_if_they_were_never_given(
    name: str, generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    used = Searching(AGENTS[name](), generator, tmp_path / "used", meanwhile)
    for number in (0, 1, 2, 3, 1, 0, 0, 1):
        used.answer(number)
    questions = []
    for _ in range(3):
        used.user.undo()
        questions.append(used.question())
    assert len(set(questions)) == 3
    for number in (1, 2):
        used.answer(number)
    assert used.stop().stopped_because == "interrupted"
    plain = Searching(AGENTS[name](), generator, tmp_path / "plain", meanwhile)
    for number in (0, 1, 2, 3, 1, 1, 2):
        plain.answer(number)
    assert plain.question() == used_question(used)
    assert plain.stop().queries == used.done.result().queries == 7
    np.testing.assert_array_equal(used.agent.destination, plain.agent.destination)
    np.testing.assert_array_equal(used.agent.act(None), plain.agent.act(None))


def used_question(searching: Searching) -> tuple[str, str]:
    """What would be asked next, as the page names it."""
    from pbg_env.web.files import shown

    space = PreferencePairsEnv(1, searching.agent._beginning[0])  # type: ignore[index]
    media = space.generate(searching.agent.act(None)[0])
    one, other = sorted(shown(space.generator.media, medium).picture.id for medium in media)
    return one, other


@pytest.mark.parametrize("name", AGENTS)
def test_an_interrupted_search_goes_on_from_its_log(
    name: str, generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    first = Searching(AGENTS[name](), generator, tmp_path / "run", meanwhile)
    for number in (0, 1, 2, 3, 0):
        first.answer(number)
    first.user.undo()
    first.answer(1)
    assert (first.stop().queries, first.done.result().stopped_because) == (5, "interrupted")
    # As they are now: observing more would change them.
    destination, question = first.agent.destination, first.agent.act(None)
    again = Searching(AGENTS[name](), generator, tmp_path / "run", meanwhile)
    assert again.user.wait("question")["answers"] == 5
    np.testing.assert_array_equal(again.agent.destination, destination)
    np.testing.assert_array_equal(again.agent.act(None), question)
    again.user.undo()
    assert again.user.wait("question")["answers"] == 4, "an answer from before can be taken back"
    again.answer(2)
    again.answer(0)
    again.user.accept("destination")
    summary = again.done.result(timeout=60)
    assert (summary.queries, summary.stopped_because) == (6, "satisfied")
    rows = list(csv.DictReader((tmp_path / "run" / "rounds.csv").read_text().splitlines()))
    # Five from before, one taken back, two more.
    assert name == "reference" or [int(row["queries"]) for row in rows] == [1, 2, 3, 4, 5, 5, 6]
    ended = again.human._session.state(0)
    assert ended is not None
    drawn = {"progress.png", "questions.png", "destination.webp"}
    assert set(ended["ended"]["files"].values()) == drawn | {
        "found.png",
        "noise.npy",
        "answers.sqlite",
        "answers.parquet",
    }
    assert (tmp_path / "run" / "questions.png").is_file()


@pytest.mark.parametrize("name", AGENTS)
def test_beginning_again_keeps_the_medium_in_mind(
    name: str, generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    searching = Searching(AGENTS[name](), generator, tmp_path / "run", meanwhile)
    for number in (0, 1, 0, 1):
        searching.answer(number)
    searching.user.wait("question")
    kept = searching.agent.destination
    searching.user.restart("destination")
    state = searching.user.wait("question")
    assert state["answers"] == 0
    expected = AGENTS[name]()
    space = PreferencePairsEnv(1, generator)
    expected.reset(generator, space.discriminator, searching.agent._beginning[2])  # type: ignore[index]
    expected.restart(kept)
    np.testing.assert_array_equal(searching.agent.act(None), expected.act(None))
    searching.answer(0)
    searching.stop()
    again = Searching(AGENTS[name](), generator, tmp_path / "run", meanwhile)
    assert again.user.wait("question")["answers"] == 1
    np.testing.assert_array_equal(again.agent.act(None), searching.agent.act(None))
    again.stop()


@pytest.mark.parametrize("name", AGENTS | MORE)
def test_working_ahead_changes_nothing(name: str, generator: StackGANGenerator) -> None:
    make = (AGENTS | MORE)[name]
    agent, plain = make(), make()
    for one in (agent, plain):
        one.reset(generator, None, 3)
    # More than a generation of an evolution's.
    for number, preference in enumerate((0, 1, 2, 3, 0, 1) * (1 if name in AGENTS else 5)):
        question = plain.act(None)
        foresight = Foresight(agent, question, number)
        while len(foresight._known) < 4 and foresight._thread.is_alive():
            threading.Event().wait(0.01)
        np.testing.assert_array_equal(agent.act(None), question)
        foreseen = foresight.take(Preference(preference), number)
        assert foreseen is not None
        agent.become(foreseen)
        plain.observe(question, np.array([preference]), [number])
        np.testing.assert_array_equal(agent.destination, plain.destination)
        np.testing.assert_array_equal(agent.act(None), plain.act(None))
    agent.retract([4, 5])
    plain.retract([4, 5])
    np.testing.assert_array_equal(agent.act(None), plain.act(None))


def test_work_ahead_that_fails_is_told_of(generator: StackGANGenerator) -> None:
    agent = RandomSearch()
    agent.reset(generator, None, 0)

    def full() -> None:
        raise OSError("no space left")

    foresight = Foresight(agent, agent.act(None), 0, [full])
    with pytest.raises(OSError, match="no space left"):
        foresight.take(Preference.FIRST, 0)


def test_a_copy_shares_the_generator_and_nothing_else(generator: StackGANGenerator) -> None:
    agent = PosteriorAgent(dimensions=6)
    agent.reset(generator, None, 0)
    question, before = agent.act(None), agent.destination
    twin = deepcopy(agent)
    assert twin._beginning is not None
    assert twin._beginning[0] is generator
    twin.observe(question, np.array([0]), [0])
    np.testing.assert_array_equal(agent.destination, before)
    assert not np.array_equal(twin.destination, before)


def test_restarting_leans_towards_what_is_kept(generator: StackGANGenerator) -> None:
    space = PreferencePairsEnv(1, generator)
    rng = np.random.default_rng(2)
    nearer = []
    for seed in range(4):
        kept = rng.standard_normal(generator.noise_dim).astype(np.float32)
        agent = PosteriorAgent(dimensions=6)
        agent.reset(generator, None, seed)
        media = [space.generate(noise[None]) for noise in (kept, agent.destination)]
        agent.restart(kept)
        media.append(space.generate(agent.destination[None]))
        before, after = ((media[0] - other).square().mean().sqrt() for other in media[1:])
        nearer.append(float(after / before))
    assert np.mean(nearer) < 0.6


@pytest.mark.parametrize("name", AGENTS | MORE)
def test_a_restart_begins_at_what_is_kept(name: str, generator: StackGANGenerator) -> None:
    agent = (AGENTS | MORE)[name]()
    agent.reset(generator, None, 1)
    rng = np.random.default_rng(3)
    kept = rng.standard_normal(generator.noise_dim).astype(np.float32)
    before = float(np.linalg.norm(agent.destination - kept))
    agent.restart(kept)
    assert agent.rounds == 0
    assert np.linalg.norm(agent.destination - kept) < 0.8 * before
    # Taking the only answer back leads there again, and not to the very beginning.
    destination, question = agent.destination.copy(), agent.act(None)
    agent.observe(question, np.array([1]), [0])
    agent.retract([0])
    np.testing.assert_array_equal(agent.destination, destination)
    np.testing.assert_array_equal(agent.act(None), question)


@pytest.mark.parametrize("last", ["answer", "accept"])
def test_a_search_that_was_killed_at_its_end_ends_when_it_is_resumed(
    last: str, generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    searching = Searching(RandomSearch(), generator, tmp_path / "run", meanwhile, max_queries=3)
    for number in (0, 1):
        searching.answer(number)
    if last == "answer":
        searching.answer(0)
    else:
        searching.user.accept("left")
    ended = searching.done.result(timeout=60)
    kept = np.load(tmp_path / "run" / "destination.npy")
    # As a kill before the last page leaves it.
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "progress.png").unlink()
    again = Searching(RandomSearch(), generator, tmp_path / "run", meanwhile, max_queries=3)
    summary = again.done.result(timeout=60)
    assert (summary.queries, summary.stopped_because) == (ended.queries, ended.stopped_because)
    np.testing.assert_array_equal(np.load(tmp_path / "run" / "destination.npy"), kept)
    assert (tmp_path / "run" / "progress.png").is_file()


def test_ctrl_c_before_the_question_is_there_is_not_lost(
    generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    searching = Searching(RandomSearch(), generator, tmp_path / "run", meanwhile)
    searching.user.wait("question")
    searching.answer(0)
    searching.human.interrupt()
    assert searching.done.result(timeout=60).stopped_because == "interrupted"


def test_the_generator_is_nobody_elses_while_work_is_done_ahead(
    generator: StackGANGenerator, tmp_path: Path, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, clashes = threading.Lock(), []
    generate = StackGANGenerator.generate

    def alone(self: StackGANGenerator, noise: Any) -> Any:
        if not busy.acquire(blocking=False):
            clashes.append(threading.current_thread().name)
            return generate(self, noise)
        try:
            return generate(self, noise)
        finally:
            busy.release()

    monkeypatch.setattr(StackGANGenerator, "generate", alone)
    searching = Searching(PosteriorAgent(dimensions=6), generator, tmp_path / "run", meanwhile)
    for number in (0, 1, 0, 1, 2, 3):
        searching.answer(number)
    searching.stop()
    assert clashes == []


@pytest.mark.parametrize("program", ["particles", "posterior", "reference"])
def test_the_command_opens_one_page(
    program: str,
    checkpoint: Callable[..., Path],
    tmp_path: Path,
    meanwhile: Meanwhile,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[Server] = []
    ready = threading.Event()
    make = Server.__init__

    def made(self: Server, *arguments: Any, **told: Any) -> None:
        make(self, *arguments, **told)
        opened.append(self)
        ready.set()

    monkeypatch.setattr(Server, "__init__", made)
    monkeypatch.delenv("DISPLAY", raising=False)
    mains = {"particles": particles_main, "posterior": posterior_main, "reference": reference_main}
    env = ["--env.oracle", "human", "--env.generator", str(checkpoint()), "--env.device", "cpu"]
    done = meanwhile(mains[program], [*env, "--out", str(tmp_path / "run"), "--quiet"])
    assert ready.wait(60)
    user = PageUser(opened[0].address)
    user.answer("left")
    user.accept("right")
    user.wait("ended")
    user.post("/leave")
    done.result(timeout=60)
    assert len(opened) == 1
    told = capsys.readouterr()
    assert "after 1 answers" in told.out
    assert "press “Finish” there" in told.err
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["page"]["host"] == "127.0.0.1"
