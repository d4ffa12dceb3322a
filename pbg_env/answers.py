"""The durable log of answers: what a person has answered is on disk before anybody is told so, and stays there."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pbg_env.answers_schema import CREATE, FORMER_COLUMNS, STANDS, VERSION
from pbg_env.preference import Answer, Preference

# How much of a simulated search a kill may cost; its answers can be had again.
_BATCH_SECONDS = 1.0


class File(NamedTuple):
    """A medium as it was shown to a person."""

    type: str
    """Its MIME type, such as "image/png"."""
    content: bytes

    @property
    def id(self) -> str:
        """The name of its content, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


class Seen(NamedTuple):
    """How a person met a question."""

    media: tuple[File, File]
    """First and second."""
    first_is_left: bool
    seconds: float
    """From when both were to be seen until the answer."""
    repeat_of: int | None = None
    """Number of the answer that the question was asked before for; it is kept out of `AnswerLog.answers`."""
    revises: int | None = None
    """Number of the answer to the same question that was taken back before."""


class Mark(NamedTuple):
    """Something a person has said about one medium."""

    kind: str
    """"restart": begin again from here; "accepted": that is it."""
    noise: NDArray[np.float32]
    """(noise_dim,)."""


class LogInUse(ValueError):
    """Another process, or another object of this one, writes in the log."""


