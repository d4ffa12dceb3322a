"""A person behind an environment's step, whose page is driven by what its buttons send."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image

from pbg_env import Answer, AnswerLog, HumanOracle, ImageMedium, NoAnswer, Preference, PreferenceEnv, PreferencePairsEnv
from tests.web.client import PageUser, Refused
from tests.web.conftest import Colours, colours, human, meanwhile, user

__all__ = ["colours", "human", "meanwhile", "user"]

Meanwhile = Callable[..., Future[Any]]
RED, BLUE, GREEN = (np.array(noise, dtype=np.float32) for noise in ([4, -4, -4], [-4, -4, 4], [-4, 4, -4]))


def pairs_env(human: HumanOracle, colours: Colours, **told: Any) -> PreferencePairsEnv:
    env = PreferencePairsEnv(generator=colours, oracle=human, goal=None, **told)
    env.reset(seed=0)
    return env


def colour(user: PageUser, side: str) -> tuple[int, ...]:
    question = user.wait("question")["question"]
    picture = Image.open(io.BytesIO(user.medium(question[side]["picture"])))
    return tuple(np.asarray(picture)[0, 0].tolist())


def choose(user: PageUser, wanted: np.ndarray) -> str:
    """Answers with the side on which this colour is."""
    rgb = tuple((255 * (wanted / 8.0 + 0.5)).round().astype(int).tolist())
    side = next(side for side in ("left", "right") if colour(user, side) == rgb)
    user.answer(side)
    return side


def test_answers_are_of_media_whatever_side_they_were_on(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours)
    sides = set()
    for _ in range(12):
        step = meanwhile(env.step, np.stack((RED, BLUE))[None])
        sides.add(choose(user, RED))
        assert step.result()[4]["preference"].tolist() == [Preference.FIRST]
    assert sides == {"left", "right"}


@pytest.mark.parametrize(
    ("choice", "preference"), [("both_good", Preference.BOTH_GOOD), ("both_bad", Preference.BOTH_BAD)]
)
def test_both_good_and_both_bad(
    human: HumanOracle,
    user: PageUser,
    colours: Colours,
    meanwhile: Meanwhile,
    choice: str,
    preference: Preference,
) -> None:
    env = pairs_env(human, colours)
    step = meanwhile(env.step, np.stack((RED, BLUE))[None])
    user.answer(choice)
    info = step.result()[4]
    assert info["preference"].tolist() == [preference]
    assert (info["ids"].tolist(), info["queries"]) == ([0], 1)
    assert human.log is not None
    assert AnswerLog(human.log, write=False).answers()[0].preference == preference  # type: ignore[arg-type]


def test_undo_takes_the_last_answer_back(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours)
    for pair in ((RED, BLUE), (RED, GREEN)):
        step = meanwhile(env.step, np.stack(pair)[None])
        user.answer("both_good")
        step.result()
    step = meanwhile(env.step, np.stack((GREEN, BLUE))[None])
    user.undo()
    info = step.result()[4]
    assert info["preference"].tolist() == info["ids"].tolist() == [-1]
    assert info["retracted"].tolist() == [1]
    assert info["queries"] == 1
    step = meanwhile(env.step, np.stack((RED, GREEN))[None])
    user.answer("both_bad")
    info = step.result()[4]
    assert (info["ids"].tolist(), info["retracted"].tolist(), info["queries"]) == ([2], [], 2)
    log = AnswerLog(str(human.log), write=False)
    assert [answer.id for answer in log.answers()] == [0, 2]
    rows = list(log.everything())
    assert rows[1]["retracted_at"] is not None
    assert rows[2]["revises"] == 1


def test_undo_gives_the_incumbent_its_place_back(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = PreferenceEnv(generator=colours, oracle=human, goal=None)
    begun = env.reset(seed=0)[0]["incumbent"]
    for candidate in (RED, BLUE):
        step = meanwhile(env.step, candidate)
        choose(user, candidate)
        np.testing.assert_array_equal(step.result()[0]["incumbent"], candidate)
    step = meanwhile(env.step, GREEN)
    user.undo()
    np.testing.assert_array_equal(step.result()[0]["incumbent"], RED)
    step = meanwhile(env.step, GREEN)
    user.undo()
    np.testing.assert_array_equal(step.result()[0]["incumbent"], begun)
    step = meanwhile(env.step, GREEN)
    with pytest.raises(Refused, match="no answer to take back") as refused:
        user.undo()
    assert refused.value.status == 409
    user.answer("left")
    step.result()


def test_undo_within_a_step_of_several_pairs(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours, pairs_per_step=2)
    step = meanwhile(env.step, np.array([(RED, BLUE), (RED, GREEN)]))
    user.answer("both_good")
    user.undo()
    user.answer("both_bad")
    user.answer("both_good")
    info = step.result()[4]
    assert info["preference"].tolist() == [Preference.BOTH_BAD, Preference.BOTH_GOOD]
    assert (info["ids"].tolist(), info["queries"], info["retracted"].tolist()) == ([1, 2], 2, [])


@pytest.mark.parametrize("which", ["left", "right", "destination"])
def test_that_is_it_ends_the_search(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile, which: str
) -> None:
    env = pairs_env(human, colours)
    env.show(GREEN, 0.25)
    step = meanwhile(env.step, np.stack((RED, BLUE))[None])
    assert user.wait("question")["confidence"] == 0.25
    wanted = {(255, 0, 0): RED, (0, 0, 255): BLUE}.get(colour(user, which)) if which != "destination" else GREEN
    user.accept(which)
    _, _, terminated, truncated, info = step.result()
    assert (terminated, truncated, info["is_success"], info["queries"]) == (True, False, True, 0)
    np.testing.assert_array_equal(info["accepted"], wanted)
    ended = user.wait("ended")["ended"]
    assert set(ended["files"].values()) == {"found.png", "noise.npy", "answers.sqlite", "answers.parquet"}
    place = next(key for key, name in ended["files"].items() if name == "noise.npy")
    content, headers = user.send(f"/files/{place}")
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), wanted)
    assert headers["content-disposition"] == "attachment"


def test_starting_again_forgets_the_answers_and_keeps_the_medium(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours)
    for _ in range(2):
        step = meanwhile(env.step, np.stack((RED, BLUE))[None])
        user.answer("both_good")
        step.result()
    env.show(GREEN)
    step = meanwhile(env.step, np.stack((RED, BLUE))[None])
    user.restart("destination")
    info = step.result()[4]
    assert (info["retracted"].tolist(), info["queries"], info["preference"].tolist()) == ([0, 1], 0, [-1])
    np.testing.assert_array_equal(info["restart_from"], GREEN)
    log = AnswerLog(str(human.log), write=False)
    assert log.answers() == []
    assert len(list(log.everything())) == 2
    np.testing.assert_array_equal(log.restarted_from, GREEN)


def test_the_budget_ends_the_search_and_the_page_says_so(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours, max_queries=2)
    for expected in (False, True):
        step = meanwhile(env.step, np.stack((RED, BLUE))[None])
        user.answer("left")
        assert step.result()[3] is expected
    assert user.wait("ended")["ended"]["why"] == "All answers are given."


def test_no_answer_in_time_loses_nothing(tmp_path: Path, colours: Colours, meanwhile: Meanwhile) -> None:
    human = HumanOracle(tmp_path / "answers.sqlite", open_browser=False, timeout=0.05)
    env = pairs_env(human, colours)
    user = PageUser(human.address)
    action = np.stack((RED, BLUE))[None]
    with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s"):
        env.step(action)
    key = user.wait("question")["question"]["key"]
    with pytest.raises(NoAnswer):
        env.step(action)
    assert user.wait("question")["question"]["key"] == key, "the same question stays"
    user.answer("both_good")
    assert env.step(action)[4]["preference"].tolist() == [Preference.BOTH_GOOD]
    env.close()


def test_submit_and_poll(human: HumanOracle, user: PageUser, colours: Colours, rng: np.random.Generator) -> None:
    assert human.begin(colours, 10, rng) == []
    noise = np.array([(RED, BLUE), (GREEN, BLUE)])
    media = colours.generate(torch.from_numpy(noise.reshape(-1, 3))).reshape(2, 2, 3, 16, 16)
    human.submit(noise, media[:, 0], media[:, 1], rng)
    assert human.poll() is None
    user.answer("both_good")
    assert human.poll(0.2) is None, "one of two is answered"
    user.answer("both_bad")
    reply = human.poll(5.0)
    assert reply is not None
    assert reply.answers.tolist() == [Preference.BOTH_GOOD, Preference.BOTH_BAD]


def test_compare_alone(
    human: HumanOracle, user: PageUser, colours: Colours, rng: np.random.Generator, meanwhile: Meanwhile
) -> None:
    human.begin(colours, 10, rng)
    media = colours.generate(torch.from_numpy(np.stack((RED, BLUE))))
    answers = meanwhile(human.compare, media[:1], media[1:], rng)
    choose(user, BLUE)
    assert answers.result().tolist() == [Preference.SECOND]


def test_repeats_have_changed_sides_and_stay_out_of_the_search(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile
) -> None:
    env = pairs_env(human, colours, max_queries=150)
    rng = np.random.default_rng(5)

    def search() -> list[int]:
        ids = []
        for _ in range(150):
            info = env.step(rng.uniform(-4, 4, (1, 2, 3)).astype(np.float32))[4]
            ids += info["ids"].tolist()
        return ids

    asked = meanwhile(search)
    while not user.wait("version")["ended"]:
        state = user.state()
        if state["question"]:
            # By the reds: the same on whichever side.
            reds = [colour(user, side)[0] for side in ("left", "right")]
            user.answer("left" if reds[0] >= reds[1] else "right")
    rows = list(AnswerLog(str(human.log), write=False).everything())
    repeats = [row for row in rows if row["repeat_of"] is not None]
    assert 4 <= len(repeats) <= 20
    by_id = {row["id"]: row for row in rows}
    for row in repeats:
        before = by_id[row["repeat_of"]]
        assert row["first_is_left"] is not before["first_is_left"]
        assert row["first_media"] == before["first_media"]
    assert asked.result() == [row["id"] for row in rows if row["repeat_of"] is None]
    told = human.consistency()
    assert (told.repeats, told.agreed) == (len(repeats), len(repeats))
    assert told.strict == len(rows)
    assert 0.3 < told.left / told.strict < 0.7
    assert user.state()["answers"] == 150


def test_a_log_with_answers_goes_on(tmp_path: Path, colours: Colours, meanwhile: Meanwhile) -> None:
    path = tmp_path / "answers.sqlite"
    for number in range(3):
        human = HumanOracle(path, open_browser=False)
        env = PreferenceEnv(generator=colours, oracle=human, goal=None, max_queries=5)
        incumbent = env.reset(seed=number)[0]["incumbent"]
        user = PageUser(human.address)
        if number:
            np.testing.assert_array_equal(incumbent, RED)
            assert user.state()["answers"] == number
        step = meanwhile(env.step, RED)
        user.answer("both_good") if number else choose(user, RED)
        assert step.result()[4]["queries"] == number + 1
        env.close()
    human = HumanOracle(path, open_browser=False)
    env = PreferenceEnv(generator=colours, oracle=human, goal=None, max_queries=5)
    env.reset(seed=3)
    user = PageUser(human.address)
    step = meanwhile(env.step, RED)
    user.undo()
    assert step.result()[4]["retracted"].tolist() == [2], "an answer of an earlier process"
    env.close()


def test_each_search_of_an_environment_has_its_own_log(
    human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    env = pairs_env(human, colours, max_queries=1)
    for _ in range(2):
        step = meanwhile(env.step, np.stack((RED, BLUE))[None])
        user.answer("left")
        step.result()
        env.reset()
    assert len(AnswerLog(tmp_path / "answers.sqlite", write=False).answers()) == 1
    assert len(AnswerLog(tmp_path / "answers-2.sqlite", write=False).answers()) == 1


def test_by_name_with_a_log_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    env = gym.make("PBG-StackGANv2-Pairs-v0", oracle="human", goal=None, disable_env_checker=True)
    env.reset(seed=0)
    told = capsys.readouterr().err
    assert "page:        http://127.0.0.1:" in told
    assert len(list((tmp_path / "answers").glob("*.sqlite"))) == 1
    env.close()


def test_two_environments_two_ports_and_close_ends_them(tmp_path: Path, colours: Colours) -> None:
    humans = [HumanOracle(tmp_path / f"{number}.sqlite", open_browser=False) for number in range(2)]
    envs = [pairs_env(human, colours) for human in humans]
    users = [PageUser(human.address) for human in humans]
    assert users[0].base != users[1].base
    envs[0].close()
    with pytest.raises(OSError, match="refused"):
        users[0].state()
    assert users[1].state()["closed"] is False
    envs[1].close()


def test_a_target_is_shown_beside(tmp_path: Path, colours: Colours) -> None:
    Image.new("RGB", (700, 300), "teal").save(tmp_path / "target.png")
    for target, size in ((tmp_path / "target.png", (512, 219)), ("prior", (16, 16))):
        human = HumanOracle(tmp_path / f"{size}.sqlite", open_browser=False, target=target)
        env = pairs_env(human, colours)
        user = PageUser(human.address)
        assert Image.open(io.BytesIO(user.medium(user.state()["target"]))).size == size
        env.close()


def test_bad_input(tmp_path: Path, colours: Colours) -> None:
    with pytest.raises(ValueError, match="port is 70000"):
        HumanOracle(port=70000)
    with pytest.raises(ValueError, match="timeout is -1"):
        HumanOracle(timeout=-1)
    with pytest.raises(OSError, match=r"cannot serve the page at 203\.0\.113\.9:0"):
        HumanOracle(host="203.0.113.9")
    human = HumanOracle(tmp_path / "a.sqlite", open_browser=False, target=tmp_path / "none.png")
    with pytest.raises(FileNotFoundError, match="no such picture"):
        pairs_env(human, colours)
    human.close()
    with pytest.raises(ValueError, match="num_envs is 2"):
        gym.make_vec("PBG-StackGANv2-v0", num_envs=2, oracle="human")
    with pytest.raises(ValueError, match="target given, but only oracle='target'"):
        PreferencePairsEnv(generator=colours, oracle="human", target="face.png")
    first = HumanOracle(tmp_path / "b.sqlite", open_browser=False)
    second = HumanOracle(tmp_path / "b.sqlite", open_browser=False)
    pairs_env(first, colours)
    with pytest.raises(ValueError, match="is in use"):
        pairs_env(second, colours)
    first.close()
    second.close()


def test_other_machines_only_with_a_warning(tmp_path: Path, colours: Colours) -> None:
    human = HumanOracle(tmp_path / "a.sqlite", open_browser=False, host="0.0.0.0")
    with pytest.warns(UserWarning, match="open to other machines"):
        pairs_env(human, colours)
    human.close()


def test_an_answer_that_nobody_has_taken_in_is_not_lost(
    tmp_path: Path, colours: Colours, meanwhile: Meanwhile, rng: np.random.Generator
) -> None:
    human = HumanOracle(tmp_path / "answers.sqlite", open_browser=False, timeout=0.05)
    env = pairs_env(human, colours)
    user = PageUser(human.address)
    with pytest.raises(NoAnswer):
        env.step(np.stack((RED, BLUE))[None])
    user.answer("both_good")
    with pytest.raises(RuntimeError, match="asked before has been answered; ask it once more"):
        env.step(np.stack((RED, GREEN))[None])
    assert env.step(np.stack((RED, BLUE))[None])[4]["queries"] == 1
    # Without noise, by the media.
    media = colours.generate(torch.from_numpy(np.stack((RED, BLUE, GREEN))))
    with pytest.raises(NoAnswer):
        human.compare(media[:1], media[1:2], rng)
    user.answer("both_bad")
    with pytest.raises(RuntimeError, match="asked before has been answered"):
        human.compare(media[:1], media[2:], rng)
    assert human.compare(media[:1], media[1:2], rng).tolist() == [Preference.BOTH_BAD]
    env.close()


def test_what_was_begun_again_from_is_the_incumbent_of_a_later_process(
    tmp_path: Path, colours: Colours, meanwhile: Meanwhile
) -> None:
    human = HumanOracle(tmp_path / "answers.sqlite", open_browser=False)
    env = PreferenceEnv(generator=colours, oracle=human, goal=None)
    env.reset(seed=0)
    env.show(GREEN)
    user = PageUser(human.address)
    step = meanwhile(env.step, RED)
    user.restart("destination")
    np.testing.assert_array_equal(step.result()[0]["incumbent"], GREEN)
    env.close()
    human = HumanOracle(tmp_path / "answers.sqlite", open_browser=False)
    env = PreferenceEnv(generator=colours, oracle=human, goal=None)
    np.testing.assert_array_equal(env.reset(seed=1)[0]["incumbent"], GREEN)
    env.close()


def test_a_log_of_another_generator_is_refused_and_one_without_media_is_not(
    tmp_path: Path, colours: Colours, meanwhile: Meanwhile
) -> None:
    log = AnswerLog(tmp_path / "simulated.sqlite")
    log.add(Answer(0, RED, BLUE, Preference.FIRST))
    log.close()
    human = HumanOracle(tmp_path / "simulated.sqlite", open_browser=False)
    env = pairs_env(human, colours)
    step = meanwhile(env.step, np.stack((RED, GREEN))[None])
    user = PageUser(human.address)
    assert user.state()["answers"] == 1
    user.undo()
    assert step.result()[4]["retracted"].tolist() == [0]
    step = meanwhile(env.step, np.stack((RED, GREEN))[None])
    user.answer("left")
    step.result()
    env.close()
    with pytest.raises(RuntimeError, match="the page is closed"):
        env = pairs_env(human, colours)

    class Wider(Colours):
        media = ImageMedium(32)

    human = HumanOracle(tmp_path / "simulated.sqlite", open_browser=False)
    with pytest.raises(ValueError, match="holds answers about another generator"):
        pairs_env(human, Wider())
    human.close()


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_confidence_is_a_share(human: HumanOracle, colours: Colours, confidence: float) -> None:
    env = pairs_env(human, colours)
    with pytest.raises(ValueError, match=r"confidence is .*expected 0 to 1"):
        env.show(GREEN, confidence)
    env.show(GREEN, np.float32(0.5))
