"""The durable log of answers: each is on disk before the next question is asked."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from pbg_env.preference import Answer, Preference

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY,
    first BLOB NOT NULL,
    second BLOB NOT NULL,
    preference INTEGER NOT NULL,
    answered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


class AnswerLog:
    """Questions and answers of one search in an SQLite file; noise is stored as little-endian float32.

    Args:
        path: of the file, which is made when missing.

    Raises:
        ValueError: the file is there and is no log of answers.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        try:
            self._connection.execute(_SCHEMA)
            self._connection.commit()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ValueError(f"{path} is not a log of answers ({error})") from error

    def add(self, answer: Answer) -> None:
        """Stores one answer for good.

        Raises:
            ValueError: its id was stored before.
        """
        first, second = (np.ascontiguousarray(noise, dtype="<f4").tobytes() for noise in (answer.first, answer.second))
        try:
            with self._connection:
                self._connection.execute(
                    "INSERT INTO answers (id, first, second, preference) VALUES (?, ?, ?, ?)",
                    (answer.id, first, second, int(answer.preference)),
                )
        except sqlite3.IntegrityError as error:
            raise ValueError(f"answer {answer.id} is in the log already") from error

    def answers(self) -> list[Answer]:
        """All answers in the order of their ids."""
        rows = self._connection.execute("SELECT id, first, second, preference FROM answers ORDER BY id").fetchall()
        return [
            Answer(number, np.frombuffer(first, "<f4"), np.frombuffer(second, "<f4"), Preference(preference))
            for number, first, second, preference in rows
        ]

    def close(self) -> None:
        self._connection.close()