class AnswerLog:
    """Sessions, questions, answers, and what was taken back, of one search in an SQLite file. Nothing is ever changed
    or removed; noise is stored as little-endian float32.

    What a person has seen is stored with the answer, and is on disk, through a loss of power, before the call returns
    (rollback journal, `synchronous=EXTRA`, which works on network file systems too). Answers of simulated users are
    written in batches of a second.

    Args:
        path: of the file, which is made when missing.
        write: whether answers are to be added; one object at a time may.

    Raises:
        LogInUse: somebody else writes there.
        FileNotFoundError: it is to be read and is not there.
        ValueError: the file is there and is no log of answers.
    """

    def __init__(self, path: str | Path, *, write: bool = True) -> None:
        self.path = Path(path)
        if not write and not self.path.exists():
            raise FileNotFoundError(f"no log of answers: {self.path}; give the answers.sqlite of a run")
        self._lock = _only_writer(self.path) if write else None
        self._guard = threading.RLock()
        try:
            self._connection = sqlite3.connect(self.path, check_same_thread=False)
        except sqlite3.OperationalError as error:
            if self._lock is not None:
                self._lock.close()
            raise ValueError(f"{self.path} is not a log of answers ({error})") from error
        self._session: int | None = None
        self._about: str | None = None
        self._written = time.monotonic()
        try:
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._prepare(write)
        except sqlite3.DatabaseError as error:
            self._abandon()
            raise ValueError(f"{self.path} is not a log of answers ({error})") from error
        except ValueError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Closes it as it was found."""
        if self._connection.in_transaction:
            self._connection.rollback()
        self.close()

    def _prepare(self, write: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise ValueError(
                f"{self.path} is a log of answers of version {version}, and this package knows version {VERSION}; "
                f"update it"
            )
        if version == VERSION:
            return
        before = [row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if before not in ([], ["answers"]):
            raise ValueError(f"{self.path} is not a log of answers: it holds the tables {', '.join(before)}")
        if not write:
            raise ValueError(f"{self.path} is empty, or of an earlier version; open it once to write, which updates it")
        # The first version had one table of answers.
        former = []
        if before:
            columns = tuple(row[1] for row in self._connection.execute("PRAGMA table_info(answers)"))
            if columns != FORMER_COLUMNS:
                raise ValueError(f"{self.path} is not a log of answers: its table has the columns {', '.join(columns)}")
            former = self._connection.execute("SELECT * FROM answers ORDER BY id").fetchall()
        renamed = "ALTER TABLE answers RENAME TO former_answers;" if before else ""
        self._connection.executescript(f"BEGIN; {renamed} {CREATE}")
        for number, first, second, preference, answered_at in former:
            question = self._insert("questions", first=first, second=second)
            self._insert(
                "answers", id=number, question=question, preference=preference, answered_at=answered_at, seconds=None
            )
        self._connection.execute(f"PRAGMA user_version = {VERSION}")
        self._connection.commit()

    def begin(self, about: Mapping[str, Any]) -> None:
        """Begins a session, which all that is added from now on belongs to; it is stored with the first of that.

        Args:
            about: anything that JSON can hold: of which generator, with which prior, asked by whom.
        """
        with self._guard:
            self._session, self._about = None, json.dumps(about)

    @property
    def next_id(self) -> int:
        """The number that the next answer should have."""
        with self._guard:
            highest = self._connection.execute("SELECT MAX(id) FROM answers").fetchone()[0]
            return 0 if highest is None else highest + 1

    def add(self, answer: Answer, seen: Seen | None = None) -> None:
        """Stores one answer: a person's, of which is told how it was seen, before this returns; others in a while.

        Raises:
            ValueError: its number is in the log already.
            OSError: it cannot be written, such as on a full disk; the log is as it was.
        """
        with self._guard:
            if self._connection.execute("SELECT 1 FROM answers WHERE id = ?", (answer.id,)).fetchone():
                raise ValueError(f"answer {answer.id} is in the log already")
            if seen is not None:
                with self._durably():
                    self._add(answer, seen)
                return
            try:
                self._add(answer, None)
            except sqlite3.OperationalError as error:
                raise self._unwritten(error) from error
            if time.monotonic() - self._written > _BATCH_SECONDS:
                self.flush()

    def _known_session(self) -> int | None:
        """The session's number, which it gets here."""
        if self._session is None and self._about is not None:
            self._session = self._insert("sessions", about=self._about)
        return self._session

    def _add(self, answer: Answer, seen: Seen | None) -> None:
        first, second = _stored(answer.first), _stored(answer.second)
        session = self._known_session()
        if seen is None:
            question = self._insert("questions", session=session, first=first, second=second)
            self._insert("answers", id=answer.id, question=question, preference=int(answer.preference))
            return
        for file in seen.media:
            self._insert("media", or_ignore=True, id=file.id, type=file.type, content=file.content)
        shown_at = time.time() - seen.seconds
        question = self._insert(
            "questions",
            session=session,
            first=first,
            second=second,
            first_media=seen.media[0].id,
            second_media=seen.media[1].id,
            first_is_left=int(seen.first_is_left),
            shown_at=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(shown_at)) + f".{int(shown_at % 1 * 1000):03}Z",
            repeat_of=seen.repeat_of,
        )
        self._insert(
            "answers",
            id=answer.id,
            question=question,
            preference=int(answer.preference),
            seconds=seen.seconds,
            revises=seen.revises,
        )

    def retract(self, ids: Iterable[int]) -> None:
        """Stores, for good, that answers were taken back.

        Raises:
            ValueError: one that is not there, or was taken back before.
            OSError: it cannot be written; the log is as it was.
        """
        numbers = [int(number) for number in ids]
        with self._guard:
            for number in numbers:
                known = self._connection.execute("SELECT 1 FROM answers WHERE id = ?", (number,)).fetchone()
                gone = self._connection.execute("SELECT 1 FROM retractions WHERE answer = ?", (number,)).fetchone()
                if not known or gone:
                    raise ValueError(f"answer {number} is not in the log, or was taken back already")
            with self._durably():
                for number in numbers:
                    self._insert("retractions", answer=number)

    def mark(self, kind: str, noise: NDArray[np.float32]) -> None:
        """Stores, for good, what a person said of one medium; from a "restart" on, `answers` begins anew.

        Raises:
            OSError: it cannot be written; the log is as it was.
        """
        with self._guard, self._durably():
            session = self._known_session()
            self._insert("marks", session=session, kind=kind, noise=_stored(noise), answers=self.next_id)

    def answers(self) -> list[Answer]:
        """The answers that stand, in the order of their numbers: those since the last restart, without the ones taken
        back and without repeats."""
        query = f"""
            SELECT answers.id, questions.first, questions.second, answers.preference
            FROM answers JOIN questions ON questions.id = answers.question
            WHERE questions.repeat_of IS NULL AND {STANDS} ORDER BY answers.id
        """
        with self._guard:
            rows = self._connection.execute(query).fetchall()
        return [
            Answer(number, _read(first), _read(second), Preference(preference))
            for number, first, second, preference in rows
        ]

    @property
    def last_mark(self) -> Mark | None:
        """The last thing a person has said of one medium."""
        return self._last_mark("TRUE")

    @property
    def restarted_from(self) -> NDArray[np.float32] | None:
        """The noise (noise_dim,) that the search began again from, or None where it did not."""
        mark = self._last_mark("kind = 'restart'")
        return None if mark is None else mark.noise

    def _last_mark(self, which: str) -> Mark | None:
        query = f"SELECT kind, noise FROM marks WHERE {which} ORDER BY id DESC LIMIT 1"
        with self._guard:
            row = self._connection.execute(query).fetchone()
        return None if row is None else Mark(row[0], _read(row[1]))

    def sessions(self) -> list[dict[str, Any]]:
        """What the sessions were about, in their order."""
        with self._guard:
            return [json.loads(row[0]) for row in self._connection.execute("SELECT about FROM sessions ORDER BY id")]

    def everything(self, *, media: bool = True) -> Iterator[dict[str, Any]]:
        """Every answer ever given, in the order of their numbers, with all that is known of it.

        Each has `id`, `session`, `about` (of the session), `first`, `second` (noise), `preference`, `first_media`,
        `second_media` (`File`s), `first_is_left`, `shown_at`, `answered_at`, `seconds`, `repeat_of`, `revises`,
        `retracted_at`, and `stands` (neither taken back nor from before a restart); None where it is not known.

        Args:
            media: with them, or with None in their place.
        """
        for told in self._rows("TRUE", ()):
            yield self._with_media(told) if media else told | {"first_media": None, "second_media": None}

    def row(self, number: int) -> dict[str, Any]:
        """One answer as `everything` has it.

        Raises:
            ValueError: it is not in the log.
        """
        found = self._rows("answers.id = ?", (number,))
        if not found:
            raise ValueError(f"answer {number} is not in the log")
        return self._with_media(found[0])

    def _rows(self, which: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Answers as `everything` has them, with the names of media."""
        query = f"""
            SELECT answers.id, questions.session, sessions.about, questions.first, questions.second, answers.preference,
                questions.first_media, questions.second_media, questions.first_is_left, questions.shown_at,
                answers.answered_at, answers.seconds, questions.repeat_of, answers.revises, retractions.retracted_at,
                ({STANDS}) AS stands
            FROM answers JOIN questions ON questions.id = answers.question
            LEFT JOIN sessions ON sessions.id = questions.session
            LEFT JOIN retractions ON retractions.answer = answers.id
            WHERE {which} ORDER BY answers.id
        """
        with self._guard, closing(self._connection.cursor()) as cursor:
            rows = cursor.execute(query, values).fetchall()
            names = [column[0] for column in cursor.description]
        found = []
        for row in rows:
            told = dict(zip(names, row, strict=True))
            told["about"] = json.loads(told["about"]) if told["about"] else None
            told["first"], told["second"] = _read(told["first"]), _read(told["second"])
            told["preference"] = Preference(told["preference"])
            for name in ("first_is_left", "stands"):
                told[name] = None if told[name] is None else bool(told[name])
            found.append(told)
        return found

    def _with_media(self, told: dict[str, Any]) -> dict[str, Any]:
        files = {name: told[name] for name in ("first_media", "second_media")}
        return told | {name: None if file is None else self._file(file) for name, file in files.items()}

    def _file(self, name: str) -> File:
        with self._guard:
            return File(*self._connection.execute("SELECT type, content FROM media WHERE id = ?", (name,)).fetchone())

    def flush(self) -> None:
        """Writes what waits to be.

        Raises:
            OSError: it cannot be written.
        """
        with self._guard:
            try:
                self._connection.commit()
            except sqlite3.OperationalError as error:
                raise self._unwritten(error) from error
            self._written = time.monotonic()

    def close(self) -> None:
        """Writes what waits to be, and lets others write; may be called again."""
        with self._guard:
            try:
                if self._lock is not None and self._connection.in_transaction:
                    self._connection.commit()
            except sqlite3.ProgrammingError:
                # It is closed already.
                return
            except sqlite3.DatabaseError as error:
                raise self._unwritten(error) from error
            finally:
                self._connection.close()
                if self._lock is not None:
                    self._lock.close()

    @contextmanager
    def _durably(self) -> Iterator[None]:
        """What is added in the block is on disk at its end, or not there at all."""
        try:
            self._connection.commit()
            yield
            self._connection.commit()
        except sqlite3.OperationalError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: Exception) -> OSError:
        self._connection.rollback()
        # It may have been stored with what is taken back.
        self._session = None
        return OSError(f"cannot write to {self.path} ({error}); make room there and answer again, nothing is lost")

    def _insert(self, table: str, *, or_ignore: bool = False, **values: Any) -> int:
        places = ", ".join("?" * len(values))
        ignoring = "OR IGNORE " if or_ignore else ""
        statement = f"INSERT {ignoring}INTO {table} ({', '.join(values)}) VALUES ({places})"
        return int(self._connection.execute(statement, tuple(values.values())).lastrowid or 0)


def _stored(noise: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(noise, dtype="<f4").tobytes()


def _read(stored: bytes) -> NDArray[np.float32]:
    # Arrays of a buffer cannot be written to, which PyTorch warns of.
    return np.frombuffer(stored, "<f4").copy()


def _only_writer(path: Path) -> sqlite3.Connection:
    """Keeps other writers out for as long as this process lives, on every system, and lets readers in."""
    try:
        connection = sqlite3.connect(path.with_name(f".{path.name}.lock"), timeout=0, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise OSError(
            f"cannot write to {path.parent} ({error}); give a folder that exists and can be written"
        ) from error
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise LogInUse(f"{path} is in use: a run is still writing there; wait for it, or stop it first") from error
    return connection
