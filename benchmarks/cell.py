"""One search of a benchmark: a strategy on a task, towards one target, from one seed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium as gym
import jsonargparse
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import agents
import pbg_env
from agents.base import Agent, Noise
from pbg_env import Preference, sample_noise

# Names its package, so that processes of their own register it.
ENV_ID = "pbg_env:PBG-StackGANv2-Pairs-v0"

_KEY_LENGTH = 24

Row = dict[str, Any]
"""What a search had reached at a checkpoint; its names are those of `search`."""


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
        environment: arguments of the environment.
        agent: `class_path` and `init_args` of the strategy, resolved.
        files: hashes of the files, folders and modules that environment and agent name.
        sources: hash of the code and the embedded weights.
    """

    task: str
    strategy: str
    target: int
    seed: int
    first_seed: int
    checkpoints: tuple[int, ...]
    environment: dict[str, Any]
    agent: dict[str, Any]
    files: dict[str, str]
    sources: str

    @cached_property
    def key(self) -> str:
        """Another one for whatever could give another result."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


class SourcesChanged(RuntimeError):
    """The code is another than what a benchmark was started with."""


class SearchTimeout(Exception):
    """A search took too long; no OSError, as TimeoutError is, which some code takes for a missing file."""


@cache
def sources() -> str:
    """Hash of all modules of `pbg_env` and `agents`, of this one, and of the embedded weights, as they stood first."""
    digest = hashlib.sha256()
    folders = [Path(str(package.__file__)).parent for package in (pbg_env, agents)]
    named = [(f"{folder.name}/{path.relative_to(folder).as_posix()}", path)
             for folder in folders for pattern in ("*.py", "*.safetensors")
             for path in folder.rglob(pattern)]  # fmt: skip
    for name, path in [*sorted(named), ("benchmarks/cell.py", Path(__file__))]:
        digest.update(f"{name} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:_KEY_LENGTH]


def file_hash(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        named = "".join(f"{file.relative_to(path).as_posix()} {file_hash(file)}\n" for file in inside)
        return hashlib.sha256(named.encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def named_files(settings: Any) -> dict[str, str]:
    """Hashes of what settings name: files, folders as in "vit:FOLDER", and modules of the user's own."""
    if isinstance(settings, dict):
        settings = list(settings.values())
    if isinstance(settings, list):
        return {name: found for value in settings for name, found in named_files(value).items()}
    if not isinstance(settings, str):
        return {}
    paths = [Path(text) for text in (settings, settings.partition(":")[2]) if text]
    paths += [path for path in map(_module_file, (settings.partition(":")[0], settings.rpartition(".")[0])) if path]
    return {str(path): file_hash(path) for path in paths if path.exists()}


def _module_file(name: str) -> Path | None:
    """The source of a module that is none of a library's and whose code `sources` does not cover."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    is_foreign = {"site-packages", "dist-packages"} & set(path.parts) or name.partition(".")[
        0
    ] in sys.stdlib_module_names
    return None if is_foreign or name.partition(".")[0] in ("pbg_env", "agents") else path


def agent_parser() -> jsonargparse.ArgumentParser:
    """Reads `agent`, the `class_path` and `init_args` of any `Agent`; raises `ArgumentError` instead of exiting."""
    line = jsonargparse.ArgumentParser(exit_on_error=False)
    line.add_argument("--agent", type=Agent, required=True)
    return line


def agent_from(described: dict[str, Any]) -> Agent:
    """Makes the agent that `class_path` and `init_args` describe."""
    line = agent_parser()
    # A copy: parsing turns what stands in lists into objects of its own.
    agent: Agent = line.instantiate(line.parse_object({"agent": deepcopy(described)})).agent
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


def opened(cell: Cell) -> tuple[gym.Env[Any, Any], Any]:
    """The environment of a cell, reset, with its first observation."""
    env = gym.make(ENV_ID, disable_env_checker=True, **cell.environment)
    space: Any = env.unwrapped
    target = target_noise(cell.first_seed, cell.target, space.noise_dim)
    observation, _ = env.reset(seed=seeds(cell.first_seed, cell.target, cell.seed)[0], options={"target": target})
    return env, observation


def search(cell: Cell) -> list[Row]:
    """Runs the search of a cell, one pair a step.

    Returns:
        For each checkpoint: `task`, `strategy`, `target`, `seed`; `answers`, the checkpoint; `queries`, the answers
        given, fewer where the agent had `finished` before; `score` of its destination; `thinking`, seconds an answer
        that the agent spent in act and observe; `ties`, the share of answers that called both good.
    """
    env, observation = opened(cell)
    space: Any = env.unwrapped
    actions: Any = env.action_space
    agent = agent_from(cell.agent)
    agent.reset(space.generator, space.discriminator, seeds(cell.first_seed, cell.target, cell.seed)[1])
    rows: list[Row] = []
    queries, ties, thinking = 0, 0, 0.0
    for checkpoint in cell.checkpoints:
        while queries < checkpoint and not agent.finished:
            start = time.perf_counter()
            action = agent.act(observation)
            thinking += time.perf_counter() - start
            # What lies out of range would be clipped unseen: the answer is about what was shown.
            action = np.clip(action, actions.low, actions.high)
            observation, _, _, _, info = env.step(action)
            answers = info["preference"]
            start = time.perf_counter()
            agent.observe(action, answers, [queries])
            thinking += time.perf_counter() - start
            queries += 1
            ties += int(answers[0] == Preference.BOTH_GOOD)
        rows.append(
            {"task": cell.task, "strategy": cell.strategy, "target": cell.target, "seed": cell.seed}
            | {"answers": checkpoint, "queries": queries, "finished": queries < checkpoint}
            | {"score": float(space.evaluate(agent.destination))}
            | {"thinking": thinking / max(queries, 1), "ties": ties / max(queries, 1)}
        )
    env.close()
    return rows


def run_cell(cell: Cell, path: Path, timeout: float | None) -> bool:
    """Runs a cell and stores its rows, or why there are none, as a JSON file that is there whole or not at all.

    Args:
        cell: what to run.
        path: of the file.
        timeout: seconds after which the cell counts as failed, None for no limit; kept where the system has SIGALRM.

    Returns:
        Whether it succeeded.

    Raises:
        SourcesChanged: the code is another than the cell was made for; nothing is stored.
    """
    torch.set_num_threads(1)
    # The same results on every device and with every number of processes.
    torch.backends.cudnn.deterministic = True
    result: dict[str, Any] = {"cell": asdict(cell), "rows": [], "error": None}
    if sources() != cell.sources:
        raise SourcesChanged("the sources have changed since the benchmark was started; start it again")
    try:
        with threadpool_limits(1), _time_limit(timeout):
            result["rows"] = search(cell)
    except Exception:
        result["error"] = traceback.format_exc()
    write(path, json.dumps(result, indent=1) + "\n")
    return result["error"] is None


def write(path: Path, text: str) -> None:
    """Writes a file that is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


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
