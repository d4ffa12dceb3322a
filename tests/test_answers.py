from pathlib import Path

import numpy as np
import pytest

from pbg_env import Answer, AnswerLog, Preference


def answer(number: int, rng: np.random.Generator) -> Answer:
    first, second = rng.standard_normal((2, 5)).astype(np.float32)
    return Answer(number, first, second, Preference(number % 4))


def test_answers_come_back_as_they_were(tmp_path: Path, rng: np.random.Generator) -> None:
    given = [answer(number, rng) for number in range(6)]
    log = AnswerLog(tmp_path / "answers.sqlite")
    for one in given:
        log.add(one)
    # Without closing: another reader sees what a killed process left.
    for one, read in zip(given, AnswerLog(tmp_path / "answers.sqlite").answers(), strict=True):
        assert (one.id, one.preference) == (read.id, read.preference)
        np.testing.assert_array_equal(one.first, read.first)
        np.testing.assert_array_equal(one.second, read.second)
    log.close()


def test_an_answer_is_stored_once(tmp_path: Path, rng: np.random.Generator) -> None:
    log = AnswerLog(tmp_path / "answers.sqlite")
    log.add(answer(3, rng))
    with pytest.raises(ValueError, match="answer 3 is in the log already"):
        log.add(answer(3, rng))
    assert len(log.answers()) == 1
    log.close()


def test_another_file_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_text("nothing of the kind " * 100)
    with pytest.raises(ValueError, match="is not a log of answers"):
        AnswerLog(tmp_path / "answers.sqlite")
