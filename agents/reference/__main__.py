"""`python -m agents.reference`: one run of the reference agent."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import jsonargparse
import yaml
from gymnasium.error import Error as GymnasiumError
from rich.console import Console
from rich.markup import escape

from agents.record import Record
from agents.reference import champion, destination, filtering, memory, pairing, reward, sampling  # noqa: F401
from agents.reference.agent import ReferenceAgent
from agents.run import run
from pbg_env import PreferencePairsEnv

ENV_ID = "PBG-StackGANv2-Pairs-v0"


def parser() -> jsonargparse.ArgumentParser:
    """The command line: the agent's stages, the environment's arguments, and the run's own."""
    line = jsonargparse.ArgumentParser(
        prog="python -m agents.reference", description="Searches a generator's noise space by pairwise answers."
    )
    line.add_argument("--config", action="config", help="YAML file with any of the settings below")
    line.add_argument("--seed", type=int, default=0, help="of everything random")
    line.add_argument("--out", type=Path | None, default=None, help="the run's folder; runs/… unless told")
    line.add_argument("--quiet", type=bool, default=False, help="no progress bar")
    line.add_class_arguments(ReferenceAgent, "agent")
    line.add_class_arguments(PreferencePairsEnv, "env", skip={"pairs_per_step", "action", "render_mode"})
    return line


def main(arguments: list[str] | None = None) -> None:
    line = parser()
    config = line.parse_args(arguments)
    settings = yaml.safe_load(line.dump(config, skip_unset=False))
    settings.pop("config", None)
    try:
        summary, folder = search(line, config, settings)
    except (ValueError, OSError, GymnasiumError) as error:
        sys.exit(f"error: {error}")
    score = "no score" if summary.score is None else f"score {summary.score:.3f}"
    # Without wrapping: a path broken over two lines cannot be copied.
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\n[bold]{score} after {summary.queries} answers[/bold] in {summary.seconds:.0f} s "
        f"(stopped: {summary.stopped_because})\n"
        f"pictures:    {escape(str(folder / 'progress.png'))}\n"
        f"everything:  {escape(str(folder))}\n"
        f"TensorBoard: {escape(str(Path(sys.executable).parent / 'tensorboard'))} --logdir {escape(str(folder))}"
    )


def search(line: jsonargparse.ArgumentParser, config: jsonargparse.Namespace, settings: dict[str, Any]) -> Any:
    """Runs what the command line describes; returns the summary and the run's folder."""
    env = gym.make(ENV_ID, render_mode="rgb_array", disable_env_checker=True, **settings["env"])
    folder = config.out or Path("runs") / f"reference_{time.strftime('%Y-%m-%d_%H-%M-%S')}_seed{config.seed}"
    agent = line.instantiate(config).agent
    record = Record(folder, env.unwrapped.generator.media, settings)  # type: ignore[attr-defined]
    summary = run(agent, env, record, config.seed, quiet=config.quiet)
    env.close()
    return summary, folder


if __name__ == "__main__":
    main()
