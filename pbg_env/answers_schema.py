"""The tables of a log of answers, in SQLite."""

from __future__ import annotations

VERSION = 1
_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_SCHEMA = f"""
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    started_at TEXT NOT NULL DEFAULT ({_NOW}),
    about TEXT NOT NULL
);
CREATE TABLE media (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY,
    session INTEGER REFERENCES sessions,
    first BLOB NOT NULL,
    second BLOB NOT NULL,
    first_media TEXT REFERENCES media,
    second_media TEXT REFERENCES media,
    first_is_left INTEGER,
    shown_at TEXT,
    repeat_of INTEGER REFERENCES answers
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    question INTEGER NOT NULL REFERENCES questions,
    preference INTEGER NOT NULL,
    answered_at TEXT NOT NULL DEFAULT ({_NOW}),
    seconds REAL,
    revises INTEGER REFERENCES answers
);
CREATE TABLE retractions (
    answer INTEGER PRIMARY KEY REFERENCES answers,
    retracted_at TEXT NOT NULL DEFAULT ({_NOW})
);
CREATE TABLE marks (
    id INTEGER PRIMARY KEY,
    session INTEGER REFERENCES sessions,
    kind TEXT NOT NULL,
    noise BLOB NOT NULL,
    answers INTEGER NOT NULL,
    marked_at TEXT NOT NULL DEFAULT ({_NOW})
);
"""
_TABLES = ("sessions", "media", "questions", "answers", "retractions", "marks")
# What is written stays: a table refuses to be changed in any other way.
_APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_{action.lower()} BEFORE {action} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the log of answers is append-only'); END;\n"
    for table in _TABLES
    for action in ("UPDATE", "DELETE")
)
FORMER_COLUMNS = ("id", "first", "second", "preference", "answered_at")
STANDS = """
    answers.id NOT IN (SELECT answer FROM retractions)
    AND answers.id >= (SELECT COALESCE(MAX(answers), 0) FROM marks WHERE kind = 'restart')
"""
"""Whether an answer was neither taken back nor given before a restart."""

CREATE = _SCHEMA + _APPEND_ONLY
