"""What a person's log of answers is about, and what it tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from pbg_env.answers import AnswerLog
from pbg_env.generators.base import Generator
from pbg_env.noise import NOISE_BOUND
from pbg_env.preference import Preference


class Consistency(NamedTuple):
    """How a person's answers agree with each other."""

    repeats: int
    """Questions that were asked a second time, with the sides changed."""
    agreed: int
    """How many of these were answered as before."""
    left: int
    """Of the answers that name one medium, how many name the one on the left."""
    strict: int
    """How many name one."""


def consistency(path: Path) -> Consistency:
    """How the answers of the log at a path agree with each other."""
    # Read by itself: who has handed the log in may have closed it.
    with closing(AnswerLog(path, write=False)) as log:
        rows = [row for row in log.everything(media=False) if row["retracted_at"] is None]
    before = {row["id"]: row["preference"] for row in rows}
    repeats = [row for row in rows if row["repeat_of"] in before]
    # Of simulated users there are no sides.
    strict = [row for row in rows if row["preference"] in (Preference.FIRST, Preference.SECOND)]
    strict = [row for row in strict if row["first_is_left"] is not None]
    left = sum((row["preference"] == Preference.FIRST) == row["first_is_left"] for row in strict)
    agreed = sum(row["preference"] == before[row["repeat_of"]] for row in repeats)
    return Consistency(len(repeats), agreed, left, len(strict))


def table(path: Path) -> bytes:
    """The answers of the log at a path as Parquet."""
    # Here, so that it can run as a program of its own.
    from pbg_env.exports import export_answers

    with TemporaryDirectory() as folder, closing(AnswerLog(path, write=False)) as log:
        table = Path(folder) / "answers.parquet"
        export_answers(log, table)
        return table.read_bytes()


def about(generator: Generator) -> dict[str, Any]:
    """What a person's answers are about."""
    media = generator.media
    return {
        "asked": "a person",
        "prior": f"standard normal truncated at ±{NOISE_BOUND:g}",
        "generator": {"kind": type(generator).__name__, "weights": getattr(generator, "weights", None)},
        "noise_dim": generator.noise_dim,
        "media": {"kind": media.kind, "shape": list(media.shape)},
    }


def demand_same(log: AnswerLog, told: Mapping[str, Any]) -> None:
    """Raises ValueError where the log has answers about another generator."""
    for before in log.sessions():
        for name in ("noise_dim", "media", "generator"):
            if name in before and before[name] != told[name]:
                raise ValueError(
                    f"{log.path} holds answers about another generator ({name}: {before[name]}, and this one has "
                    f"{told[name]}); give another file"
                )
