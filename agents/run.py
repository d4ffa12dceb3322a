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
from agents.interruption import Interruption
from agents.record import Record, Summary
from pbg_env import Answer, Preference, sample_noise

_RATED = 1000
_SHOWN_OF_RATED = 8
_BATCH = 100

Result = TypeVar("Result")


def run(agent: Agent, env: gym.Env[Any, Any], record: Record, seed: int, *, quiet: bool = False) -> Summary:
    """Searches until the oracle is satisfied, the budget is spent or the agent is finished.

    A record that resumes a run holds its logged answers: these are asked again first, and each must come out again.

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
    with closing(record), Interruption(lambda: record.replaying) as interruption:
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
        self._started = self._round_started = time.monotonic()
        self._seconds = {"agent": 0.0, "environment": 0.0}
        self._accepted: Noise | None = None
        self._destination: Noise = np.empty(0, dtype=np.float32)

    def begin(self) -> None:
        self._observation, _ = self.env.reset(seed=self.seed)
        # The environment spawns its streams from the plain seed; the agent's stream must be none of them.
        agent_seed = int(np.random.SeedSequence((self.seed, 1)).generate_state(1, np.uint64)[0])
        self.agent.reset(self.space.generator, self.space.discriminator, agent_seed)
        self._rounds = 0
        self._see(self.agent.destination)
        self._frame_width = self.space.generator.media.frame(self._medium).shape[1]
        self.record.begin(self._medium, self.space.target)
        self._round_started = time.monotonic()

    def ask(self) -> None:
        """One question, from the agent to the oracle and back."""
        # What lies out of range would be clipped unseen: the answer is about what was shown.
        action = np.clip(self._timed("agent", lambda: self.agent.act(self._observation)), self._low, self._high)
        for number, pair in enumerate(action, self.queries):
            self.record.replay.check_pair(number, *pair)
        self._observation, _, terminated, truncated, info = self._timed("environment", lambda: self.env.step(action))
        if len(info["retracted"]):
            raise RuntimeError("answers were taken back, which this loop cannot follow")
        ids = range(self.queries, int(info["queries"]))
        answers = info["preference"][: len(ids)]
        for number, pair, preference in zip(ids, action, answers, strict=False):
            answer = Answer(number, pair[0], pair[1], Preference(int(preference)))
            self.record.answer(answer)
        if self.env.render_mode == "rgb_array":
            self._show(answer)
        self.queries = int(info["queries"])
        self._timed("agent", lambda: self.agent.observe(action[: len(ids)], answers, ids))
        if self.agent.rounds > self._rounds:
            self._rounds = self.agent.rounds
            self._round()
        if terminated:
            self.stopped_because = "satisfied"
            self._accepted = self._what_satisfied(action[: len(ids)], answers)
        elif truncated:
            self.stopped_because = "budget"
        elif self.agent.finished:
            self.stopped_because = self.agent.finished_because or "rounds"
        if self.stopped_because != "running":
            self.record.replay.check_end(self.queries, self.stopped_because)

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
        self.record.round(self._summary(), self._destination, self._medium, metrics)

    def end(self) -> Summary:
        # What the oracle has accepted needs no further guess.
        self._see(self.agent.destination if self._accepted is None else self._accepted)
        self._show_rated()
        summary = self._summary()
        self.record.end(summary, self._destination, self._medium, self.space.target)
        return summary

    def _what_satisfied(self, pairs: Noise, answers: NDArray[np.int64]) -> Noise | None:
        """The noise that satisfied the oracle, of the pairs (pairs, 2, noise_dim) of the last step."""
        if self.space.has_score:
            shown = pairs.reshape(-1, pairs.shape[-1])
            # An imperfect oracle may have named the other one.
            return shown[int(self.space.evaluate(shown).argmax())]
        answer = int(answers[-1])
        return pairs[-1, answer] if answer in (Preference.FIRST, Preference.SECOND) else None

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
