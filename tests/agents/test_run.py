"""Runs from the command line: their folder, their ends, their mistakes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.base import Agent
from agents.particles.__main__ import main as run_particles
from agents.posterior.__main__ import main as run_posterior
from agents.record import Record
from agents.reference.__main__ import main, parser
from agents.run import run as run_agent
from pbg_env import Answer, AnswerLog, Discriminator, Generator, PreferencePairsEnv, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import CONFIGS

ORIGINAL = str(CONFIGS / "original.yaml")
QUICK = ["--agent.sampling.count=12", "--agent.pairing.limit=4", "--agent.stop.init_args.rounds=null", "--quiet=true"]


@pytest.fixture
def small(checkpoint: Callable[..., Path]) -> str:
    return str(checkpoint())


def read_rounds(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "rounds.csv").read_text().splitlines()))


def picture_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def run(*arguments: str) -> None:
    main(["--config", ORIGINAL, *QUICK, *arguments])


@pytest.fixture
def threads() -> Iterator[None]:
    """PyTorch's number, put back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_one_thread_unless_told(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(3)
    arguments = ["--env.generator", small, "--env.max_queries=4", "--env.goal=null"]
    run(*arguments, "--out", str(tmp_path / "one"))
    assert torch.get_num_threads() == 1
    run(*arguments, "--out", str(tmp_path / "two"), "--threads=2")
    assert torch.get_num_threads() == 2
    with pytest.raises(SystemExit):
        run(*arguments, "--out", str(tmp_path / "none"), "--threads=0")
    assert "--threads" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_folder_of_a_run(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    run("--env.generator", small, "--env.max_queries=30", "--env.goal=null", "--out", str(folder), "--seed=5")
    printed = capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"score", "queries", "rounds", "seconds", "seed", "stopped_because"}
    assert (summary["queries"], summary["seed"], summary["stopped_because"]) == (30, 5, "budget")
    assert f"score {summary['score']:.3f} after 30 answers" in printed
    assert str(folder / "progress.png") in printed
    log = AnswerLog(folder / "answers.sqlite")
    answers = log.answers()
    log.close()
    assert [answer.id for answer in answers] == list(range(30))
    rounds = read_rounds(folder)
    assert len(rounds) == summary["rounds"] > 2
    assert [int(row["round"]) for row in rounds] == list(range(1, len(rounds) + 1))
    assert np.load(folder / "destination.npy").shape == (6,)
    assert picture_size(folder / "destination.png") == (64, 64)
    assert picture_size(folder / "progress.png")[0] > 4 * 128
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    assert {
        *("reward/preference_loss", "reward/accuracy", "destination/action_loss", "destination/norm"),
        *("destination/score", "time/round", "time/agent", "time/environment"),
        *("preference/first", "preference/second", "preference/both_good", "preference/both_bad"),
    } <= set(events.Tags()["scalars"])
    assert {
        *("media/start", "media/target", "media/destination", "media/asked"),
        *("media/best_rated", "media/worst_rated", "media/progress", "media/questions"),
    } == set(events.Tags()["images"])
    assert len(events.Images("media/destination")) == len(rounds)
    assert [event.step for event in events.Scalars("destination/score")] == [
        *(int(row["queries"]) for row in rounds),
        *([] if rounds[-1]["queries"] == "30" else [30]),
    ]
    assert (folder / "questions.png").is_file()
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(events.summary_metadata)


