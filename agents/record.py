"""The folder of a run: everything is on disk as soon as it is known, so that a killed run stays readable."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents.base import Noise
from pbg_env import Answer, AnswerLog, Medium, Preference


@dataclass
class Summary:
    """How a run stands, or how it ended."""

    score: float | None
    """Of the destination, None where the oracle has no utility."""
    queries: int
    rounds: int
    seconds: float
    seed: int
    stopped_because: str
    """"running", "satisfied", "budget", "rounds" or "interrupted"."""


class Record:
    """Writes a run's folder: `config.yaml`, `answers.sqlite`, `rounds.csv`, `destination.npy` and its picture,
    `summary.json`, `progress.png`, and TensorBoard events against the number of answers.

    Args:
        folder: made when missing; must not hold a run already.
        medium: of the generator.
        config: resolved, enough to repeat the run.

    Raises:
        FileExistsError: the folder holds a run.
    """

    def __init__(self, folder: Path, medium: Medium, config: dict[str, Any]) -> None:
        if (folder / "config.yaml").exists():
            raise FileExistsError(f"{folder} holds a run already; give another folder with --out, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._medium = medium
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        self._log = AnswerLog(folder / "answers.sqlite")
        self._writer = SummaryWriter(str(folder))
        self._rounds = (folder / "rounds.csv").open("w", newline="")
        self._columns: csv.DictWriter[str] | None = None
        self._counts = dict.fromkeys(Preference, 0)
        self._strip: list[tuple[str, NDArray[np.uint8]]] = []

    def answer(self, answer: Answer) -> None:
        """Stores one answer for good."""
        self._log.add(answer)
        self._counts[answer.preference] += 1

    def begin(self, destination: Tensor, target: Tensor | None) -> None:
        """Shows where the search starts and where it should end, media (*shape)."""
        self._medium.log(self._writer, "media/start", destination, 0)
        if target is not None:
            self._medium.log(self._writer, "media/target", target, 0)
        self._strip.append(("start", self._medium.frame(destination)))

    def round(
        self,
        summary: Summary,
        destination: Noise,
        medium: Tensor,
        asked: NDArray[np.uint8] | None,
        metrics: dict[str, float],
    ) -> None:
        """Stores a finished round.

        Args:
            destination: (noise_dim,).
            medium: the destination's, (*shape).
            asked: the pairs of the round as a picture (height, width, 3), where the environment renders.
            metrics: what the agent reports of the round.
        """
        step = summary.queries
        total = max(1, sum(self._counts.values()))
        metrics = metrics | {f"preference/{answer.name.lower()}": n / total for answer, n in self._counts.items()}
        if summary.score is not None:
            metrics["score"] = summary.score
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._medium.log(self._writer, "media/destination", medium, step)
        if asked is not None:
            self._writer.add_image("media/asked", asked, step, dataformats="HWC")
        row = {"round": summary.rounds, "queries": step, "seconds": round(summary.seconds, 3)} | metrics
        if self._columns is None:
            self._columns = csv.DictWriter(self._rounds, list(row), extrasaction="ignore")
            self._columns.writeheader()
        self._columns.writerow(row)
        self._rounds.flush()
        self._writer.flush()
        self._strip.append((_caption(summary), self._medium.frame(medium)))
        self.destination(destination, medium)
        self.summary(summary)

    def destination(self, noise: Noise, medium: Tensor) -> None:
        unfinished = self.folder / ".destination.npy"
        np.save(unfinished, noise)
        unfinished.replace(self.folder / "destination.npy")
        self._medium.save(medium, self.folder / "destination")

    def summary(self, summary: Summary) -> None:
        unfinished = self.folder / ".summary.json"
        unfinished.write_text(json.dumps(asdict(summary), indent=2) + "\n")
        unfinished.replace(self.folder / "summary.json")

    def rated(self, best: Tensor, worst: Tensor, step: int) -> None:
        """Shows the media (count, *shape) that the learned reward rates best and worst of many."""
        for name, media in (("best", best), ("worst", worst)):
            row = np.concatenate([self._medium.frame(medium) for medium in media], axis=1)
            self._writer.add_image(f"media/{name}_rated", row, step, dataformats="HWC")

    def end(self, summary: Summary, destination: Noise, medium: Tensor, target: Tensor | None) -> None:
        """Writes what stands at the end; the record is closed after that."""
        self.destination(destination, medium)
        self.summary(summary)
        frames = _evenly(self._strip, 8)
        if frames[-1][0] != _caption(summary):
            frames.append((_caption(summary), self._medium.frame(medium)))
        if target is not None:
            frames.append(("target", self._medium.frame(target)))
        progress = captioned_strip(frames)
        progress.save(self.folder / "progress.png")
        self._writer.add_image("media/progress", np.asarray(progress), summary.queries, dataformats="HWC")
        self.close()

    def close(self) -> None:
        self._writer.close()
        self._log.close()
        self._rounds.close()


def _caption(summary: Summary) -> str:
    answers = f"{summary.queries} answer{'' if summary.queries == 1 else 's'}"
    return answers if summary.score is None else f"{answers}\nscore {summary.score:.2f}"


def _evenly(frames: list[tuple[str, NDArray[np.uint8]]], count: int) -> list[tuple[str, NDArray[np.uint8]]]:
    """At most `count` frames, the first and the last among them."""
    if len(frames) <= count:
        return list(frames)
    return [frames[index] for index in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def captioned_strip(frames: list[tuple[str, NDArray[np.uint8]]], height: int = 128) -> Image.Image:
    """Pictures of any size side by side, `height` pixels high, each with its caption below."""
    margin, below = 8, 40
    pictures = []
    for _, frame in frames:
        picture = Image.fromarray(frame)
        width = max(1, round(picture.width * height / picture.height))
        pictures.append(picture.resize((width, height), Image.Resampling.BICUBIC))
    total = sum(picture.width for picture in pictures) + margin * (len(pictures) + 1)
    strip = Image.new("RGB", (total, height + 2 * margin + below), "white")
    draw = ImageDraw.Draw(strip)
    x = margin
    for (caption, _), picture in zip(frames, pictures, strict=True):
        strip.paste(picture, (x, margin))
        centre = x + picture.width / 2
        draw.multiline_text((centre, height + 2 * margin), caption, "black", anchor="ma", align="center", font_size=14)
        x += picture.width + margin
    return strip
