from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pbg_env import Answer, AnswerLog, LogInUse, Preference
from pbg_env.answers import File, Seen
from pbg_env.exports import export_answers, export_chosen, main, read_answers
from pbg_env.generators.stackgan_v2.model import StackGANGenerator

PNG = File("image/png", b"\x89PNG first")
OTHER = File("image/png", b"\x89PNG second")


def answer(number: int, rng: np.random.Generator) -> Answer:
    first, second = rng.standard_normal((2, 6)).astype(np.float32)
    return Answer(number, first, second, Preference(number % 4))


def assert_same(given: list[Answer], read: list[Answer]) -> None:
    for one, other in zip(given, read, strict=True):
        assert (one.id, one.preference) == (other.id, other.preference)
        np.testing.assert_array_equal(one.first, other.first)
        np.testing.assert_array_equal(one.second, other.second)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def test_answers_come_back_as_they_were(path: Path, rng: np.random.Generator) -> None:
    given = [answer(number, rng) for number in range(6)]
    log = AnswerLog(path)
    for one in given:
        log.add(one)
    log.close()
    assert_same(given, AnswerLog(path, write=False).answers())


def test_a_persons_answer_is_there_at_once_and_another_reader_sees_it(path: Path, rng: np.random.Generator) -> None:
    given = [answer(number, rng) for number in range(3)]
    log = AnswerLog(path)
    log.begin({"asked": "a person"})
    for one in given:
        log.add(one, Seen((PNG, OTHER), first_is_left=False, seconds=1.5))
        assert_same(given[: one.id + 1], AnswerLog(path, write=False).answers())
    row = list(AnswerLog(path, write=False).everything())[2]
    assert (row["first_media"], row["second_media"], row["first_is_left"], row["seconds"]) == (PNG, OTHER, False, 1.5)
    assert (row["session"], row["about"]) == (1, {"asked": "a person"})
    assert row["shown_at"] < row["answered_at"]
    media = sqlite3.connect(path).execute("SELECT COUNT(*) FROM media").fetchone()
    assert media == (2,), "each medium once"
    log.close()


def test_what_was_taken_back_stays_and_stands_no_more(path: Path, rng: np.random.Generator) -> None:
    log = AnswerLog(path)
    given = [answer(number, rng) for number in range(6)]
    for one in given:
        log.add(one, Seen((PNG, OTHER), True, 1.0, repeat_of=1 if one.id == 3 else None))
    log.retract([4])
    assert_same([given[0], given[1], given[2], given[5]], log.answers())
    log.mark("restart", given[0].first)
    assert log.answers() == []
    log.add(answer(6, rng))
    assert [one.id for one in log.answers()] == [6]
    assert log.next_id == 7
    np.testing.assert_array_equal(log.restarted_from, given[0].first)
    assert log.last_mark is not None
    assert log.last_mark.kind == "restart"
    assert [row["stands"] for row in log.everything()] == [False] * 6 + [True]
    for wrong in (4, 17):
        with pytest.raises(ValueError, match=f"answer {wrong} is not in the log, or was taken back already"):
            log.retract([wrong])
    log.close()


def test_an_answer_is_stored_once(path: Path, rng: np.random.Generator) -> None:
    log = AnswerLog(path)
    log.add(answer(3, rng))
    with pytest.raises(ValueError, match="answer 3 is in the log already"):
        log.add(answer(3, rng))
    assert len(log.answers()) == 1
    log.close()


@pytest.mark.parametrize("statement", ["DELETE FROM answers", "UPDATE answers SET preference = 1"])
def test_the_log_is_append_only(path: Path, rng: np.random.Generator, statement: str) -> None:
    log = AnswerLog(path)
    log.add(answer(0, rng))
    log.close()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sqlite3.connect(path).execute(statement)


def test_one_writer(path: Path) -> None:
    log = AnswerLog(path)
    for write in ("from pbg_env import AnswerLog; AnswerLog({!r})",):
        process = subprocess.run([sys.executable, "-c", write.format(str(path))], capture_output=True, check=False)
        assert b"is in use: a run is still writing there; wait for it, or stop it first" in process.stderr
    with pytest.raises(LogInUse):
        AnswerLog(path)
    log.close()
    AnswerLog(path).close()


def test_a_full_disk_loses_nothing(path: Path, rng: np.random.Generator) -> None:
    log = AnswerLog(path)
    log.add(answer(0, rng), Seen((PNG, OTHER), True, 1.0))
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = File("image/png", rng.bytes(100_000))
    with pytest.raises(OSError, match=r"cannot write to .*full.*make room there and answer again, nothing is lost"):
        log.add(answer(1, rng), Seen((large, OTHER), True, 1.0))
    log._connection.execute("PRAGMA max_page_count = 100000")
    assert [one.id for one in log.answers()] == [0]
    log.add(answer(1, rng), Seen((large, OTHER), True, 1.0))
    assert [one.id for one in AnswerLog(path, write=False).answers()] == [0, 1]
    log.close()


