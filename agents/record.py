"""The folder of a run: everything is on disk as soon as it is known, so that a killed run stays readable."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents.base import Noise
from agents.files import write
from agents.hyperparameters import add_settings
from agents.pictures import Album
from agents.replay import Replay, logged_answers
from pbg_env import Answer, AnswerLog, Medium, Preference

_LOCK = ".answers.sqlite.lock"


@dataclass
class Summary:
    """How a run stands, or how it ended."""

    score: float | None
    """Of the destination, None where the oracle has no utility."""
    queries: int
    rounds: int
    seconds: float
    """Since the run was begun or resumed."""
    seed: int
    stopped_because: str
    """"running" or "interrupted": it can go on; "satisfied", "budget", or what the agent says, such as "rounds"."""


class Record:
    """Writes a run's folder: `config.yaml`, `answers.sqlite`, `rounds.csv`, `destination.npy` and its picture,
    TensorBoard events against the number of answers and, at the end, `progress.png`, `questions.png`,
    `destination.webp` and `summary.json`, which holds how the run stands all along.

    Args:
        folder: made when missing.
        medium: of the generator.
        config: resolved, enough to repeat the run.
        resume: go on with the run that the folder holds. Its answers come again, are held against the log, and what is
            derived from them is written aside until all of them agree: a replay that fails changes nothing.
        person: whether a person answers, who has stored each answer in `log` before anybody learns of it. Nobody asks
            them again, so that what is derived is written anew at once.

    Raises:
        FileExistsError: the folder holds a run, and it is not to go on.
        ValueError: the log of answers is damaged, or another process writes in the folder.
    """

    def __init__(
        self, folder: Path, medium: Medium, config: dict[str, Any], *, resume: bool = False, person: bool = False
    ) -> None:
        log = folder / "answers.sqlite"
        if not resume and ((folder / "config.yaml").exists() or log.exists()):
            raise FileExistsError(
                f"{folder} holds a run already; give another folder with --out, go on with it by --resume, or remove it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._medium = medium
        self._config = config
        self._person = person
        self.log = AnswerLog(log)
        """The answers of the run."""
        # Nobody is asked again what they have answered.
        self.replay = Replay([] if person else logged_answers(self.log, log))
        if not resume:
            write(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        if not person:
            self.log.begin({"asked": "a simulated user", "settings": config})
        self.replaying = self._resumes = resume
        self._into = folder / ".replay" if resume else folder
        # Left behind by a replay that was killed.
        shutil.rmtree(folder / ".replay", ignore_errors=True)
        self._writer = SummaryWriter(str(self._into), purge_step=0 if resume else None)
        self._rows: list[dict[str, Any]] = []
        self._counted: dict[int, Preference] = {}
        self._asked: list[NDArray[np.uint8]] = []
        self._album = Album()
        self._closed = False

    def begin(self, destination: Tensor, target: Tensor | None) -> None:
        """Shows where the search starts and where it should end, media (*shape)."""
        add_settings(self._writer, self._config)
        self._medium.log(self._writer, "media/start", destination, 0)
        if target is not None:
            self._medium.log(self._writer, "media/target", target, 0)
        self._album.destination("start", self._medium.frame(destination))
        if not self.replay.answers:
            self._caught_up()

    def answer(self, answer: Answer) -> None:
        """Stores one answer for good, or holds it against the one that is stored.

        Raises:
            ReplayError: it is another one.
        """
        self.replay.check_answer(answer.id, answer.preference)
        if not self._person and answer.id >= len(self.replay.answers):
            self.log.add(answer)
        self._counted[answer.id] = answer.preference
        if answer.id == len(self.replay.answers) - 1:
            self._caught_up()

    def retract(self, ids: Sequence[int]) -> None:
        """Leaves out answers that were taken back; the log knows it already."""
        for number in ids:
            del self._counted[number]
        self._album.forget([number + 1 for number in ids])

    def shown(
        self, answer: Answer, first: NDArray[np.uint8], second: NDArray[np.uint8], row: NDArray[np.uint8]
    ) -> None:
        """Keeps what an answer was about: two frames, and the row that the environment renders."""
        self._album.question(answer.id + 1, first, second, answer.preference)
        self._asked.append(row)

    def round(self, summary: Summary, destination: Noise, medium: Tensor, metrics: Mapping[str, float]) -> None:
        """Stores a finished round.

        Args:
            summary: how the run stands.
            destination: (noise_dim,).
            medium: the destination's, (*shape).
            metrics: of the round, by name.
        """
        step = summary.queries
        counts = Counter(self._counted.values())
        shares = {f"preference/{answer.name.lower()}": counts[answer] / max(1, counts.total()) for answer in Preference}
        scalars = {**metrics, **shares}
        self._add_score(summary)
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._medium.log(self._writer, "media/destination", medium, step)
        if self._asked:
            self._writer.add_image("media/asked", np.concatenate(self._asked), step, dataformats="HWC")
            self._asked.clear()
        self._writer.flush()
        row = {"round": summary.rounds, "queries": step, "seconds": summary.seconds}
        self._rows.append(row | ({} if summary.score is None else {"score": summary.score}) | scalars)
        self._write_rows()
        self._album.destination(_caption(summary), self._medium.frame(medium))
        self._write_destination(destination, medium)
        self._write_summary(summary)

    def rated(self, best: Tensor, worst: Tensor, step: int) -> None:
        """Shows the media (count, *shape) that the learned reward rates best and worst of many."""
        for name, media in (("best", best), ("worst", worst)):
            row = np.concatenate([self._medium.frame(medium) for medium in media], axis=1)
            self._writer.add_image(f"media/{name}_rated", row, step, dataformats="HWC")

    def end(self, summary: Summary, destination: Noise, medium: Tensor, target: Tensor | None) -> None:
        """Writes what stands at the end; the record is closed after that."""
        if not self._rows or (self._rows[-1]["queries"], self._rows[-1].get("score")) != (
            summary.queries,
            summary.score,
        ):
            self._add_score(summary)
        self._write_destination(destination, medium)
        wanted = None if target is None else self._medium.frame(target)
        pictures = self._album.save(self._into, _caption(summary), self._medium.frame(medium), wanted)
        for name, picture in pictures.items():
            self._writer.add_image(f"media/{name}", np.asarray(picture), summary.queries, dataformats="HWC")
        self._writer.flush()
        # At last: a run that is killed before this can go on.
        self._write_summary(summary)
        self.close()

    def pictures(self) -> dict[str, Path]:
        """What was drawn of the whole run, by name."""
        return {name: self.folder / name for name in ("progress.png", "questions.png", "destination.webp")}

    def abandon(self) -> None:
        """Takes a run that could not begin out of its folder again, so that the folder is free for the next try."""
        self.close()
        if self._resumes:
            return
        for path in (self.folder / name for name in ("config.yaml", "answers.sqlite", _LOCK)):
            path.unlink(missing_ok=True)
        for events in self.folder.glob("events.out.tfevents.*"):
            events.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def close(self) -> None:
        """Lets go of the folder; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self.log.close()
        if self.replaying:
            shutil.rmtree(self._into, ignore_errors=True)

    def _caught_up(self) -> None:
        """All logged answers came again: what was derived from them takes the place of what is there."""
        if not self.replaying:
            return
        self.replaying = False
        self._writer.close()
        for old in self.folder.glob("events.out.tfevents.*"):
            old.unlink()
        for path in self._into.iterdir():
            path.replace(self.folder / path.name)
        self._into.rmdir()
        self._into = self.folder
        self._writer = SummaryWriter(str(self.folder))

    def _add_score(self, summary: Summary) -> None:
        if summary.score is not None:
            self._writer.add_scalar("destination/score", summary.score, summary.queries)

    def _write_rows(self) -> None:
        # Anew each time: what is measured for the first time in a later round gets its column, too.
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        unfinished = self._into / ".rounds.csv"
        with unfinished.open("w", newline="") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(self._rows)
        unfinished.replace(self._into / "rounds.csv")

    def _write_destination(self, noise: Noise, medium: Tensor) -> None:
        unfinished = self._into / ".destination.npy"
        np.save(unfinished, noise)
        unfinished.replace(self._into / "destination.npy")
        self._medium.save(medium, self._into / "destination")

    def _write_summary(self, summary: Summary) -> None:
        write(self._into / "summary.json", json.dumps(asdict(summary), indent=2) + "\n")


def _caption(summary: Summary) -> str:
    answers = f"{summary.queries} answer{'' if summary.queries == 1 else 's'}"
    return answers if summary.score is None else f"{answers}\nscore {summary.score:.2f}"
