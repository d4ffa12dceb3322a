"""One search of a benchmark: a strategy on a task, towards one target, from one seed."""

from __future__ import annotations

import hashlib
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cached_property
from types import FrameType
from typing import Any, SupportsFloat

import gymnasium as gym
import jsonargparse
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from agents.base import Agent, Learner, Noise
from benchmarks.sources import sources
from benchmarks.targets import picture, portrait
from pbg_env import Generator, Preference, sample_noise
from pbg_env.envs.wishes import PRIOR

PORTRAITS = "portraits"

_KEY_LENGTH = 24
# More than any suite has targets: suites of different first seeds share no portrait.
_PORTRAITS_OF_A_SUITE = 10_000

Row = dict[str, Any]
"""What a search had reached at a checkpoint; its names are those of `search`."""

Strategy = Agent | Learner


@dataclass(frozen=True)
class Cell:
    """Everything that the result of one search depends on, as plain data.

    Attributes:
        task: its name.
        strategy: its name.
        target: number of the target, from 0.
        seed: number of the search towards that target, from 0.
        first_seed: of the suite; with the numbers above it gives all randomness.
        checkpoints: numbers of answers, ascending, at which a row is made.
        targets: "prior", "portraits", a folder of pictures, or None where no target is wanted.
        environment: arguments of the environment.
        agent: `class_path` and `init_args` of the strategy, resolved.
        slow: seconds of processor time an answer above which a strategy is slow; None where none is.
        slow_stops_at: the checkpoint after which a slow strategy stops.
        files: hashes of the files and folders that environment and agent name.
        sources: hash of the code and weights that the search runs.
    """

    task: str
    strategy: str
    target: int
    seed: int
    first_seed: int
    checkpoints: tuple[int, ...]
    targets: str | None
    environment: dict[str, Any]
    agent: dict[str, Any]
    slow: float | None
    slow_stops_at: int
    files: dict[str, str]
    sources: str

    @cached_property
    def key(self) -> str:
        """Another one for whatever could give another result."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]

    @property
    def place(self) -> dict[str, Any]:
        """Where in the benchmark it stands."""
        return {"task": self.task, "strategy": self.strategy, "target": self.target, "seed": self.seed}


class SourcesChanged(RuntimeError):
    """The code is another than what a benchmark was started with."""


class SearchTimeout(Exception):
    """A search took too long; no OSError, as TimeoutError is, which some code takes for a missing file."""


class _Spent(Exception):
    """All answers are given, or the strategy is too slow for more; a strategy never sees another step."""


def agent_parser() -> jsonargparse.ArgumentParser:
    """Reads `agent`, the `class_path` and `init_args` of any `Agent` or `Learner`; raises `ArgumentError` instead of
    exiting."""
    line = jsonargparse.ArgumentParser(exit_on_error=False)
    line.add_argument("--agent", type=Strategy, required=True)
    return line


def agent_from(described: dict[str, Any]) -> Strategy:
    """Makes the strategy that `class_path` and `init_args` describe."""
    line = agent_parser()
    # A copy: parsing turns what stands in lists into objects of its own.
    agent: Strategy = line.instantiate(line.parse_object({"agent": deepcopy(described)})).agent
    return agent


def target_noise(first_seed: int, target: int, noise_dim: int) -> Noise:
    """The noise (noise_dim,) of a target: the same for every strategy and every seed."""
    return sample_noise((noise_dim,), np.random.default_rng(np.random.SeedSequence((first_seed, target))))


def seeds(first_seed: int, target: int, seed: int) -> tuple[int, int]:
    """Seeds of the environment and of the agent, the same for every strategy."""
    # (a, b) and (a, b, 0) are one seed to numpy: spawned ones are apart from the target's in any case.
    children = np.random.SeedSequence((first_seed, target, seed)).spawn(2)
    of_environment, of_agent = (int(child.generate_state(1, np.uint64)[0]) for child in children)
    return of_environment, of_agent


def opened(cell: Cell, *, candidates: bool = False) -> tuple[gym.Env[Any, Any], Any]:
    """The environment of a cell, reset, with its first observation.

    Args:
        cell: whose.
        candidates: whether it asks a candidate against the incumbent, as learners need it, or pairs.
    """
    # The id names its package, so that processes of their own register it.
    name, told = ("-v0", {"action": "unit"}) if candidates else ("-Pairs-v0", {})
    env = gym.make(f"pbg_env:PBG-StackGANv2{name}", disable_env_checker=True, **(cell.environment | told))
    space: Any = env.unwrapped
    target = _target(cell, space.generator)
    options = {} if target is None else {"target": target}
    observation, _ = env.reset(seed=seeds(cell.first_seed, cell.target, cell.seed)[0], options=options)
    return env, observation


def _target(cell: Cell, generator: Generator) -> Any:
    if cell.targets is None:
        return None
    if cell.targets == PRIOR:
        return target_noise(cell.first_seed, cell.target, generator.noise_dim)
    if cell.targets == PORTRAITS:
        return portrait(_PORTRAITS_OF_A_SUITE * cell.first_seed + cell.target, generator.media.shape[-1])
    return picture(cell.targets, cell.target)


class _Recorded(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that makes the rows of its search before every step that follows a checkpoint.

    Args:
        env: reset.
        observation: its first.
        cell: which search.
        destination: what the strategy recommends now; None for the incumbent.
    """

    def __init__(
        self, env: gym.Env[Any, Any], observation: Any, cell: Cell, destination: Callable[[], Noise | None]
    ) -> None:
        super().__init__(env)
        self.rows: list[Row] = []
        self.is_slow = False
        self._space: Any = env.unwrapped
        self._first = self._last = observation
        self._cell = cell
        self._destination = destination
        self._counts = np.zeros(len(Preference), dtype=np.int64)
        self._thinking = 0.0
        self._generated = 0
        self._since: float | None = None

    # In processor time: what else the machine is doing makes nobody slow.
    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Whatever is done in the block, outside of `step`, is the strategy's own doing."""
        generator = self._space.generator
        generate = generator.generate

        def counted(noise: torch.Tensor) -> torch.Tensor:
            self._generated += len(noise) if self._since is not None else 0
            return generate(noise)

        generator.generate = counted
        self._since = time.process_time()
        try:
            yield
        finally:
            del generator.generate
            self._pause()

    def _pause(self) -> None:
        if self._since is not None:
            self._thinking += time.process_time() - self._since
        self._since = None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """The search has begun already; libraries begin by a reset, and make another when the budget is spent."""
        del kwargs
        if self._queries:
            self._look()
            raise _Spent
        return self._first, {}

    def step(self, action: NDArray[np.floating]) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._look()
        self._pause()
        try:
            result = self.env.step(action)
        finally:
            self._since = time.process_time()
        self._last = result[0]
        self._counts += np.bincount(result[4]["preference"], minlength=len(Preference))
        return result

    @property
    def _queries(self) -> int:
        return int(self._counts.sum())

    def _look(self) -> None:
        """Makes the row of the checkpoint that is reached, if one is."""
        checkpoints = self._cell.checkpoints
        if len(self.rows) < len(checkpoints) and self._queries == checkpoints[len(self.rows)]:
            self._add(checkpoints[len(self.rows)])
            slow = self._cell.slow
            too_slow = slow is not None and self.rows[-1]["thinking"] > slow
            is_last = len(self.rows) == len(checkpoints)
            self.is_slow = too_slow and not is_last and self._queries >= self._cell.slow_stops_at
        if self.is_slow or len(self.rows) == len(checkpoints):
            raise _Spent

    def finish(self) -> None:
        """Makes the rows that are left of a strategy that has ended by itself."""
        with suppress(_Spent):
            self._look()
        if not self.is_slow:
            for checkpoint in self._cell.checkpoints[len(self.rows) :]:
                self._add(checkpoint)

    def _add(self, answers: int) -> None:
        queries = self._queries
        noise = self._destination()
        self._pause()
        score = float(self._space.evaluate(self._last["incumbent"] if noise is None else noise))
        # A learner shows the incumbent's picture again, which is there already.
        shown = queries * (1 if "incumbent" in self._last else 2)
        self.rows.append(
            {**self._cell.place, "answers": answers, "queries": queries, "finished": queries < answers, "score": score}
            | {"thinking": self._thinking / max(queries, 1), "generated": self._generated + shown}
            | {answer.name.lower(): int(count) for answer, count in zip(Preference, self._counts, strict=True)}
        )
        self._since = time.process_time()


