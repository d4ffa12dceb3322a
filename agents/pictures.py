"""The pictures of a whole run: the way of the destination, still and moving, and every question."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pbg_env import Preference

Frame = NDArray[np.uint8]

_STRIP_HEIGHT = 128
_STRIP_FRAMES = 8
_ANIMATION_HEIGHT = 256
_ANIMATION_FRAMES = 300
_ANIMATION_SECONDS = 10.0
_LAST_SECONDS = 3.0
_QUESTIONS = 1000
_QUESTION_HEIGHT = 96
_MANY_QUESTIONS = 60
_MANY_QUESTIONS_HEIGHT = 64

_GOOD = (0, 140, 60)
_BAD = (200, 30, 40)
_LEGEND = "green frame: preferred    both framed: both good    grey and crossed out: both bad"


class Captioned(NamedTuple):
    """A picture and what stands below it."""

    caption: str
    picture: Image.Image


class Question(NamedTuple):
    """One pair as it was shown, and its answer."""

    number: int
    """From 1, as people count."""
    first: Image.Image
    second: Image.Image
    preference: Preference


class Album:
    """Keeps the frames (height, width, 3) of a run, no larger than they are shown and no more than can be shown."""

    def __init__(self) -> None:
        self._way: list[Captioned] = []
        self._stride = 1
        self._met = 0
        self._questions: deque[Question] = deque(maxlen=_QUESTIONS)

    def destination(self, caption: str, frame: Frame) -> None:
        """Adds where the search stands; of very many, every second, fourth, … is kept."""
        if self._met % self._stride == 0:
            self._way.append(Captioned(caption, _at_most(frame, _ANIMATION_HEIGHT)))
        self._met += 1
        if len(self._way) > _ANIMATION_FRAMES:
            del self._way[1::2]
            self._stride *= 2

    def question(self, number: int, first: Frame, second: Frame, preference: Preference) -> None:
        """Adds a question, numbered from 1; of more than a thousand the last are kept."""
        left, right = _at_most(first, _QUESTION_HEIGHT), _at_most(second, _QUESTION_HEIGHT)
        self._questions.append(Question(number, left, right, preference))

    def forget(self, numbers: Container[int]) -> None:
        """Leaves out questions whose answers were taken back."""
        kept = [question for question in self._questions if question.number not in numbers]
        self._questions = deque(kept, maxlen=_QUESTIONS)

    def save(self, folder: Path, caption: str, frame: Frame, target: Frame | None) -> dict[str, Image.Image]:
        """Writes `progress.png`, `destination.webp` and, where pairs were seen, `questions.png`.

        Args:
            folder: of the run.
            caption: of the end.
            frame: of the destination at the end.
            target: where there is one.

        Returns:
            The still ones by name.
        """
        way = [shown for shown in self._way if shown.caption != caption]
        way.append(Captioned(caption, _at_most(frame, _ANIMATION_HEIGHT)))
        shown = _evenly(way, _STRIP_FRAMES)
        if target is not None:
            shown = [*shown, Captioned("target", _at_most(target, _ANIMATION_HEIGHT))]
        pictures = {"progress": captioned_strip(shown)}
        if self._questions:
            pictures["questions"] = questions_sheet(list(self._questions))
        for name, picture in pictures.items():
            picture.save(folder / f"{name}.png")
        save_animation(way, folder / "destination.webp")
        return pictures


def captioned_strip(shown: list[Captioned], height: int = _STRIP_HEIGHT) -> Image.Image:
    """Pictures of any size side by side, `height` pixels high, each with its caption below."""
    margin, below = 8, 40
    pictures = [_of_height(picture, height) for _, picture in shown]
    total = sum(picture.width for picture in pictures) + margin * (len(pictures) + 1)
    strip = Image.new("RGB", (total, height + 2 * margin + below), "white")
    draw = ImageDraw.Draw(strip)
    x = margin
    for (caption, _), picture in zip(shown, pictures, strict=True):
        strip.paste(picture, (x, margin))
        centre = x + picture.width / 2
        draw.multiline_text((centre, height + 2 * margin), caption, "black", anchor="ma", align="center", font_size=14)
        x += picture.width + margin
    return strip


def questions_sheet(questions: list[Question]) -> Image.Image:
    """Pairs in rows, in the order of asking, each with its number above and its answer marked."""
    height = _QUESTION_HEIGHT if len(questions) <= _MANY_QUESTIONS else _MANY_QUESTIONS_HEIGHT
    cells = [_cell(question, height) for question in questions]
    width, cell_height = cells[0].size
    margin, top = 12, 40
    # Half as wide again as high, as screens are.
    columns = math.ceil(math.sqrt(1.5 * len(cells) * (cell_height + margin) / (width + margin)))
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    legend = ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(_LEGEND, font_size=16)
    size = max(columns * (width + margin), math.ceil(legend) + margin) + margin, rows * (cell_height + margin) + top
    sheet = Image.new("RGB", size, "white")
    ImageDraw.Draw(sheet).text((margin, top / 2), _LEGEND, "black", anchor="lm", font_size=16)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        sheet.paste(cell, (margin + column * (width + margin), top + row * (cell_height + margin)))
    return sheet


def _cell(question: Question, height: int) -> Image.Image:
    frame, top = 4, 18
    pair = [_of_height(picture, height) for picture in (question.first, question.second)]
    both_bad = question.preference == Preference.BOTH_BAD
    width = sum(picture.width for picture in pair) + 4 * frame
    cell = Image.new("RGB", (width, height + 2 * frame + top), "white")
    draw = ImageDraw.Draw(cell)
    draw.text((frame, top / 2), str(question.number), "black", anchor="lm", font_size=14)
    x = frame
    for picture, weight in zip(pair, question.preference.label, strict=True):
        right, bottom = x + picture.width, top + frame + height
        if weight > 0:
            draw.rectangle((x - frame, top, right + frame - 1, bottom + frame - 1), fill=_GOOD)
        if both_bad:
            picture = Image.blend(picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, "white"), 0.4)
        cell.paste(picture, (x, top + frame))
        if both_bad:
            for start, end in ((top + frame, bottom), (bottom, top + frame)):
                draw.line((x, start, right, end), fill=_BAD, width=2)
        x = right + 2 * frame
    return cell


def save_animation(shown: list[Captioned], path: Path) -> None:
    """One frame after the other with its caption below, over and over; the last one stays for a while."""
    frames = [_captioned(*one) for one in shown]
    each = round(1000 * min(0.5, max(0.04, _ANIMATION_SECONDS / len(frames))))
    durations = [each] * (len(frames) - 1) + [round(1000 * _LAST_SECONDS)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=90)


def _captioned(caption: str, picture: Image.Image) -> Image.Image:
    below = 30
    picture = _of_height(picture, _ANIMATION_HEIGHT)
    framed = Image.new("RGB", (picture.width, _ANIMATION_HEIGHT + below), "white")
    framed.paste(picture)
    line = caption.replace("\n", ", ")
    centre = (picture.width / 2, _ANIMATION_HEIGHT + below / 2)
    ImageDraw.Draw(framed).text(centre, line, "black", anchor="mm", font_size=18)
    return framed


def _evenly(shown: list[Captioned], count: int) -> list[Captioned]:
    """At most `count` of them, the first and the last among them."""
    if len(shown) <= count:
        return list(shown)
    return [shown[index] for index in np.linspace(0, len(shown) - 1, count).round().astype(int)]


def _of_height(picture: Image.Image, height: int) -> Image.Image:
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _at_most(frame: Frame, height: int) -> Image.Image:
    picture = Image.fromarray(frame)
    return picture if picture.height <= height else _of_height(picture, height)