def test_a_log_of_the_first_version_is_taken_over(path: Path, rng: np.random.Generator) -> None:
    given = [answer(number, rng) for number in range(3)]
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE answers (id INTEGER PRIMARY KEY, first BLOB NOT NULL, second BLOB NOT NULL, "
        "preference INTEGER NOT NULL, answered_at TEXT NOT NULL DEFAULT 'then')"
    )
    for one in given:
        values = (one.id, one.first.tobytes(), one.second.tobytes(), int(one.preference))
        connection.execute("INSERT INTO answers (id, first, second, preference) VALUES (?, ?, ?, ?)", values)
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match="of an earlier version; open it once to write"):
        AnswerLog(path, write=False)
    log = AnswerLog(path)
    assert_same(given, log.answers())
    assert next(log.everything())["answered_at"] == "then"
    log.close()


def test_another_file_is_no_log(path: Path, tmp_path: Path) -> None:
    path.write_text("nothing of the kind " * 100)
    with pytest.raises(ValueError, match="is not a log of answers"):
        AnswerLog(path)
    with pytest.raises(FileNotFoundError, match="no log of answers"):
        AnswerLog(tmp_path / "none.sqlite", write=False)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE songs (id INTEGER)")
    other.commit()
    other.close()
    with pytest.raises(ValueError, match="it holds the tables songs"):
        AnswerLog(tmp_path / "other.sqlite")
    later = AnswerLog(tmp_path / "later.sqlite")
    later._connection.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(ValueError, match="version 9, and this package knows version 1"):
        AnswerLog(tmp_path / "later.sqlite")
    for columns in ("id INTEGER", "id, first, second, preference, answered_at, more"):
        (tmp_path / "other.sqlite").unlink()
        other = sqlite3.connect(tmp_path / "other.sqlite")
        other.execute(f"CREATE TABLE answers ({columns})")
        other.commit()
        other.close()
        content = (tmp_path / "other.sqlite").read_bytes()
        with pytest.raises(ValueError, match="its table has the columns id"):
            AnswerLog(tmp_path / "other.sqlite")
        assert (tmp_path / "other.sqlite").read_bytes() == content, "it is as it was"
    with pytest.raises(ValueError, match="is not a log of answers"):
        AnswerLog(tmp_path)
    with pytest.raises(OSError, match="cannot write to"):
        AnswerLog(tmp_path / "nowhere" / "answers.sqlite")


def test_tables_for_others(path: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    import pyarrow.parquet

    given = [answer(number, rng) for number in range(8)]
    log = AnswerLog(path)
    log.begin({"prior": "standard normal truncated at ±4"})
    for one in given:
        log.add(one, Seen((PNG, OTHER), True, 1.0, repeat_of=1 if one.id == 6 else None))
    log.retract([5])
    assert export_answers(log, tmp_path / "answers.parquet") == 8
    assert_same([one for one in given if one.id not in (5, 6)], read_answers(tmp_path / "answers.parquet"))
    rows = pyarrow.parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert [row["preference"] for row in rows] == ["FIRST", "SECOND", "BOTH_GOOD", "BOTH_BAD"] * 2
    assert rows[0]["first_media"] == {"type": "image/png", "bytes": PNG.content}
    assert "truncated at" in rows[0]["about"]
    for name in ("answers", "chosen"):
        export_chosen(log, tmp_path / "chosen.parquet")
        metadata = pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet").metadata
        assert json.loads(metadata[b"pbg_env.sessions"]) == [{"prior": "standard normal truncated at ±4"}]
    assert export_chosen(log, tmp_path / "chosen.parquet") == 3, "strict answers that stand, without the repeat"
    rows = pyarrow.parquet.read_table(tmp_path / "chosen.parquet").to_pylist()
    assert [row["id"] for row in rows] == [0, 1, 4]
    assert [row["chosen"]["bytes"] for row in rows] == [PNG.content, OTHER.content, PNG.content]
    np.testing.assert_array_equal(np.float32(rows[1]["chosen_noise"]), given[1].second)
    np.testing.assert_array_equal(np.float32(rows[1]["rejected_noise"]), given[1].first)
    log.close()


def test_media_of_simulated_answers_are_made_again(
    path: Path, tmp_path: Path, rng: np.random.Generator, generator: StackGANGenerator
) -> None:
    import pyarrow.parquet

    log = AnswerLog(path)
    log.add(answer(0, rng))
    with pytest.raises(ValueError, match=r"holds no media of answer 0.*name the generator"):
        export_chosen(log, tmp_path / "chosen.parquet")
    assert export_chosen(log, tmp_path / "chosen.parquet", generator) == 1
    row = pyarrow.parquet.read_table(tmp_path / "chosen.parquet").to_pylist()[0]
    assert row["chosen"]["bytes"].startswith(b"\x89PNG")
    log.close()


def test_the_command(path: Path, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    log = AnswerLog(path)
    log.add(answer(0, rng))
    log.close()
    main([str(path), str(tmp_path / "answers.parquet")])
    assert "1 answers in" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"error: .*name the generator"):
        main([str(path), str(tmp_path / "chosen.parquet"), "--form", "chosen"])
    with pytest.raises(SystemExit, match="error: the table would take the place of the log"):
        main([str(path), str(path)])
    with pytest.raises(SystemExit, match="error: no log of answers"):
        main([str(tmp_path / "none.sqlite"), str(tmp_path / "answers.parquet")])
    (tmp_path / "wrong.parquet").write_text("nothing")
    with pytest.raises(ValueError, match="is no table of answers"):
        read_answers(tmp_path / "wrong.parquet")