def search(cell: Cell) -> tuple[list[Row], bool]:
    """Runs the search of a cell, one pair a step.

    Returns:
        For each checkpoint: `task`, `strategy`, `target`, `seed`; `answers`, the checkpoint; `queries`, the answers
        given, fewer where the agent had `finished` before; `score` of what it recommends; `thinking`, seconds of
        processor time an answer that the strategy spent outside of the environment; `generated`, pictures made for the
        questions and by the strategy; `first`, `second`, `both_good`, `both_bad`, how many answers were which. Then
        whether the strategy was stopped for being slow, so that later checkpoints have no rows.
    """
    strategy = agent_from(cell.agent)
    env, observation = opened(cell, candidates=isinstance(strategy, Learner))
    space: Any = env.unwrapped
    recorded = _Recorded(env, observation, cell, lambda: strategy.destination)
    seed = seeds(cell.first_seed, cell.target, cell.seed)[1]
    if isinstance(strategy, Agent):
        # What an agent prepares for a generator is no thinking about answers.
        strategy.reset(space.generator, space.discriminator, seed)
    with recorded.thinking(), suppress(_Spent):
        if isinstance(strategy, Agent):
            _ask(strategy, recorded, observation)
        else:
            strategy.learn(recorded, cell.checkpoints[-1], seed)
        recorded.finish()
    env.close()
    return recorded.rows, recorded.is_slow


def _ask(agent: Agent, env: gym.Env[Any, Any], observation: Any) -> None:
    actions: Any = env.action_space
    number = 0
    while not agent.finished:
        # What lies out of range would be clipped unseen: the answer is about what was shown.
        action = np.clip(agent.act(observation), actions.low, actions.high)
        observation, _, _, _, info = env.step(action)
        agent.observe(action, info["preference"], [number])
        number += 1


def run_cell(cell: Cell, timeout: float | None) -> dict[str, Any]:
    """Runs a cell in this process, on one thread.

    Args:
        cell: what to run.
        timeout: seconds after which the cell counts as failed, None for no limit; kept where the system has SIGALRM.

    Returns:
        `task`, `strategy`, `target`, `seed`, `rows`; `error`, the traceback of one that failed, or None; `stopped`,
        "slow" or None.

    Raises:
        SourcesChanged: the code is another than the cell was made for.
    """
    torch.set_num_threads(1)
    # The same results on every device and with every number of processes.
    torch.backends.cudnn.deterministic = True
    result: dict[str, Any] = {**cell.place, "rows": [], "error": None, "stopped": None}
    if sources([cell.environment, cell.agent]) != cell.sources:
        raise SourcesChanged("the sources have changed since the benchmark was started; start it again")
    try:
        with threadpool_limits(1), _time_limit(timeout):
            result["rows"], is_slow = search(cell)
            result["stopped"] = "slow" if is_slow else None
    except Exception:
        result["error"] = traceback.format_exc()
    return result


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raises SearchTimeout in the block when it takes longer."""
    if seconds is None or not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise SearchTimeout(f"the search took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
