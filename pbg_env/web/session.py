"""What is on the page, and what the person does there: the meeting point of the search's thread and the server's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Any

from pbg_env.answers import AnswerLog, File, Seen
from pbg_env.preference import Answer, Preference
from pbg_env.web.deeds import Accepted, Answered, Deed, Interrupted, Noise, Question, Restarted, Stale, Undone
from pbg_env.web.files import Shown

_CHOICES = {
    "left": (Preference.FIRST, Preference.SECOND),
    "right": (Preference.SECOND, Preference.FIRST),
    "both_good": (Preference.BOTH_GOOD, Preference.BOTH_GOOD),
    "both_bad": (Preference.BOTH_BAD, Preference.BOTH_BAD),
}
"""What a choice says when the first is on the left, and when it is on the right."""

_STRIP = 48
# A page that has not asked for so long is closed.
_LEFT_AFTER = 90.0


@dataclass
class _Waiting:
    """A question on the page."""

    key: int
    question: Question
    undoable: int | None
    """Number of the answer that undoing takes back."""
    deed: Deed | None = None
    taken: bool = False
    """Whether the search knows of the deed."""


@dataclass
class _Destination:
    """What the search recommends, and how it got there."""

    noise: Noise | None = None
    medium: Shown | None = None
    confidence: float | None = None
    strip: list[str] = field(default_factory=list)


class Session:
    """One person at one page. The search's thread poses questions and waits; the server's threads tell what the person
    does. A deed is on disk before the call that tells of it returns."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._version = 0
        self._listeners: list[Callable[[], object]] = []
        # Apart from those of a process before: a page that was left open must not answer what it has not shown.
        self._keys = count(time.time_ns() // 1_000_000)
        self.log: AnswerLog | None = None
        """Where answers go; None before a search."""
        self._closed = False
        self._clear()

    def _clear(self) -> None:
        self._files: dict[str, File] = {}
        self._waiting: _Waiting | None = None
        self._destination = _Destination()
        self._target: str | None = None
        self._message = ""
        self._ended: dict[str, Any] | None = None
        self._downloads: dict[str, tuple[str, Callable[[], bytes]]] = {}
        self._interrupted = False
        self._left = False
        self._heard = time.monotonic()
        self._answers, self._max_queries = 0, 0

    # What the search's thread calls.

    def begin(self, log: AnswerLog, max_queries: int, answers: int) -> None:
        """A search begins.

        Args:
            log: where answers go.
            max_queries: answers there are at most.
            answers: that stand already.
        """
        with self._changed:
            self._clear()
            self.log, self._max_queries, self._answers = log, max_queries, answers
            self._change()

    def demand_taken(self) -> None:
        """Raises `RuntimeError` where the person has answered, and the search does not know of it yet."""
        with self._changed:
            if self._waiting is not None and self._waiting.deed is not None and not self._waiting.taken:
                raise RuntimeError("what was asked before has been answered; ask it once more to learn the answer")

    def pose(self, question: Question, answers: int, undoable: int | None) -> None:
        """Puts a question on the page."""
        with self._changed:
            self.demand_taken()
            self._answers = answers
            self._waiting = _Waiting(next(self._keys), question, undoable)
            self._keep(*question.media)
            self._message = ""
            self._change()

    def deed(self, timeout: float | None) -> Deed | None:
        """What the person did about the question; None where nothing within so many seconds.

        Raises:
            Interrupted: by `interrupt` or `close`.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._waiting is None:
                    raise RuntimeError("no question was posed")
                if self._waiting.deed is not None:
                    self._waiting.taken = True
                    return self._waiting.deed
                if self._interrupted or self._closed:
                    self._interrupted = False
                    raise Interrupted
                left = None if ends is None else ends - time.monotonic()
                if left is not None and left <= 0:
                    return None
                # In pieces: a wait without end keeps Ctrl-C out on some systems.
                self._changed.wait(1.0 if left is None else min(left, 1.0))

    def taken(self, answers: int) -> None:
        """The deed is known; so many answers stand."""
        with self._changed:
            self._answers = answers
            self._waiting = None
            self._change()

    def interrupt(self) -> None:
        """Ends a wait for the person; the question stays where it is."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def show(self, noise: Noise, medium: Shown, confidence: float | None) -> None:
        """Shows what the search recommends."""
        with self._changed:
            here = self._destination
            if not here.strip or here.strip[-1] != medium.picture.id:
                here.strip.append(medium.picture.id)
            if len(here.strip) > _STRIP:
                del here.strip[1:-1:2]
            here.noise, here.medium, here.confidence = noise, medium, confidence
            self._keep(medium)
            self._change()

    @property
    def recommended(self) -> tuple[Noise, Shown] | None:
        """What is shown as recommended."""
        with self._changed:
            here = self._destination
            return None if here.noise is None or here.medium is None else (here.noise, here.medium)

    def say(self, message: str) -> None:
        """Shows a line where there is no question."""
        with self._changed:
            self._message = message
            self._change()

    def aim(self, target: File | None) -> None:
        """Shows a picture beside, or none."""
        with self._changed:
            self._target = None if target is None else target.id
            if target is not None:
                self._files[target.id] = target
            self._change()

    def end(
        self, why: str, medium: Shown | None, told: Mapping[str, Any], files: Mapping[str, Callable[[], bytes]]
    ) -> None:
        """Shows the last page.

        Args:
            why: the search ended, as a sentence.
            medium: that was found.
            told: about the answers, for the page.
            files: to download, by their names, read when they are wanted.
        """
        with self._changed:
            self._waiting = None
            if medium is not None:
                self._keep(medium)
            self._downloads = {f"{number}": (name, read) for number, (name, read) in enumerate(files.items())}
            names = {key: name for key, (name, _) in self._downloads.items()}
            found = None if medium is None else _told(medium)
            self._ended = {"why": why, "medium": found, "files": names, **told}
            self._heard = time.monotonic()
            self._change()

    def wait_until_left(self) -> None:
        """Waits until the person has finished with the last page, or closed it."""
        with self._changed:
            while not (self._left or self._closed or time.monotonic() - self._heard > _LEFT_AFTER):
                self._changed.wait(1.0)

    def close(self) -> None:
        """Ends all waiting."""
        with self._changed:
            self._closed = True
            self._change()

    # What the server's threads call.

    def answer(self, key: int, choice: str, seconds: float) -> None:
        """Stores an answer.

        Raises:
            Stale: the question is not on the page, or is answered.
            ValueError: no such choice.
            OSError: it cannot be stored; the question stays.
        """
        if choice not in _CHOICES:
            raise ValueError(f"choice is {choice!r}, expected one of {', '.join(_CHOICES)}")
        with self._changed:
            waiting = self._open(key)
            question = waiting.question
            preference = _CHOICES[choice][0 if question.first_is_left else 1]
            answer = Answer(self._journal.next_id, question.noise[0], question.noise[1], preference)
            files = (question.media[0].medium, question.media[1].medium)
            seen = Seen(files, question.first_is_left, seconds, question.repeat_of, question.revises)
            self._journal.add(answer, seen)
            self._do(waiting, Answered(answer))

    def undo(self, key: int) -> None:
        """Takes the last answer back.

        Raises:
            Stale: the question is not on the page, or there is nothing to take back.
            OSError: that cannot be stored.
        """
        with self._changed:
            waiting = self._open(key)
            if waiting.undoable is None:
                raise Stale("there is no answer to take back")
            self._journal.retract([waiting.undoable])
            self._do(waiting, Undone())

    def accept(self, key: int, which: str) -> None:
        """Ends the search with the "destination", or with what is shown "left" or "right".

        Raises:
            Stale: the question is not on the page, or nothing is recommended.
            ValueError: no such place.
            OSError: that cannot be stored.
        """
        with self._changed:
            waiting = self._open(key)
            noise, medium = self._at(waiting, which)
            self._journal.mark("accepted", noise)
            self._do(waiting, Accepted(noise, medium))

    def restart(self, key: int, which: str) -> None:
        """Begins again from the "destination", or from what is shown "left" or "right".

        Raises:
            Stale, ValueError, OSError: as for `accept`.
        """
        with self._changed:
            waiting = self._open(key)
            noise, _ = self._at(waiting, which)
            self._journal.mark("restart", noise)
            self._do(waiting, Restarted(noise))

    def leave(self) -> None:
        """The person has finished with the last page.

        Raises:
            Stale: the search goes on.
        """
        with self._changed:
            if self._ended is None:
                raise Stale("the search has not ended")
            self._left = True
            self._change()

    def file(self, name: str) -> File | None:
        """A medium of the page, by the name of its content."""
        with self._changed:
            return self._files.get(name)

    def download(self, key: str) -> tuple[str, bytes] | None:
        """The name and content of a file of the last page.

        Raises:
            OSError: it cannot be read.
        """
        with self._changed:
            found = self._downloads.get(key)
        return None if found is None else (found[0], found[1]())

    def state(self, after: int) -> dict[str, Any] | None:
        """What is on the page, or None where that is still version `after`."""
        with self._changed:
            self._heard = time.monotonic()
            return self._state() if self._version > after or self._closed else None

    @contextmanager
    def listening(self, listener: Callable[[], object]) -> Iterator[None]:
        """Within it the listener is called, from whichever thread, when what is on the page changes."""
        with self._changed:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._changed:
                self._listeners.remove(listener)

    def _state(self) -> dict[str, Any]:
        here, waiting = self._destination, self._waiting
        question = None
        if waiting is not None and waiting.deed is None:
            sides = waiting.question.media
            left, right = sides if waiting.question.first_is_left else reversed(sides)
            question = {
                "key": waiting.key,
                "left": _told(left),
                "right": _told(right),
                "undo": waiting.undoable is not None,
            }
        return {
            "version": self._version,
            "closed": self._closed,
            "message": self._message,
            "question": question,
            "answers": self._answers,
            "most": self._max_queries,
            "destination": None if here.medium is None else _told(here.medium),
            "confidence": here.confidence,
            "strip": list(here.strip),
            "target": self._target,
            "ended": self._ended,
        }

    @property
    def _journal(self) -> AnswerLog:
        if self.log is None:
            raise Stale("no search has begun")
        return self.log

    def _open(self, key: int) -> _Waiting:
        waiting = self._waiting
        if waiting is None or waiting.key != key or waiting.deed is not None or self._closed:
            raise Stale("this question is answered already, or is no longer asked")
        return waiting

    def _at(self, waiting: _Waiting, which: str) -> tuple[Noise, Shown]:
        if which == "destination":
            recommended = self.recommended
            if recommended is None:
                raise Stale("nothing is recommended yet")
            return recommended
        if which not in ("left", "right"):
            raise ValueError(f"which is {which!r}, expected destination, left or right")
        place = int((which == "right") == waiting.question.first_is_left)
        return waiting.question.noise[place], waiting.question.media[place]

    def _do(self, waiting: _Waiting, deed: Deed) -> None:
        waiting.deed = deed
        self._change()

    def _keep(self, *media: Shown) -> None:
        """Has the files of these media ready for the page, and lets go of those that it shows no longer."""
        here = self._destination
        shown = [*media] if here.medium is None else [*media, here.medium]
        shown += [] if self._waiting is None else self._waiting.question.media
        files = {file.id: file for medium in shown for file in medium if file is not None}
        needed = {*here.strip, self._target}
        self._files = {name: file for name, file in self._files.items() if name in needed} | files

    def _change(self) -> None:
        self._version += 1
        self._changed.notify_all()
        for listener in self._listeners:
            listener()


def _told(medium: Shown) -> dict[str, Any]:
    return {"picture": medium.picture.id, "sound": None if medium.sound is None else medium.sound.id}
