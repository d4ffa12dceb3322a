"""A person who answers on a page in their browser."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.answers import AnswerLog, File
from pbg_env.generators.base import Generator
from pbg_env.generators.showing import show
from pbg_env.noise import sample_noise
from pbg_env.oracles.human_log import Consistency, about, consistency, demand_same, table
from pbg_env.oracles.person import NoAnswer, Reply
from pbg_env.preference import NOT_ASKED, Answer
from pbg_env.web.deeds import Answered, Deed, Interrupted, Question, Restarted, Undone
from pbg_env.web.files import Shown, from_file, shown, uploaded
from pbg_env.web.session import Session

PRIOR = "prior"
_REPEAT_EVERY = 15
# What was asked just before is remembered, not judged again.
_REPEAT_AFTER = 5


@dataclass
class _Given:
    """An answer that stands, as undoing needs to know it."""

    id: int
    repeat_of: int | None


@dataclass
class _Step:
    """Pairs that are being asked."""

    noise: NDArray[np.float32]
    media: list[tuple[Shown, Shown]]
    answers: NDArray[np.int64]
    ids: NDArray[np.int64]
    place: int = 0
    posed: Question | None = None

    def asks(self, noise: NDArray[np.float32], media: list[tuple[Shown, Shown]]) -> bool:
        """Whether it is of these."""
        return np.array_equal(self.noise, noise) and self.media == media


class HumanOracle:
    """Asks a person, on a page that this process serves to their browser.

    Which medium is on which side is drawn at random; about one question in fifteen repeats an earlier one with the
    sides changed, and stays out of what the search learns from. Answers are on disk before anything uses them.

    Behind `env.step` it blocks until the person answers. Without an environment, `begin` it with a generator; then
    `ask`, or `submit` and `poll`.

    Args:
        log: file of the answers, or the `AnswerLog`; one that holds answers goes on with them. Unless told, a file of
            its own in `answers/`.
        port: of the page; 0 for any that is free, None for 8765, or any where that is taken.
        host: address to listen at. Every one but 127.0.0.1 lets other machines ask for the page, unencrypted.
        target: a picture file to show beside, to test oneself; or "prior" for one that the generator makes.
        open_browser: open the page, where there is a browser to open it in.
        timeout: seconds to wait for an answer before `NoAnswer` is raised; None to wait on.

    Raises:
        ImportError: Starlette and uvicorn are not installed.
        ValueError: timeout or port out of range.
    """

    def __init__(
        self,
        log: str | Path | AnswerLog | None = None,
        port: int | None = None,
        host: str = "127.0.0.1",
        target: str | Path | None = None,
        open_browser: bool = True,
        timeout: float | None = None,
    ) -> None:
        try:
            from pbg_env.web.server import Server
        except ImportError as error:
            raise ImportError("a page for a person takes: pip install 'pbg-env[human]'") from error
        if port is not None and not 0 <= port <= 65535:
            raise ValueError(f"port is {port}, expected 0 to 65535, or None")
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is {timeout}, expected at least 0 seconds, or None to wait on")
        self.log = log
        self.timeout = timeout
        self.on_question: Callable[[], None] | None = None
        """Called when a question that is no repeat is on the page, by whoever asks it."""
        self._open_browser = open_browser
        self._target = target
        self._session = Session()
        self._server = Server(self._session, host, port)
        self._announced = False
        self._opened: AnswerLog | None = None
        self._used: Path | None = None
        self._closed = False
        self._generator: Generator | None = None
        self._step: _Step | None = None
        self._given: list[_Given] = []
        self._undone: dict[bytes, int] = {}
        self._repeated: set[int] = set()
        self._queries = self._max_queries = 0
        self.restarted_from: NDArray[np.float32] | None = None
        """Noise (noise_dim,) that the search began again from; None where it did not."""
        self._found: tuple[NDArray[np.float32], Shown] | None = None

    @property
    def address(self) -> str:
        """Of the page. It holds the token that lets a browser in: who has it can answer."""
        return self._server.address

    def begin(self, generator: Generator, max_queries: int, rng: np.random.Generator) -> list[Answer]:
        """Begins a search, and gives the answers that stand in the log.

        Raises:
            MediaError: the target cannot be read.
            LogInUse: somebody else writes in the log.
            ValueError: the log is of another generator.
            RuntimeError: after `close`.
        """
        if self._closed:
            raise RuntimeError("the page is closed; make another HumanOracle")
        log = self._open_log()
        told = about(generator)
        demand_same(log, told)
        self._generator = generator
        target = self._target_file(generator, rng)
        log.begin(told)
        self.restarted_from = log.restarted_from
        self._step, self._found = None, None
        rows = [row for row in log.everything(media=False) if row["stands"]]
        self._given = [_Given(row["id"], row["repeat_of"]) for row in rows]
        self._undone, self._repeated = {}, {row["repeat_of"] for row in rows}
        self._queries = sum(given.repeat_of is None for given in self._given)
        self._max_queries = max_queries
        self._session.begin(log, max_queries, self._queries)
        self._session.aim(target)
        self._session.say(
            "Getting ready …" if not self._queries else f"Going through {self._queries} earlier answers …"
        )
        self._announce()
        return log.answers()

    def _open_log(self) -> AnswerLog:
        if isinstance(self.log, AnswerLog):
            return self.log
        if self._opened is not None:
            self._opened.close()
        if self.log is None:
            Path("answers").mkdir(exist_ok=True)
            wanted = Path("answers") / time.strftime("%Y-%m-%d_%H-%M-%S.sqlite")
        else:
            wanted = Path(self.log)
        path, number = wanted, 1
        # A log holds one search: those after the first of this object get files of their own.
        while (self._used is not None or self.log is None) and path.exists():
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        self._opened = AnswerLog(path)
        self._used = path
        return self._opened

    def _question(self, number: int) -> Question:
        """What an answer in the log was about."""
        assert self._generator is not None
        assert self._session.log is not None
        kind = self._generator.media
        row = self._session.log.row(number)
        noise = np.stack((row["first"], row["second"]))
        if row["first_media"] is None or row["second_media"] is None:
            # Of simulated users, and by earlier versions, media were not stored.
            one, other = (shown(kind, medium) for medium in show(self._generator, noise))
        else:
            one, other = from_file(row["first_media"], kind), from_file(row["second_media"], kind)
        return Question(noise, (one, other), bool(row["first_is_left"]), row["repeat_of"])

    def _target_file(self, generator: Generator, rng: np.random.Generator) -> File | None:
        if self._target is None:
            return None
        if self._target == PRIOR:
            noise = sample_noise((1, generator.noise_dim), rng)
            return shown(generator.media, show(generator, noise)[0]).picture
        path = Path(self._target)
        if not path.is_file():
            raise FileNotFoundError(f"no such picture: {path}; give the path of an image file, or {PRIOR!r}")
        return uploaded(path.read_bytes())

    def _announce(self) -> None:
        if self._announced:
            return
        self._announced = True
        where = "" if self._opened is None else f"\nanswers:     {self._opened.path}"
        print(f"page:        {self.address}{where}", file=sys.stderr, flush=True)
        if self._server.is_open_to_others:
            warnings.warn(
                f"the page is open to other machines at {self._server.host}, unencrypted: whoever learns its address "
                f"can see it and answer",
                stacklevel=2,
            )
        has_screen = sys.platform in ("win32", "darwin") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
        if self._open_browser and has_screen:
            webbrowser.open(self.address)

    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """Media (batch, *shape) twice → answers (batch,), without noise and without taking back what was answered
        before.

        Raises:
            NoAnswer: not in time, or the person did something else than answer.
        """
        nothing = np.empty((len(first), 2, 0), dtype=np.float32)
        reply = self.ask(nothing, first, second, rng)
        if NOT_ASKED in reply.answers:
            raise NoAnswer("the person did not answer all questions, but took one back or ended the search")
        return reply.answers

    def ask(self, noise: NDArray[np.float32], first: Tensor, second: Tensor, rng: np.random.Generator) -> Reply:
        """Asks pairs and waits.

        Args:
            noise: (pairs, 2, noise_dim).
            first: media (pairs, *shape).
            second: likewise.
            rng: for sides and repeats.

        Raises:
            NoAnswer: not in time, or somebody else has ended the wait; asking again goes on waiting.
        """
        media = self._shown(first, second)
        if self._step is None or not self._step.asks(noise, media):
            self._submit(noise, media, rng)
        reply = self.poll(self.timeout)
        if reply is None:
            raise NoAnswer(f"no answer within {self.timeout:g} s; the question stays on the page, ask again to wait on")
        return reply

    def submit(self, noise: NDArray[np.float32], first: Tensor, second: Tensor, rng: np.random.Generator) -> None:
        """Asks pairs as `ask` does, without waiting.

        Raises:
            RuntimeError: what was asked before was answered meanwhile, and nobody has taken that in by `poll`.
        """
        self._submit(noise, self._shown(first, second), rng)

    def _shown(self, first: Tensor, second: Tensor) -> list[tuple[Shown, Shown]]:
        if self._generator is None:
            raise RuntimeError("the person was not told of a search; call begin(generator, max_queries, rng) first")
        kind = self._generator.media
        return [(shown(kind, one), shown(kind, other)) for one, other in zip(first, second, strict=True)]

    def _submit(self, noise: NDArray[np.float32], media: list[tuple[Shown, Shown]], rng: np.random.Generator) -> None:
        self._session.demand_taken()
        nothing = np.full(len(media), NOT_ASKED, dtype=np.int64)
        self._step = _Step(np.array(noise, dtype=np.float32), media, nothing, nothing.copy())
        self._rng = rng
        if media:
            self._pose(self._repeat() or self._next_pair(self._step))

    def poll(self, timeout: float | None = 0.0) -> Reply | None:
        """What the person did about what was submitted; None where they have not done enough yet.

        Args:
            timeout: seconds to wait; None to wait on.

        Raises:
            NoAnswer: somebody else has ended the wait.
        """
        step = self._step
        if step is None:
            raise RuntimeError("nothing was asked; call submit(…) first")
        ends = None if timeout is None else time.monotonic() + timeout
        while step.place < len(step.media):
            try:
                deed = self._session.deed(None if ends is None else max(0.0, ends - time.monotonic()))
            except Interrupted as error:
                raise NoAnswer("the wait for the person was ended; ask again to wait on") from error
            if deed is None:
                return None
            reply = self._take(step, deed)
            if reply is not None:
                return self._replied(reply)
        return self._replied(Reply(step.answers, step.ids))

    def _take(self, step: _Step, deed: Deed) -> Reply | None:
        """Takes in a deed; the reply, where it ends the step, and else the next question is on the page."""
        question = step.posed
        assert question is not None
        nothing = np.full(len(step.media), NOT_ASKED, dtype=np.int64)
        if isinstance(deed, Answered):
            self._given.append(_Given(deed.answer.id, question.repeat_of))
            if question.repeat_of is None:
                step.answers[step.place], step.ids[step.place] = deed.answer.preference, deed.answer.id
                step.place += 1
                self._queries += 1
                if step.place == len(step.media):
                    return None
            self._pose((self._repeat() if question.repeat_of is None else None) or self._next_pair(step))
            return None
        if isinstance(deed, Undone):
            given = self._given.pop()
            again = self._question(given.id)._replace(revises=given.id)
            if again.repeat_of is not None:
                self._pose(again)
                return None
            self._queries -= 1
            self._undone[again.noise.tobytes()] = given.id
            if step.place == 0:
                return Reply(nothing, nothing.copy(), retracted=(given.id,))
            step.place -= 1
            step.answers[step.place] = step.ids[step.place] = NOT_ASKED
            self._pose(again)
            return None
        if isinstance(deed, Restarted):
            earlier = {given.id for given in self._given if given.repeat_of is None} - set(step.ids.tolist())
            self._given, self._undone, self._queries = [], {}, 0
            return Reply(nothing, nothing.copy(), retracted=tuple(sorted(earlier)), restart_from=deed.noise)
        self._found = (deed.noise, deed.medium)
        return Reply(step.answers, step.ids, accepted=deed.noise)

    def _replied(self, reply: Reply) -> Reply:
        self._step = None
        self._session.taken(self._queries)
        if reply.accepted is not None:
            self.finish("You have found it.")
        elif self._queries >= self._max_queries:
            self.finish("All answers are given.")
        return reply

    def _next_pair(self, step: _Step) -> Question:
        noise = step.noise[step.place]
        revises = self._undone.get(noise.tobytes()) if noise.size else None
        return Question(noise, step.media[step.place], bool(self._rng.random() < 0.5), revises=revises)

    def _repeat(self) -> Question | None:
        """An earlier question with the sides changed, once in a while."""
        if self._rng.random() * _REPEAT_EVERY >= 1.0:
            return None
        asked = [given for given in self._given[:-_REPEAT_AFTER] if given.repeat_of is None]
        left = [given for given in asked if given.id not in self._repeated]
        if not left:
            return None
        earlier = left[int(self._rng.integers(len(left)))]
        self._repeated.add(earlier.id)
        question = self._question(earlier.id)
        return question._replace(first_is_left=not question.first_is_left, repeat_of=earlier.id, revises=None)

    def _pose(self, question: Question) -> None:
        assert self._step is not None
        self._step.posed = question
        self._session.pose(question, self._queries, self._given[-1].id if self._given else None)
        if question.repeat_of is None and self.on_question is not None:
            self.on_question()

    def show(self, noise: NDArray[np.float32], medium: Tensor, confidence: float | None = None) -> None:
        """Shows what a search recommends.

        Args:
            noise: (noise_dim,).
            medium: (*shape).
            confidence: how sure it is, from 0 to 1; None where it does not know.
        """
        if self._generator is None:
            raise RuntimeError("there is no search to show anything of; reset the environment first")
        self._session.show(noise, shown(self._generator.media, medium), confidence)

    def interrupt(self) -> None:
        """Ends a wait for the person, from another thread or a signal's handler."""
        self._session.interrupt()

    def finish(self, why: str, files: Mapping[str, Path] | None = None) -> None:
        """Shows the last page: what was found, and what can be downloaded.

        Args:
            why: the search ended, as a sentence for the person.
            files: more to download, by the names they shall have.
        """
        noise, medium = self._found or self._session.recommended or (None, None)
        contents: dict[str, Callable[[], bytes]] = {}
        if noise is not None and medium is not None:
            suffix = "png" if medium.sound is None else medium.sound.type.partition("/")[2]
            content, stored = medium.medium.content, io.BytesIO()
            np.save(stored, noise)
            contents |= {f"found.{suffix}": lambda: content, "noise.npy": stored.getvalue}
        contents |= {name: path.read_bytes for name, path in (files or {}).items() if path.is_file()}
        if self._session.log is not None:
            path = self._session.log.path
            contents |= {"answers.sqlite": path.read_bytes, "answers.parquet": lambda: table(path)}
        self._session.end(why, medium, self.consistency()._asdict(), contents)

    def consistency(self) -> Consistency:
        """How the answers of this search agree with each other."""
        return Consistency(0, 0, 0, 0) if self._session.log is None else consistency(self._session.log.path)

    def wait_until_left(self) -> None:
        """Waits until the person has finished with the last page, or closed it."""
        self._session.wait_until_left()

    def close(self) -> None:
        """Ends the page; may be called again."""
        self._closed = True
        self._server.close()
        if self._opened is not None:
            self._opened.close()
