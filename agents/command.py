"""The command line of an agent, such as `python -m agents.posterior`: one run, begun or resumed."""

from __future__ import annotations

import argparse
import inspect
import shlex
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, get_type_hints

import gymnasium as gym
import jsonargparse
import torch
import yaml
from gymnasium.error import Error as GymnasiumError
from jsonargparse.typing import PositiveInt
from rich.console import Console
from rich.markup import escape

from agents.base import Agent
from agents.record import Record, Summary
from agents.replay import damaged, ended_because, read_settings
from agents.run import run
from pbg_env import HumanOracle, PreferencePairsEnv

ENV_ID = "PBG-StackGANv2-Pairs-v0"
HUMAN = "human"
_CONFIGURATIONS = Path(__file__).parent.parent / "configs" / "agents"
_NOT_OF_THE_RUN = ("config", "resume", "out", "quiet")
"""Options that say nothing about what a run does."""


def program(kind: type[Agent]) -> str:
    """The package of an agent, which runs as a program: "agents.reference"."""
    return kind.__module__.rpartition(".")[0]


def parser(kind: type[Agent], *, exit_on_error: bool = True) -> jsonargparse.ArgumentParser:
    """The command line: the agent's settings, the environment's arguments, and the run's own."""
    line = jsonargparse.ArgumentParser(
        prog=f"python -m {program(kind)}",
        description="Searches a generator's noise space by pairwise answers.",
        exit_on_error=exit_on_error,
    )
    line.add_argument(
        "--config",
        action="config",
        help="YAML file with any of the settings below; the agent's own in configs/agents unless told",
    )
    line.add_argument(
        "--resume", type=Path | None, default=None, metavar="RUN", help="go on with the run in this folder, as it was"
    )
    line.add_argument("--seed", type=int, default=0, help="of everything random")
    line.add_argument("--out", type=Path | None, default=None, help="the run's folder; runs/… unless told")
    line.add_argument("--quiet", type=bool, nargs="?", const=True, default=False, help="no progress bar")
    # What is asked at once is small: threads cost more than they do.
    line.add_argument(
        "--threads", type=PositiveInt, default=1, help="PyTorch's; more help where a large generator is on the CPU"
    )
    line.add_class_arguments(kind, "agent")
    line.add_class_arguments(
        PreferencePairsEnv, "env", skip={"pairs_per_step", "action", "render_mode"}, instantiate=False
    )
    line.add_class_arguments(HumanOracle, "page", skip={"log", "timeout"}, instantiate=False)
    return line


def main(kind: type[Agent], arguments: list[str] | None = None) -> None:
    """Runs the command line of a kind of agent."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stage, of_stage in get_type_hints(kind.__init__).items():
        if arguments[-1:] == [f"--agent.{stage}.help"] and inspect.isabstract(of_stage):
            print(strategies(stage, of_stage))
            return
    folder: Path | None = None
    try:
        resumed = what_to_resume(kind, arguments)
        if resumed is not None:
            folder = resumed.resume
            summary = resume(kind, folder, quiet=resumed.quiet)
        else:
            line = parser(kind)
            config = line.parse_args(with_configuration(kind, arguments))
            if config.resume is not None:
                raise ValueError("resume stands in a configuration file; give it on the command line: --resume RUN")
            started = time.strftime("%Y-%m-%d_%H-%M-%S")
            folder = config.out or Path("runs") / f"{program(kind).rpartition('.')[2]}_{started}_seed{config.seed}"
            summary = search(line, config, folder, quiet=config.quiet)
    except (ValueError, OSError, GymnasiumError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        can_go_on = folder is not None and (folder / "config.yaml").exists()
        hint = f"; every answer is kept, go on with: {how_to_resume(kind, folder)}" if folder and can_go_on else ""
        sys.exit(f"aborted{hint}")
    if summary is not None:
        report(kind, summary, folder)


def with_configuration(kind: type[Agent], arguments: list[str]) -> list[str]:
    """The arguments, after the agent's own configuration where they name none and it has one."""
    own = _CONFIGURATIONS / f"{program(kind).rpartition('.')[2]}.yaml"
    if any(each.split("=")[0] == "--config" for each in arguments) or not own.exists():
        return arguments
    return ["--config", str(own), *arguments]


