"""What every strategy of every stage promises: the ablation names them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.base import Agent
from benchmarks.cell import agent_from
from benchmarks.suite import Strategy
from pbg_env import PreferencePairsEnv
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.agents.conftest import ask, take_back

ABLATION = Path(__file__).parents[3] / "configs" / "benchmarks" / "ablation.yaml"
STRATEGIES: dict[str, dict[str, Any]] = yaml.safe_load(ABLATION.read_text())["strategies"]
# Its start belongs to the embedded generator.
FOR_SMALL = [name for name in STRATEGIES if "meta" not in name]
ANSWERS = 40


def agent(name: str) -> Agent:
    return agent_from(Strategy(**STRATEGIES[name]).resolved())


def answered(
    agent: Agent, generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> list[tuple[np.ndarray, int]]:
    env = PreferencePairsEnv(1, generator, teacher="human", goal=None)
    env.reset(seed=0)
    agent.reset(generator, discriminator, 3)
    given = ask(agent, env, ANSWERS)
    assert all(env.action_space.contains(action) for action, _ in given)
    assert agent.rounds >= 1
    return given


@pytest.mark.parametrize("name", FOR_SMALL)
def test_taking_back_is_never_having_observed(
    name: str, generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    """Nothing that a stage keeps survives a beginning: an agent that was used before is as good as a fresh one."""
    used, fresh = agent(name), agent(name)
    given = answered(used, generator, discriminator)
    fresh.reset(generator, discriminator, 3)
    take_back(used, fresh, given, [1, 30])
    assert used.rounds == fresh.rounds


def test_every_strategy_is_in_the_ablation() -> None:
    """Whoever adds one measures it."""
    from agents.reference import champion, destination, filtering, memory, pairing, reward, sampling

    told = json.dumps([Strategy(**strategy).resolved() for strategy in STRATEGIES.values()])
    for module in (sampling, filtering, pairing, champion, memory, reward, destination):
        base = {"Sampling", "Filter", "Selection", "Pairing", "Tracker", "Memory", "RewardModel", "Mover"}
        for name, member in vars(module).items():
            is_own = isinstance(member, type) and member.__module__.startswith(module.__name__)
            if is_own and name not in base and hasattr(member, "__abstractmethods__"):
                assert f".{name}" in told, f"{module.__name__}.{name}"
