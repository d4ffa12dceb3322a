"""Going on with a run: its answers are asked again, and each must come out as it stands in the log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agents.base import Noise
from pbg_env import Answer, AnswerLog, Preference

UNFINISHED = ("running", "interrupted")
"""What `stopped_because` says of a run that can go on."""


class ReplayError(ValueError):
    """A logged answer did not come out again; the message names its number, what was logged and what came."""


class Replay:
    """The logged answers of a run, held against what comes now.

    The pair is checked before it is asked, the answer after.

    Args:
        answers: numbered from 0.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers

    def check_pair(self, number: int, first: Noise, second: Noise) -> None:
        """Demands that question `number` is the logged one; beyond the log everything is right.

        Raises:
            ReplayError: it is another one.
        """
        if number >= len(self.answers):
            return
        logged = self.answers[number]
        for name, before, now in (("first", logged.first, first), ("second", logged.second, second)):
            if before.shape != now.shape:
                raise _differs(number, f"noise of {before.size} components", f"one of {now.size}")
            if not np.array_equal(before, now):
                place = int(np.flatnonzero(before != now)[0])
                where = f"in component {place} of the {name} noise"
                raise _differs(number, f"{before[place]:.9g} {where}", f"{now[place]:.9g}")

    def check_answer(self, number: int, preference: Preference) -> None:
        """Demands that the answer to question `number` is the logged one; beyond the log everything is right.

        Raises:
            ReplayError: it is another one.
        """
        if number < len(self.answers) and self.answers[number].preference != preference:
            raise _differs(number, self.answers[number].preference.name, preference.name)

    def check_end(self, queries: int, stopped_because: str) -> None:
        """Demands that a search that ends after so many answers has none left in the log.

        Raises:
            ReplayError: it has.
        """
        if queries < len(self.answers):
            end = f"the end of the search ({stopped_because})"
            raise _differs(queries, self.answers[queries].preference.name, end)


def _differs(number: int, logged: str, came: str) -> ReplayError:
    return ReplayError(
        f"answer {number} does not come out again: logged is {logged}, now came {came}; the configuration, the code or "
        f"the machine differ from those of the run. Its folder is as it was: resume it with what it was begun with"
    )


def logged_answers(log: AnswerLog, path: Path) -> list[Answer]:
    """The answers of the log that stands at `path`; it is closed where they cannot be used.

    Raises:
        ValueError: the file is damaged, or an answer is missing.
    """
    try:
        answers = log.answers()
    except (sqlite3.Error, ValueError) as error:
        log.close()
        raise ValueError(f"{path} is damaged ({error}); begin the run anew in another folder") from error
    for number, answer in enumerate(answers):
        if answer.id != number:
            log.close()
            raise ValueError(
                f"{path} holds answer {answer.id} where {number} was expected, so answers are missing; begin the run "
                f"anew in another folder"
            )
    return answers


def read_settings(folder: Path) -> dict[str, Any]:
    """The resolved settings of the run in a folder.

    Raises:
        ValueError: the folder holds no run, or its `config.yaml` is damaged.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ValueError(f"{folder} holds no run: there is no {path}; give the folder of a run, such as runs/…")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error
    if not isinstance(settings, dict) or not {"seed", "agent", "env"} <= set(settings):
        raise damaged(path, "expected the settings seed, agent and env")
    return settings


def damaged(path: Path, why: object) -> ValueError:
    """That a configuration cannot be read, in one line."""
    reason = " ".join(str(why).split())
    return ValueError(
        f"{path} is damaged, or of another version ({reason}); put back the configuration that the run was begun with"
    )


def ended_because(folder: Path) -> str | None:
    """Why the run in a folder has ended, or None where it can go on.

    Raises:
        ValueError: its `summary.json` is damaged.
    """
    path = folder / "summary.json"
    # A run that is killed before its first round has none.
    if not path.exists():
        return None
    try:
        reason = str(json.loads(path.read_text(encoding="utf-8"))["stopped_because"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; remove it, and --resume finds out how the run stands") from error
    return None if reason in UNFINISHED else reason
