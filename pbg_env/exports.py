"""Logs of answers as tables for others: `python -m pbg_env.exports answers.sqlite answers.parquet`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pbg_env.answers import AnswerLog, File
from pbg_env.generators.base import Generator
from pbg_env.generators.loading import load_generator
from pbg_env.generators.showing import show
from pbg_env.preference import Answer, Preference

FORMS = ("answers", "chosen")
_ABOUT = "pbg_env.sessions"


def export_answers(log: AnswerLog, path: Path, generator: Generator | None = None) -> int:
    """Writes every answer ever given as Parquet, one row each, and returns their number.

    Columns: `id`, `session`, `about` (JSON of the session), `first`, `second` (noise, lists of floats), `preference`
    ("FIRST", "SECOND", "BOTH_GOOD", "BOTH_BAD"), `first_media`, `second_media` (`type`, `bytes`), `first_is_left`,
    `shown_at`, `answered_at` (UTC), `seconds` (looked at), `repeat_of`, `revises` (numbers of other answers),
    `retracted_at`, `stands`. What is not known is null. What the sessions were about, such as the prior, stands in the
    file's metadata as well, as "pbg_env.sessions" (JSON).

    Args:
        log: of answers.
        path: of the file.
        generator: makes media that the log does not hold, as those of simulated users.
    """
    rows = []
    for row in log.everything():
        media = dict(zip(("first_media", "second_media"), _media(row, generator), strict=True))
        noise = {name: row[name].tolist() for name in ("first", "second")}
        about = None if row["about"] is None else json.dumps(row["about"])
        rows.append(row | noise | media | {"about": about, "preference": row["preference"].name})
    return _write(path, rows, _answer_columns(), log.sessions())


def export_chosen(log: AnswerLog, path: Path, generator: Generator | None = None) -> int:
    """Writes the answers that stand and name one medium as pairs of a chosen and a rejected one, and returns their
    number: the form that libraries of preference training read.

    Columns: `prompt` (empty: generators are without conditions), `chosen`, `rejected` (media as `bytes` and `path`, the
    way Hugging Face's `datasets` holds pictures and sounds), `chosen_noise`, `rejected_noise` (lists of floats), `id`;
    metadata as in `export_answers`.

    Raises:
        ValueError: the log does not hold the media, and no generator is given.
    """
    rows = []
    for row in log.everything():
        if not row["stands"] or row["repeat_of"] is not None:
            continue
        if row["preference"] not in (Preference.FIRST, Preference.SECOND):
            continue
        sides = [
            {"noise": row[name].tolist(), "medium": medium}
            for name, medium in zip(("first", "second"), _media(row, generator), strict=True)
        ]
        if any(side["medium"] is None for side in sides):
            raise ValueError(
                f"{log.path} holds no media of answer {row['id']}, as is so with simulated users; name the generator "
                f"that made them"
            )
        chosen, rejected = sides if row["preference"] == Preference.FIRST else reversed(sides)
        rows.append(
            {
                "prompt": "",
                "chosen": {"bytes": chosen["medium"]["bytes"], "path": None},
                "rejected": {"bytes": rejected["medium"]["bytes"], "path": None},
                "chosen_noise": chosen["noise"],
                "rejected_noise": rejected["noise"],
                "id": row["id"],
            }
        )
    return _write(path, rows, _chosen_columns(), log.sessions())


def read_answers(path: str | Path) -> list[Answer]:
    """The answers that stand in what `export_answers` wrote, for an agent to observe.

    Raises:
        ValueError: the file is no such table.
        FileNotFoundError: there is no such file.
    """
    import pyarrow
    import pyarrow.parquet

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such table of answers: {path}")
    names = ["id", "first", "second", "preference", "stands", "repeat_of"]
    try:
        rows = pyarrow.parquet.read_table(path, columns=names).to_pylist()
        return [
            Answer(
                row["id"],
                np.array(row["first"], dtype=np.float32),
                np.array(row["second"], dtype=np.float32),
                Preference[row["preference"]],
            )
            for row in rows
            if row["stands"] and row["repeat_of"] is None
        ]
    except (pyarrow.ArrowException, KeyError) as error:
        raise ValueError(f"{path} is no table of answers that export_answers wrote ({error})") from error


def _media(row: dict[str, Any], generator: Generator | None) -> list[dict[str, Any] | None]:
    """First and second as they were shown, or made again."""
    known: list[File | None] = [row["first_media"], row["second_media"]]
    if None in known and generator is not None:
        from pbg_env.web.files import shown

        made = show(generator, np.stack((row["first"], row["second"])))
        known = [shown(generator.media, medium).medium for medium in made]
    return [None if file is None else {"type": file.type, "bytes": file.content} for file in known]


def _answer_columns() -> dict[str, Any]:
    import pyarrow as pa

    noise, medium = pa.list_(pa.float32()), pa.struct([("type", pa.string()), ("bytes", pa.binary())])
    return {
        **{"id": pa.int64(), "session": pa.int64(), "about": pa.string(), "first": noise, "second": noise},
        **{"preference": pa.string(), "first_media": medium, "second_media": medium, "first_is_left": pa.bool_()},
        **{"shown_at": pa.string(), "answered_at": pa.string(), "seconds": pa.float64(), "repeat_of": pa.int64()},
        **{"revises": pa.int64(), "retracted_at": pa.string(), "stands": pa.bool_()},
    }


def _chosen_columns() -> dict[str, Any]:
    import pyarrow as pa

    noise, medium = pa.list_(pa.float32()), pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return {
        **{"prompt": pa.string(), "chosen": medium, "rejected": medium},
        **{"chosen_noise": noise, "rejected_noise": noise, "id": pa.int64()},
    }


def _write(path: Path, rows: list[dict[str, Any]], columns: dict[str, Any], sessions: list[dict[str, Any]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet

    metadata = {_ABOUT: json.dumps(sessions)}
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items()), metadata=metadata))
    unfinished = path.with_name(f".{path.name}.unfinished")
    pyarrow.parquet.write_table(table, unfinished)
    unfinished.replace(path)
    return len(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    line = argparse.ArgumentParser(prog="python -m pbg_env.exports", description="Writes a log of answers as Parquet.")
    line.add_argument("log", type=Path, help="answers.sqlite of a run")
    line.add_argument("table", type=Path, help="file to write, such as answers.parquet")
    line.add_argument("--form", choices=FORMS, default=FORMS[0], help="all answers, or pairs of chosen and rejected")
    line.add_argument(
        "--generator", help="makes the media that the log does not hold: an embedded model or a checkpoint"
    )
    told = line.parse_args(arguments)
    try:
        if told.table.resolve() == told.log.resolve():
            raise ValueError(f"the table would take the place of the log {told.log}; give another file")
        generator = None if told.generator is None else load_generator(told.generator)
        log = AnswerLog(told.log, write=False)
        try:
            count = (export_answers if told.form == "answers" else export_chosen)(log, told.table, generator)
        finally:
            log.close()
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{count} answers in {told.table}")


if __name__ == "__main__":
    main()
