"""`python -m benchmarks.strips OUT.png`: searches as strips of pictures, from the beginning to the target."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import numpy as np
from jsonargparse.typing import NonNegativeInt
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from numpy.typing import NDArray

from agents.base import Agent, Noise
from agents.particles import ParticleAgent
from pbg_env import TEACHERS, PreferencePairsEnv

_INCHES = 1.3
_DOTS_PER_INCH = 100


class Strip(NamedTuple):
    """A search, at a few numbers of answers.

    Attributes:
        frames: of what was recommended, and at last of the target, each (height, width, 3), 0 to 255.
        scores: of what was recommended.
    """

    frames: list[NDArray[np.uint8]]
    scores: list[float]


def strip(agent: Agent, answers: Sequence[int], seed: int, **told: Any) -> Strip:
    """One search, of a target of its own.

    Args:
        agent: any strategy; begins anew.
        answers: after how many its recommendation is looked at, ascending.
        seed: of the target, the teacher and the agent.
        told: arguments of the environment.
    """
    env = PreferencePairsEnv(1, goal=None, max_queries=max(1, *answers), **told)
    env.reset(seed=seed)
    agent.reset(env.generator, env.discriminator, seed)
    medium = env.generator.media
    found = Strip([], [])

    def look(noise: Noise) -> None:
        found.frames.append(medium.frame(env.generate(noise[None])[0]))
        found.scores.append(float(env.evaluate(noise)))

    for number in range(max(answers) + 1):
        if number in answers:
            look(agent.destination)
        if number < max(answers):
            action = agent.act(None)
            agent.observe(action, env.step(action)[4]["preference"], [number])
    assert env.target is not None
    found.frames.append(medium.frame(env.target))
    return found


def draw(strips: Sequence[Strip], answers: Sequence[int]) -> Figure:
    """Strips below one another, with their scores."""
    figure = Figure((_INCHES * (len(answers) + 1), 1.25 * _INCHES * len(strips)), layout="constrained")
    names = [f"{count} answers" if count else "start" for count in answers] + ["target"]
    places = figure.subplots(len(strips), len(names), squeeze=False)
    for row, (place, one) in enumerate(zip(places, strips, strict=True)):
        scores = [f"{score:.2f}" for score in one.scores] + [""]
        for axes, frame, name, score in zip(place, one.frames, names, scores, strict=True):
            axes.imshow(frame)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(score)
            if row == 0:
                axes.set_title(name, fontsize="medium")
    return figure


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(prog="python -m benchmarks.strips", description=__doc__)
    line.add_argument("out", type=Path, help="the picture to write")
    line.add_argument("--answers", type=list[NonNegativeInt], default=[0, 10, 30, 100], help="when to look, ascending")
    line.add_argument("--seeds", type=list[NonNegativeInt], default=[1, 2, 3], help="a search for each")
    line.add_argument("--teacher", type=str, default="oracle", help="how the simulated user answers")
    told = line.parse_args(arguments)
    # Before the searches, which take their time.
    if not told.answers or not told.seeds:
        sys.exit(f"error: answers are {told.answers} and seeds {told.seeds}; expected one of each at least")
    if sorted(set(told.answers)) != told.answers:
        sys.exit(f"error: answers are {told.answers}, expected ascending numbers")
    if told.teacher not in TEACHERS:
        sys.exit(f"error: unknown teacher {told.teacher!r}; expected one of {', '.join(TEACHERS)}")
    written = FigureCanvasBase.get_supported_filetypes()
    if told.out.suffix.lstrip(".").lower() not in written:
        sys.exit(f"error: {told.out.name} would be no picture; expected a name that ends in .{', .'.join(written)}")
    if not told.out.parent.is_dir():
        sys.exit(f"error: there is no folder {told.out.parent} to write {told.out.name} to; make it first")
    strips = [strip(ParticleAgent(), told.answers, seed, teacher=told.teacher) for seed in told.seeds]
    figure = draw(strips, told.answers)
    figure.savefig(told.out, dpi=_DOTS_PER_INCH)


if __name__ == "__main__":
    main()