@pytest.mark.parametrize(("goal", "ending"), [("0.05", "satisfied"), ("null", "budget")])
def test_no_goal_never_ends_early(goal: str, ending: str, small: str, tmp_path: Path) -> None:
    run("--env.generator", small, "--env.max_queries=30", f"--env.goal={goal}", "--out", str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["stopped_because"] == ending
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["env"]["goal"] == yaml.safe_load(goal)


def test_sounds_are_searched_saved_and_logged(tmp_path: Path) -> None:
    """By the reference agent as it is: everything that pictures need is the medium's business."""
    settings = ["--agent.mover.init_args.steps=3", "--env.max_queries=6", "--env.goal=null", "--quiet=true"]
    sounds = ["--env.generator=tones", "--env.similarity=features"]
    main(["--config", str(CONFIGS / "reference.yaml"), *settings, *sounds, "--out", str(tmp_path / "run")])
    medium = load_generator("tones").media
    noise = np.load(tmp_path / "run" / "destination.npy")
    made = load_generator("tones").generate(torch.from_numpy(noise)[None])[0]
    read = medium.read(tmp_path / "run" / "destination.wav")
    torch.testing.assert_close(read, made, atol=1e-4, rtol=0)
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert {"media/start", "media/target", "media/destination"} <= set(events.Tags()["audio"])
    assert "media/destination/spectrogram" in events.Tags()["images"]


@pytest.mark.parametrize(
    ("name", "program", "few"),
    [
        ("posterior", run_posterior, ["--agent.probes=8", "--agent.mirrored=30"]),
        ("particles", run_particles, ["--agent.particles=24"]),
    ],
)
def test_other_agents_have_the_same_command_line(
    name: str,
    program: Callable[[list[str]], None],
    few: list[str],
    small: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"
    few = [*few, "--env.max_queries=6", "--env.goal=null", "--quiet"]
    program(["--config", str(CONFIGS / f"{name}.yaml"), *few, "--env.generator", small, "--out", str(folder)])
    assert "after 6 answers" in capsys.readouterr().out
    assert yaml.safe_load((folder / "config.yaml").read_text())["agent"]["show"] == 0.2
    assert len(read_rounds(folder)) == 6
    # A run that was killed goes on to the same result.
    destination = np.load(folder / "destination.npy")
    (folder / "summary.json").unlink()
    program(["--resume", str(folder), "--quiet"])
    np.testing.assert_array_equal(np.load(folder / "destination.npy"), destination)


def test_the_config_in_the_folder_repeats_the_run(small: str, tmp_path: Path) -> None:
    run("--env.generator", small, "--env.max_queries=20", "--env.goal=null", "--out", str(tmp_path / "a"), "--seed=2")
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert config["env"]["generator"] == small
    main(["--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")])
    one, other = (json.loads((tmp_path / name / "summary.json").read_text()) for name in "ab")
    assert one | {"seconds": 0} == other | {"seconds": 0}
    for name in ("destination.npy", "destination.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_satisfied_the_oracle_is_the_destination(small: str, tmp_path: Path) -> None:
    run("--env.generator", small, "--env.goal=0.2", "--out", str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["stopped_because"] == "satisfied"
    assert summary["score"] >= 0.2
    assert summary["queries"] < 500


def test_the_agents_last_round_ends_the_run(small: str, tmp_path: Path) -> None:
    run("--env.generator", small, "--env.goal=null", "--agent.stop.init_args.rounds=2", "--out", str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["stopped_because"], summary["rounds"]) == ("rounds", 2)


def test_a_target_of_another_size_and_mode(small: str, tmp_path: Path) -> None:
    Image.new("LA", (1000, 700), (90, 200)).save(tmp_path / "grey.png")
    run("--env.generator", small, "--env.target", str(tmp_path / "grey.png"), "--env.max_queries=8", "--out",
        str(tmp_path / "run"))  # fmt: skip
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert 0 < summary["queries"] <= 8
    assert summary["score"] <= 1


def test_an_oracle_without_a_score(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--env.generator", small, "--env.oracle=random", "--env.max_queries=20", "--out", str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["score"] is None
    assert "no score after 20 answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env.generator=nowhere.pth"], "error: no such checkpoint: nowhere.pth"),
        (["--env.target=nowhere.png"], "error: target: no such picture: nowhere.png"),
        (["--env.max_queries=0"], "error: max_queries is 0"),
        (["--agent.filter.limit=1"], "limit is 1, expected a whole number of at least 2"),
        (["--agent.fliter.limit=3"], "fliter"),
        (["--env.goals=1"], "goals"),
        (["--config=nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_mistakes_end_with_a_sentence(
    small: str, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = [] if arguments[0].startswith("--env.generator") else ["--env.generator", small]
    with pytest.raises(SystemExit) as stop:
        run(*generator, "--out", str(tmp_path / "run"), *arguments)
    assert message in f"{stop.value}{capsys.readouterr().err}"
    assert stop.value.code not in (0, None)


def test_a_folder_that_holds_a_run_is_not_overwritten(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--env.generator", small, "--env.max_queries=4", "--out", str(tmp_path / "run"))
    run(*arguments)
    before = (tmp_path / "run" / "answers.sqlite").read_bytes()
    with pytest.raises(SystemExit, match="holds a run already; give another folder with --out"):
        run(*arguments)
    assert (tmp_path / "run" / "answers.sqlite").read_bytes() == before


class FarAway(Agent):
    """Asks about noise out of range."""

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self.learnt: list[Answer] = []

    def _learn(self, answer: Answer) -> None:
        self.learnt.append(answer)

    def _question(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full(6, 9.0, dtype=np.float32), np.full(6, -9.0, dtype=np.float32)

    @property
    def destination(self) -> np.ndarray:
        return np.zeros(6, dtype=np.float32)


class Resting(FarAway):
    """Is done after two answers."""

    def _learn(self, answer: Answer) -> None:
        super()._learn(answer)
        self.finished, self.finished_because = len(self.learnt) == 2, "no movement"


def test_an_agent_says_why_it_is_finished(generator: StackGANGenerator, tmp_path: Path) -> None:
    env = PreferencePairsEnv(1, generator, goal=None)
    summary = run_agent(Resting(), env, Record(tmp_path / "run", generator.media, {}), seed=0, quiet=True)
    assert (summary.stopped_because, summary.queries) == ("no movement", 2)


def test_printed_settings_are_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--config", ORIGINAL, "--env.max_queries=7", "--print_config"])
    assert stop.value.code == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    line = parser()
    printed = line.parse_args(["--config", str(tmp_path / "printed.yaml")])
    config = line.parse_args(["--config", ORIGINAL, "--env.max_queries=7"])
    assert (printed.agent, printed.env, printed.seed) == (config.agent, config.env, config.seed)
    assert printed.env.max_queries == 7


def test_help_names_the_strategies_of_a_stage_and_their_settings(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--agent.filter.help"])
    listed = capsys.readouterr().out
    assert "agent.filter is one of" in listed
    assert {"KeepAll", "HighestReward"} <= {line.split()[0] for line in listed.splitlines()}
    with pytest.raises(SystemExit) as stop:
        main(["--agent.filter.help=HighestReward"])
    assert stop.value.code == 0
    assert "--agent.filter.limit" in capsys.readouterr().out


def test_what_is_learnt_is_what_was_shown(generator: StackGANGenerator, tmp_path: Path) -> None:
    agent, env = FarAway(), PreferencePairsEnv(1, generator, goal=None, max_queries=2)
    run_agent(agent, env, Record(tmp_path / "run", generator.media, {}), seed=0, quiet=True)
    assert all((answer.first == 4).all() and (answer.second == -4).all() for answer in agent.learnt)
    log = AnswerLog(tmp_path / "run" / "answers.sqlite")
    assert all((answer.first == 4).all() for answer in log.answers())
    log.close()


def test_an_imperfect_oracle_is_satisfied_by_what_it_was_shown(generator: StackGANGenerator, tmp_path: Path) -> None:
    """It may have named the other one of the pair, or called them both good."""

    class Aimed(PreferencePairsEnv):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            return super().reset(seed=seed, options={"target": np.full(6, 0.5)})

    class AboutTheTarget(FarAway):
        def _question(self) -> tuple[np.ndarray, np.ndarray]:
            return np.full(6, -1.0, dtype=np.float32), np.full(6, 0.5, dtype=np.float32)

    for teacher in ({"mistake": 0.99}, {"equal": 1000.0}):
        env = Aimed(1, generator, teacher=teacher, goal=0.9)  # type: ignore[arg-type]
        folder = tmp_path / "-".join(teacher)
        summary = run_agent(AboutTheTarget(), env, Record(folder, generator.media, {}), seed=0, quiet=True)
        assert (summary.stopped_because, summary.queries) == ("satisfied", 1)
        assert summary.score == pytest.approx(1)
        np.testing.assert_allclose(np.load(folder / "destination.npy"), 0.5)


@pytest.mark.parametrize("arguments", [["--seed=-1"], ["--agent.filter.class_path=MostUncertain"]], ids=str)
def test_a_run_that_could_not_begin_leaves_its_folder_free(arguments: list[str], small: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(SystemExit, match="error: "):
        run("--env.generator", small, "--out", str(folder), *arguments)
    assert not folder.exists()
    run("--env.generator", small, "--out", str(folder), "--env.max_queries=4")
    assert (folder / "summary.json").exists()
