from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.base import Agent
from agents.particles import network, surrogate
from agents.reference.__main__ import parser
from agents.reference.agent import ReferenceAgent
from agents.reference.reward.meta_learned import Start
from agents.reference.reward.perceptrons import Perceptrons
from pbg_env import NOISE_BOUND, Discriminator, PreferencePairsEnv
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.conftest import CPU, small_generator_network

CONFIGS = Path(__file__).parents[2] / "configs" / "agents"


@pytest.fixture(autouse=True)
def little_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of small generators networks learn in a second what they need not know well."""
    monkeypatch.setattr(surrogate, "SAMPLES", 2048)
    monkeypatch.setattr(network, "_EPOCHS", 12)


@pytest.fixture(params=["original", "reference", "meta"])
def config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of each configuration we ship; the start that one begins from is one for the small generator."""
    monkeypatch.setattr("agents.reference.reward.meta_learned.STARTS", _small_starts())
    return str(request.param)


@cache
def _small_starts() -> Path:
    generator = StackGANGenerator(small_generator_network(), -1, CPU)
    network = Perceptrons(1, [generator.noise_dim, 8], torch.Generator().manual_seed(0)).requires_grad_(False)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    start = Start(list(network.weights), list(network.biases), torch.full((4,), -1.0), 3)
    start.save(folder / "avatars.safetensors", generator.weights)
    return folder


def agent_from(name: str, *overrides: str) -> ReferenceAgent:
    line = parser()
    arguments: Any = line.parse_args(["--config", str(CONFIGS / f"{name}.yaml"), *overrides])
    return line.instantiate(arguments).agent


def ask(agent: Agent, env: PreferencePairsEnv, count: int, first_id: int = 0) -> list[tuple[np.ndarray, int]]:
    """Lets an agent ask, and returns its actions with their answers."""
    given = []
    for number in range(first_id, first_id + count):
        action = agent.act(None)
        answer = env.step(action)[4]["preference"]
        agent.observe(action, answer, [number])
        given.append((action, int(answer[0])))
    return given


def searched(
    agent: Agent,
    generator: StackGANGenerator,
    answers: int,
    seed: int = 3,
    *,
    tool: Discriminator | None = None,
    **told: Any,
) -> tuple[PreferencePairsEnv, list[tuple[np.ndarray, int]]]:
    """Begins a search in an environment with these arguments, and lets the agent ask."""
    env = PreferencePairsEnv(1, generator, goal=None, **told)
    env.reset(seed=0)
    agent.reset(generator, tool, seed)
    given = ask(agent, env, answers)
    assert all(env.action_space.contains(action) for action, _ in given)
    assert agent.destination.shape == (generator.noise_dim,)
    assert np.abs(agent.destination).max() <= NOISE_BOUND
    return env, given


def mean_scores(
    make: Callable[[], Agent], generator: StackGANGenerator, answers: int, seeds: Iterable[int]
) -> tuple[float, float]:
    """Of what agents recommend before their first answer, and after so many; over searches of these seeds."""
    scores = []
    for seed in seeds:
        agent = make()
        agent.reset(generator, None, seed)
        begun = agent.destination
        env, _ = searched(agent, generator, answers, seed)
        scores.append((env.evaluate(begun), env.evaluate(agent.destination)))
    before, after = np.mean(scores, axis=0)
    return before, after


def take_back(used: Agent, fresh: Agent, given: list[tuple[np.ndarray, int]], back: list[int]) -> None:
    """Takes answers back from one agent; another that never observed them must be as it is."""
    used.retract(back)
    for number, (action, answer) in enumerate(given):
        if number not in back:
            fresh.observe(action, np.array([answer]), [number])
    np.testing.assert_array_equal(used.destination, fresh.destination)
    np.testing.assert_array_equal(used.act(None), fresh.act(None))
