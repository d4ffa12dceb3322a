"""The loop that drives any agent on any pairs environment, logs and saves. It alone here may look at the score."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agents.base import Agent, Noise
from agents.record import Record, Summary
from pbg_env import Answer, Preference, sample_noise

_RATED = 1000
_SHOWN_OF_RATED = 8
_BATCH = 100


def run(agent: Agent, env: gym.Env[Any, Any], record: Record, seed: int, *, quiet: bool = False) -> Summary:
    """Searches until the oracle is satisfied, the budget is spent or the agent is finished.

    Args:
        agent: any strategy.
        env: a `PBG-…-Pairs-v0` of one pair a step and actions in noise.
        record: of the run; closed at the end.
        seed: of the environment and of the agent, which get streams of their own.
        quiet: no progress bar.

    Returns:
        How it ended. Ctrl-C ends the run early and everything is written.
    """
    search = _Search(agent, env, record, seed)
    search.begin()
    with tqdm(total=search.space.max_queries, desc="searching", unit="answer", disable=quiet) as progress:
        try:
            while search.stopped_because == "running":
                search.ask()
                progress.update(search.queries - progress.n)
                if search.score is not None:
                    progress.set_postfix(score=f"{search.score:.2f}", refresh=False)
        except KeyboardInterrupt:
            search.stopped_because = "interrupted"
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
        self._started = time.monotonic()
        self._accepted: Noise | None = None
        self._asked: list[NDArray[np.uint8]] = []

    def begin(self) -> None:
        self._observation, _ = self.env.reset(seed=self.seed)
        # The environment spawns its streams from the plain seed; the agent's stream must be none of them.
        agent_seed = int(np.random.SeedSequence((self.seed, 1)).generate_state(1, np.uint64)[0])
        self.agent.reset(self.space.generator, self.space.discriminator, agent_seed)
        self._rounds = 0
        self.score = self._evaluate(self.agent.destination)
        self.record.begin(self._media(self.agent.destination[None])[0], self.space.target)

    def ask(self) -> None:
        """One question, from the agent to the oracle and back."""
        # What lies out of range would be clipped unseen: the answer is about what was shown.
        action = np.clip(self.agent.act(self._observation), self._low, self._high)
        self._observation, _, terminated, truncated, info = self.env.step(action)
        ids = range(self.queries, int(info["queries"]))
        for number, pair, answer in zip(ids, action, info["preference"], strict=False):
            self.record.answer(Answer(number, pair[0], pair[1], Preference(int(answer))))
        self.queries = int(info["queries"])
        if self.env.render_mode == "rgb_array":
            self._asked.append(self.env.render())  # type: ignore[arg-type]
        self.agent.observe(action[: len(ids)], info["preference"][: len(ids)], ids)
        if terminated:
            self.stopped_because = "satisfied"
            self._accepted = _preferred(action, info["preference"], len(ids))
        elif truncated:
            self.stopped_because = "budget"
        elif self.agent.finished:
            self.stopped_because = "rounds"
        if self.agent.rounds > self._rounds:
            self._rounds = self.agent.rounds
            self._round()

    def _round(self) -> None:
        destination = self.agent.destination
        self.score = self._evaluate(destination)
        asked = np.concatenate(self._asked) if self._asked else None
        self._asked.clear()
        medium = self._media(destination[None])[0]
        self.record.round(self._summary(), destination, medium, asked, self.agent.metrics)

    def end(self) -> Summary:
        # What the oracle has accepted needs no further guess.
        destination = self.agent.destination if self._accepted is None else self._accepted
        self.score = self._evaluate(destination)
        self._show_rated()
        summary = self._summary()
        self.record.end(summary, destination, self._media(destination[None])[0], self.space.target)
        return summary

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

    def _evaluate(self, noise: Noise) -> float | None:
        return float(self.space.evaluate(noise)) if self.space.has_score else None

    def _media(self, noise: NDArray[np.float32]) -> torch.Tensor:
        return self.space.generate(noise)


def _preferred(action: Noise, answers: NDArray[np.int64], count: int) -> Noise | None:
    """The preferred one of the last pair asked, where the answer named one."""
    answer = int(answers[count - 1])
    return action[count - 1, answer] if answer in (Preference.FIRST, Preference.SECOND) else None
