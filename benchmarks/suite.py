"""What a benchmark is: tasks, strategies, targets and checkpoints, as data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from agents.reference.__main__ import parser as reference_parser
from agents.reference.agent import ReferenceAgent
from benchmarks.cell import Cell, agent_from, agent_parser
from benchmarks.sources import named_files, sources
from pbg_env.envs.wishes import PRIOR

Group = Literal["scratch", "pretrained", "ceiling"]
"""Whether a strategy knows nothing but the generator before its first answer, has learned from simulated users of it,
or knows the target and is no competitor."""

_REFERENCE = f"{ReferenceAgent.__module__}.{ReferenceAgent.__qualname__}"


@dataclass(frozen=True)
class Task:
    """Somebody who wants something, and how many answers they give. The search never ends early.

    Args:
        name: of the task.
        max_queries: the budget of answers.
        targets: "prior": pictures that the generator can make; "portraits": drawn ones that it never saw; a folder of
            pictures; or None for wishes without a target, which the similarity says all of.
        similarity: as the environments describe it; "{target}" in it stands for the target's number, so that a family
            of wishes has as many members as there are targets.
        generator: this and all others as the environments describe them.
    """

    name: str
    max_queries: PositiveInt
    targets: str | None = PRIOR
    similarity: str | None = None
    generator: str = "avatars"
    discriminator: str | None = None
    scale: int = -1
    teacher: str | dict[str, float | str | None] = "oracle"
    device: str = "cpu"

    def environment(self, target: int) -> dict[str, Any]:
        """Arguments of the environment towards a target."""
        told = {name: value for name, value in vars(self).items() if name not in ("name", "targets")}
        if self.similarity is not None:
            told["similarity"] = self.similarity.replace("{target}", str(target))
        return told | {"target": None if self.targets is None else PRIOR, "goal": None}


@dataclass(frozen=True)
class Strategy:
    """A way to search: a configuration of the reference agent, or any agent or learner by its class.

    Args:
        config: a YAML file of `python -m agents.reference`, of which the part `agent` counts.
        overrides: settings that differ from it, such as `agent.pairing.init_args.limit: 5`, or a whole stage by
            `agent.pairing: {class_path: …, init_args: {…}}`.
        agent: in place of `config`, the `class_path` of any `agents.base.Agent` or `Learner` and its `init_args`.
        group: "scratch", "pretrained" or "ceiling", which are compared apart.
        slow: whether it counts as slow where any may, however fast the machine: of one that takes about as long as the
            limit some searches would stop and others not.
    """

    config: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] | None = None
    group: Group = "scratch"
    slow: bool = False

    def resolved(self) -> dict[str, Any]:
        """`class_path` and `init_args` of the agent with every setting told, as plain data.

        Raises:
            ValueError: neither or both of `config` and `agent`, an unknown group, or settings the agent does not have.
        """
        if self.group not in get_args(Group):
            raise ValueError(f"group is {self.group!r}, expected one of {', '.join(get_args(Group))}")
        if (self.config is None) == (self.agent is None):
            raise ValueError("expected either config or agent")
        if self.overrides and self.config is None:
            raise ValueError("overrides change a config; settings of an agent are its init_args")
        line = agent_parser()
        try:
            described = self.agent
            if self.config is not None:
                described = {"class_path": _REFERENCE, "init_args": self._configured(self.config)}
            resolved: dict[str, Any] = yaml.safe_load(
                line.dump(line.parse_object({"agent": described}), skip_unset=False)
            )["agent"]
            # What a constructor refuses is told before the first search.
            agent_from(resolved)
        except (argparse.ArgumentError, TypeError) as error:
            raise ValueError(str(error)) from error
        return resolved

    def _configured(self, config: str) -> dict[str, Any]:
        foreign = [name for name in self.overrides if not name.startswith("agent.")]
        if foreign:
            raise ValueError(f"overrides {', '.join(foreign)}: expected settings of the agent, 'agent.…'")
        if not Path(config).is_file():
            raise ValueError(f"no such config: {config}")
        line = reference_parser()
        line.exit_on_error = False
        # Text as it is: a Literal takes no quotes.
        told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.overrides.items()}
        changed = [f"--{name}={value}" for name, value in told.items()]
        parsed = line.parse_args(["--config", config, *changed])
        settings: dict[str, Any] = yaml.safe_load(line.dump(parsed, skip_unset=False))["agent"]
        return settings


@dataclass(frozen=True)
class Suite:
    """A benchmark. Every strategy meets the same targets, the same teachers and the same seeds.

    Args:
        name: of the benchmark.
        tasks: what is searched for.
        strategies: by name; the first is the baseline of all others.
        targets: how many targets each task has.
        seeds: how many searches a strategy makes for each target.
        first_seed: what the targets and all else are drawn from; other numbers give other targets.
        checkpoints: numbers of answers after which the score is recorded, ascending.
        timeout: seconds after which a search counts as failed.
        slow: seconds of processor time an answer above which a strategy is slow; None where none is.
        slow_stops_at: the checkpoint at which slow strategies stop.

    Raises:
        ValueError: no tasks, strategies or checkpoints, equal names, checkpoints out of order or beyond a budget, or
            slow strategies that would stop at none of them.
    """

    name: str
    tasks: list[Task]
    strategies: dict[str, Strategy]
    targets: PositiveInt
    seeds: PositiveInt
    first_seed: NonNegativeInt
    checkpoints: list[NonNegativeInt]
    timeout: PositiveFloat | None = None
    slow: PositiveFloat | None = None
    slow_stops_at: PositiveInt = 100

    def __post_init__(self) -> None:
        for name in ("tasks", "strategies", "checkpoints"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one")
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"tasks: two have the same name among {', '.join(names)}")
        if sorted(set(self.checkpoints)) != list(self.checkpoints):
            raise ValueError(f"checkpoints are {self.checkpoints}, expected ascending numbers of answers")
        between = self.slow_stops_at < self.checkpoints[-1] and self.slow_stops_at not in self.checkpoints
        if self.slow is not None and between:
            raise ValueError(
                f"slow_stops_at is {self.slow_stops_at}, expected one of the checkpoints {self.checkpoints}"
            )
        for task in self.tasks:
            if task.max_queries < self.checkpoints[-1]:
                raise ValueError(
                    f"task {task.name}: max_queries is {task.max_queries}, but the last checkpoint is at "
                    f"{self.checkpoints[-1]} answers"
                )

    @staticmethod
    def read(settings: Mapping[str, Any]) -> Suite:
        """A suite from plain data; what is no setting of a suite is passed over."""
        # jsonargparse would make objects of the classes that overrides name.
        own = {field.name: settings[field.name] for field in fields(Suite)}
        own["tasks"] = [Task(**task) for task in own["tasks"]]
        own["strategies"] = {name: Strategy(**strategy) for name, strategy in own["strategies"].items()}
        return Suite(**own)

    def agents(self) -> dict[str, dict[str, Any]]:
        """Every strategy, resolved.

        Raises:
            ValueError: one has settings its agent does not have; the message names the strategy.
        """
        found = {}
        for name, strategy in self.strategies.items():
            try:
                found[name] = strategy.resolved()
            except ValueError as error:
                raise ValueError(f"strategy {name}: {error}") from error
        return found

    def cells(self) -> Iterator[Cell]:
        """All searches, those of one target and seed side by side, so that all strategies advance together."""
        agents = self.agents()
        code = {(task.name, name): sources([task.environment(0), agent])
                for task in self.tasks for name, agent in agents.items()}  # fmt: skip
        files = {task.name: named_files([task.environment(0), task.targets]) for task in self.tasks}
        of_agents = {name: named_files(agent) for name, agent in agents.items()}
        for seed in range(self.seeds):
            for target in range(self.targets):
                for task in self.tasks:
                    for name, agent in agents.items():
                        is_slow = self.slow is not None and self.strategies[name].slow
                        yield Cell(
                            task=task.name,
                            strategy=name,
                            target=target,
                            seed=seed,
                            first_seed=self.first_seed,
                            checkpoints=tuple(self.checkpoints),
                            targets=task.targets,
                            environment=task.environment(target),
                            agent=agent,
                            slow=0.0 if is_slow else self.slow,
                            slow_stops_at=self.slow_stops_at,
                            files=files[task.name] | of_agents[name],
                            sources=code[task.name, name],
                        )