def strategies(stage: str, kind: type) -> str:
    """The strategies of a stage of the agent, each with what it does."""
    lines = [f"agent.{stage} is one of:"]
    waiting = [kind]
    while waiting:
        known = waiting.pop(0)
        waiting += known.__subclasses__()
        if not inspect.isabstract(known):
            lines.append(f"  {known.__name__:22}{(known.__doc__ or '').splitlines()[0]}")
    return "\n".join([*lines, f"Settings of one of them: --agent.{stage}.help=NAME"])


def what_to_resume(kind: type[Agent], arguments: list[str]) -> argparse.Namespace | None:
    """The folder of the run to go on with, and whether quietly; None where a run is to begin.

    Raises:
        ValueError: there are other options beside.
    """
    if {"-h", "--help"} & set(arguments) or not any(each.split("=")[0] == "--resume" for each in arguments):
        return None
    line = argparse.ArgumentParser(prog=f"python -m {program(kind)}", add_help=False, allow_abbrev=False)
    line.add_argument("--resume", type=Path, metavar="RUN", required=True)
    line.add_argument("--quiet", nargs="?", type=yaml.safe_load, const=True, default=False)
    known, others = line.parse_known_args(arguments)
    if others:
        raise ValueError(
            f"--resume goes on with the settings in {known.resume / 'config.yaml'} and takes no others beside --quiet; "
            f"leave out {' '.join(others)}"
        )
    return known


def resume(kind: type[Agent], folder: Path, *, quiet: bool) -> Summary | None:
    """Goes on with the run in a folder; None where it has ended.

    Raises:
        ValueError: the folder holds no run, its files are damaged, or its answers do not come out again.
    """
    settings = read_settings(folder)
    ended = ended_because(folder)
    if ended is not None:
        print(f"{folder} has ended already (stopped: {ended}): nothing is left to resume")
        return None
    line = parser(kind, exit_on_error=False)
    try:
        config = line.parse_object(settings)
    except jsonargparse.ArgumentError as error:
        raise damaged(folder / "config.yaml", error) from error
    return search(line, config, folder, quiet=quiet, resume=True)


def search(
    line: jsonargparse.ArgumentParser,
    config: jsonargparse.Namespace,
    folder: Path,
    *,
    quiet: bool,
    resume: bool = False,
) -> Summary:
    """Runs what the command line describes."""
    settings: dict[str, Any] = yaml.safe_load(line.dump(config, skip_unset=False))
    for name in _NOT_OF_THE_RUN:
        settings.pop(name, None)
    if settings["env"]["oracle"] != HUMAN:
        del settings["page"]
    torch.set_num_threads(config.threads)
    agent = line.instantiate(config).agent
    with closing(_environment(settings)) as env:
        space: Any = env.unwrapped
        medium, is_person = space.generator.media, space.person is not None
        record = Record(folder, medium, settings, resume=resume, person=is_person)
        summary = run(agent, env, record, config.seed, quiet=quiet)
        if is_person and summary.stopped_because != "interrupted":
            print("the page shows what was found; press “Finish” there, or Ctrl-C here, to end it", file=sys.stderr)
            with suppress(KeyboardInterrupt):
                space.person.wait_until_left()
    return summary


def _environment(settings: dict[str, Any]) -> gym.Env[Any, Any]:
    """The environment that resolved settings describe."""
    told = settings["env"]
    if told["oracle"] == HUMAN:
        told = told | {"oracle": HumanOracle(**settings["page"])}
    return gym.make(ENV_ID, render_mode="rgb_array", disable_env_checker=True, **told)


def report(kind: type[Agent], summary: Summary, folder: Path) -> None:
    """Prints how the run ended and where everything is."""
    score = "no score" if summary.score is None else f"score {summary.score:.3f}"
    # Without wrapping: a path broken over two lines cannot be copied.
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\n[bold]{score} after {summary.queries} answers[/bold] in {summary.seconds:.0f} s "
        f"(stopped: {summary.stopped_because})\n"
        f"pictures:    {escape(str(folder / 'progress.png'))}, questions.png and destination.webp beside it\n"
        f"everything:  {escape(str(folder))}\n"
        f"TensorBoard: {escape(str(Path(sys.executable).parent / 'tensorboard'))} --logdir {escape(str(folder))}"
    )
    if summary.stopped_because == "interrupted":
        console.print(f"go on with:  {escape(how_to_resume(kind, folder))}")


def how_to_resume(kind: type[Agent], folder: Path) -> str:
    """The command that goes on with a run."""
    return f"{shlex.quote(sys.executable)} -m {program(kind)} --resume {shlex.quote(str(folder))}"
