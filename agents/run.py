"""The loop that drives any agent on any pairs environment, logs, saves and resumes; it alone may look at the score."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agents.base import Agent, Noise
from agents.foresight import Foresight
from agents.interruption import Interruption
from agents.record import Record, Summary
from pbg_env import Answer, HumanOracle, NoAnswer, Person, Preference, sample_noise

_RATED = 1000
_SHOWN_OF_RATED = 8
_BATCH = 100
# Why a search has ended, for the person who answered.
_ENDINGS = {"satisfied": "You have found it.", "budget": "All answers are given."}

Result = TypeVar("Result")


def run(agent: Agent, env: gym.Env[Any, Any], record: Record, seed: int, *, quiet: bool = False) -> Summary:
    """Searches until the oracle is satisfied, the budget is spent or the agent is finished.

    A record that resumes a run holds its logged answers. A simulated user is asked them again first, and each must come
    out again; a person is spared that, and the agent observes them as they are.

    Args:
        agent: any strategy.
        env: a `PBG-…-Pairs-v0` of one pair a step and actions in noise.
        record: of the run; closed at the end.
        seed: of the environment and of the agent, which get streams of their own.
        quiet: no progress bar.

    Returns:
        How it ended. Ctrl-C ends the run after the step in progress, and everything is written.

    Raises:
        ReplayError: a logged answer did not come out again.
        KeyboardInterrupt: a second Ctrl-C, or one while logged answers are asked again.
    """
    search = _Search(agent, env, record, seed)
    # As long as logged answers come again nothing is lost by stopping at once.
    with closing(record), Interruption(lambda: record.replaying, search.interrupt) as interruption:
        try:
            search.begin()
        except BaseException:
            record.abandon()
            raise
        with tqdm(total=search.space.max_queries, unit="answer", disable=quiet) as progress:
            while search.stopped_because == "running":
                if interruption.wanted:
                    search.stopped_because = "interrupted"
                    break
                progress.set_description("repeating" if record.replaying else "searching", refresh=False)
                search.ask()
                progress.update(search.queries - progress.n)
                if search.score is not None:
                    progress.set_postfix(score=f"{search.score:.2f}", refresh=False)
        return search.end()


class _Search:
    """What one run knows: the agent's last observation, the counts, and the destination of the last round."""

    def __init__(self, agent: Agent, env: gym.Env[Any, Any], record: Record, seed: int) -> None:
        self.agent = agent
        self.env = env
        self.space: Any = env.unwrapped
        actions: Any = env.action_space
        self._low, self._high = actions.low, actions.high
        self.record = record
        self.seed = seed
        self.queries = 0
        self.score: float | None = None
        self.stopped_because = "running"
        self._foresight: Foresight | None = None
        self._later: list[Callable[[], None]] = []
        self._action: Noise = np.empty((0, 2, 0), dtype=np.float32)
        self._started = self._round_started = time.monotonic()
        self._seconds = {"agent": 0.0, "environment": 0.0}
        self._accepted: Noise | None = None
        self._destination: Noise = np.empty(0, dtype=np.float32)

    @property
    def person(self) -> Person | None:
        """Who answers, where that is nobody simulated."""
        person: Person | None = self.space.person
        return person

    def interrupt(self) -> None:
        """Ends the wait for a person."""
        if self.person is not None:
            self.person.interrupt()

    def begin(self) -> None:
        if isinstance(self.person, HumanOracle):
            self.person.log = self.record.log
            # Not sooner: media of the question itself are made before that.
            self.person.on_question = self._work_ahead
        self._observation, _ = self.env.reset(seed=self.seed)
        # The environment spawns its streams from the plain seed; the agent's stream must be none of them.
        agent_seed = int(np.random.SeedSequence((self.seed, 1)).generate_state(1, np.uint64)[0])
        self.agent.reset(self.space.generator, self.space.discriminator, agent_seed)
        self._rounds = 0
        self._see(self.agent.destination)
        self._frame_width = self.space.generator.media.frame(self._medium).shape[1]
        self.record.begin(self._medium, self.space.target)
        if self.person is not None:
            self._remember()
        self._round_started = time.monotonic()

    def _remember(self) -> None:
        """Takes in what a person has answered before, and shows them where that leads."""
        self._show_destination()
        start = self.record.log.restarted_from
        if start is not None:
            self.agent.restart(start)
        for answer in self.record.log.answers():
            self.queries += 1
            self._learn(np.stack((answer.first, answer.second))[None], [answer])
            self._catch_up()
            self._show_destination()
        # What was said last, but nobody has taken in.
        mark = self.record.log.last_mark
        if mark is not None and mark.kind == "accepted":
            self.stopped_because, self._accepted = "satisfied", mark.noise
        elif self.queries >= self.space.max_queries:
            self.stopped_because = "budget"

    def _work_ahead(self) -> None:
        """While a person looks: writes what waits to be written, and finds the next question after each answer."""
        if self._foresight is not None:
            self._foresight.stop()
        if len(self._action) == 1:
            self._foresight = Foresight(self.agent, self._action, self.record.log.next_id, self._later)
            self._later = []

    def ask(self) -> None:
        """One question, from the agent to the oracle and back."""
        # What lies out of range would be clipped unseen: the answer is about what was shown.
        action = np.clip(self._timed("agent", lambda: self.agent.act(self._observation)), self._low, self._high)
        for number, pair in enumerate(action, self.queries):
            self.record.replay.check_pair(number, *pair)
        self._action = action
        try:
            step = self._timed("environment", lambda: self.env.step(action))
        except NoAnswer:
            self.stopped_because = "interrupted"
            return
        finally:
            if self._foresight is not None:
                self._foresight.stop()
            self._catch_up()
        self._observation, _, terminated, truncated, info = step
        self._take_back(info)
        given = [
            Answer(int(number), pair[0], pair[1], Preference(int(preference)))
            for pair, preference, number in zip(action, info["preference"], info["ids"], strict=True)
            if preference >= 0
        ]
        self.queries = int(info["queries"])
        if given:
            self._learn(action[info["preference"] >= 0], given)
        if self.person is not None:
            self._show_destination()
        if terminated:
            self.stopped_because = "satisfied"
            self._accepted = info["accepted"] if "accepted" in info else self._what_satisfied(given)
        elif truncated:
            self.stopped_because = "budget"
        elif self.agent.finished:
            self.stopped_because = self.agent.finished_because or "rounds"
        if self.stopped_because != "running":
            self.record.replay.check_end(self.queries, self.stopped_because)

    def _take_back(self, info: dict[str, Any]) -> None:
        """Follows a person who has taken answers back, or begins again."""
        retracted = info["retracted"].tolist()
        self.record.retract(retracted)
        if "restart_from" in info:
            self.agent.restart(info["restart_from"])
        elif retracted:
            self._timed("agent", lambda: self.agent.retract(retracted))
        self._rounds = min(self._rounds, self.agent.rounds)

    def _learn(self, pairs: Noise, answers: list[Answer]) -> None:
        """Records answers to pairs (pairs, 2, noise_dim), and lets the agent observe them."""
        for answer in answers:
            self.record.answer(answer)
        if self.person is not None:
            self._when_there_is_time(lambda: self._show_pairs(pairs, answers))
        elif self.env.render_mode == "rgb_array":
            self._show(answers[-1])
        self._timed("agent", lambda: self._observe(pairs, answers))
        if self.agent.rounds > self._rounds:
            self._rounds = self.agent.rounds
            self._round()

    def _observe(self, pairs: Noise, answers: list[Answer]) -> None:
        foreseen = None
        if self._foresight is not None:
            foreseen = self._foresight.take(answers[0].preference, answers[0].id)
            self._foresight = None
        if foreseen is not None:
            self.agent.become(foreseen)
            return
        preferences = np.array([answer.preference for answer in answers], dtype=np.int64)
        self.agent.observe(pairs, preferences, [answer.id for answer in answers])

    def _show_destination(self) -> None:
        """Shows a person what is recommended."""
        self.space.show(self.agent.destination, self.agent.confidence)

    def _show_pairs(self, pairs: Noise, answers: list[Answer]) -> None:
        """Hands on pairs that no environment has rendered in this run."""
        frames = [
            self.space.generator.media.frame(medium) for medium in self._media(pairs.reshape(-1, pairs.shape[-1]))
        ]
        for answer, first, second in zip(answers, frames[::2], frames[1::2], strict=True):
            self.record.shown(answer, first, second, np.concatenate((first, second), axis=1))

    def _show(self, answer: Answer) -> None:
        """Hands on the last pair from what the environment renders: first, gap, second, and perhaps gap, target."""
        row: NDArray[np.uint8] = self.env.render()  # type: ignore[assignment]
        width, shown = self._frame_width, 2 if self.space.target is None else 3
        gap = (row.shape[1] - shown * width) // (shown - 1)
        self.record.shown(answer, row[:, :width], row[:, width + gap : 2 * width + gap], row)

    def _round(self) -> None:
        self._see(self.agent.destination)
        ended = time.monotonic()
        seconds = {"round": ended - self._round_started} | self._seconds
        metrics = self.agent.metrics | {f"time/{name}": value for name, value in seconds.items()}
        self._round_started, self._seconds = ended, dict.fromkeys(self._seconds, 0.0)
        summary, destination, medium = self._summary(), self._destination, self._medium
        self._when_there_is_time(lambda: self.record.round(summary, destination, medium, metrics))

    def _when_there_is_time(self, act: Callable[[], None]) -> None:
        """Does it now; or, so that a person need not wait for it, while they look at their next question."""
        if self.person is None:
            act()
        else:
            self._later.append(act)

    def _catch_up(self) -> None:
        """Does what was left for later."""
        later, self._later = self._later, []
        for act in later:
            act()

    def end(self) -> Summary:
        self._catch_up()
        # What the oracle has accepted needs no further guess.
        self._see(self.agent.destination if self._accepted is None else self._accepted)
        self._show_rated()
        summary = self._summary()
        self.record.end(summary, self._destination, self._medium, self.space.target)
        if self.person is not None and summary.stopped_because != "interrupted":
            self.person.finish(_ENDINGS.get(summary.stopped_because, "The search has ended."), self.record.pictures())
        return summary

    def _what_satisfied(self, answers: list[Answer]) -> Noise | None:
        """The noise that satisfied the oracle, of the answers of the last step."""
        if self.space.has_score:
            shown = np.concatenate([(answer.first, answer.second) for answer in answers])
            # An imperfect oracle may have named the other one.
            return shown[int(self.space.evaluate(shown).argmax())]
        last = answers[-1]
        return {Preference.FIRST: last.first, Preference.SECOND: last.second}.get(last.preference)

    def _see(self, destination: Noise) -> None:
        """Generates and scores the destination, unless that is done."""
        if np.array_equal(destination, self._destination):
            return
        self._destination = destination.copy()
        self._medium = self._media(destination[None])[0]
        self.score = float(self.space.evaluate(destination)) if self.space.has_score else None

    def _show_rated(self) -> None:
        """Pictures of what the learned reward likes best and least among prior samples."""
        noise = sample_noise((_RATED, self.space.noise_dim), np.random.default_rng(self.seed))
        parts = torch.from_numpy(noise).to(self.space.generator.device).split(_BATCH)
        first = self.agent.rate(parts[0])
        if first is None:
            return
        ratings = torch.cat([first, *(self.agent.rate(part) for part in parts[1:])])  # type: ignore[list-item]
        order = ratings.argsort(descending=True).cpu().numpy()
        best, worst = (self._media(noise[chosen]) for chosen in (order[:_SHOWN_OF_RATED], order[-_SHOWN_OF_RATED:]))
        self.record.rated(best, worst, self.queries)

    def _summary(self) -> Summary:
        seconds = round(time.monotonic() - self._started, 3)
        return Summary(self.score, self.queries, self.agent.rounds, seconds, self.seed, self.stopped_because)

    def _timed(self, who: str, act: Callable[[], Result]) -> Result:
        started = time.monotonic()
        result = act()
        self._seconds[who] += time.monotonic() - started
        return result

    def _media(self, noise: NDArray[np.float32]) -> torch.Tensor:
        return self.space.generate(noise)
