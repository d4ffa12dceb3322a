"""`python -m benchmarks.savings DIR …`: how many answers one strategy saves, task by task, in one table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import jsonargparse
import numpy as np

from benchmarks.results import Outcome, Results, Section, fixed_rng
from benchmarks.statistics import Values, answers_to, mean, paired_difference
from benchmarks.tables import Rows, as_text

OURS = "particles"
APART = ("posterior",)
PUBLISHED = ("CMA-ES", "preference GP, noise", "preference GP, subspace", "Optuna, subspace", "dueling bandit",
             "PPO", "A2C", "SAC", "TD3", "DDPG", "SAC on a learned reward")  # fmt: skip
"""Strategies of `configs/benchmarks/strategies/all.yaml` that others have published."""


def savings(
    results: Results,
    ours: str = OURS,
    apart: Sequence[str] = APART,
    published: Sequence[str] = PUBLISHED,
    *,
    late: int = 300,
    early: int = 100,
) -> Rows:
    """After how many answers one strategy is where the best others are later, by curves of mean scores.

    Compared with it are the best published strategy late and the best of all others early, of those that have all
    targets and have come so far, and know no target.

    Args:
        results: of a benchmark.
        ours: the strategy.
        apart: strategies that are not compared with it.
        published: those by others.
        late: number of answers, a checkpoint.
        early: the same.

    Returns:
        A heading, and a row for each task that has it. "Below" are the numbers of answers after which it has less than
        the best other there by more than the 95 % interval of the difference, which is paired by target.

    Raises:
        ValueError: no task has the strategy, or scores are not known after so many answers.
    """
    checkpoints = results.protocol["checkpoints"]
    for name, answers in {"late": late, "early": early}.items():
        if answers not in checkpoints:
            raise ValueError(
                f"{name} is {answers}, but scores are known after {', '.join(map(str, checkpoints))} answers"
            )
    rows = [["task", "targets", f"best published after {late}", "here after", "times fewer",
             f"best of all others after {early}", "here after", "times fewer", "below the best"]]  # fmt: skip
    tasks = [Section.of(results, task, [task]) for task in results.tasks]
    for section in tasks:
        complete = {found.name: found for found in section.outcomes if found.is_complete and found.group != "ceiling"}
        if (own := complete.pop(ours, None)) is None:
            continue
        others = [found for name, found in complete.items() if name not in apart]
        row = [section.title, str(own.all_targets)]
        row += _saved(own, [found for found in others if found.name in published], late)
        rows.append([*row, *_saved(own, others, early), _below(own, others)])
    if len(rows) == 1:
        raise ValueError(f"no task has all searches of {ours!r}; there are {', '.join(results.groups)}")
    return rows


def _means(found: Outcome) -> Values:
    """(checkpoints,)."""
    return np.array([mean(found.columns["score"][..., i]) for i in range(len(found.answers))])


def _best(others: list[Outcome], answers: int) -> tuple[str, float] | None:
    """Who has the highest mean score after so many answers."""
    scores = {found.name: float(_means(found)[found.answers.tolist().index(answers)])
              for found in others if answers in found.answers}  # fmt: skip
    return max(scores.items(), key=lambda named: named[1], default=None)


def _saved(own: Outcome, others: list[Outcome], answers: int) -> list[str]:
    best = _best(others, answers)
    if best is None:
        return ["—"] * 3
    name, score = best
    needed = float(answers_to(score, _means(own), own.answers))
    if np.isinf(needed):
        return [f"{name} {score:.2f}", f">{own.answers[-1]:.0f}", "—"]
    return [f"{name} {score:.2f}", f"{needed:.0f}", f"{answers / needed:.1f}" if needed else "∞"]


def _below(own: Outcome, others: list[Outcome]) -> str:
    told = []
    for answers in map(int, own.answers[1:]):
        if (best := _best(others, answers)) is None:
            continue
        (rival,) = (found for found in others if found.name == best[0])
        ours, theirs = (found.scores_at(answers, own.targets) for found in (own, rival))
        assert ours is not None
        assert theirs is not None
        less = paired_difference(ours, theirs, fixed_rng(), statistic=mean)
        if less.high < 0:
            told.append(f"{answers} ({less.value:.2f})")
    return ", ".join(told).replace("-", "−") or "nowhere"


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.savings",
        description="Tells how many answers a strategy saves, on the tasks of one benchmark or more.",
    )
    line.add_argument("folders", type=Path, nargs="+", help="of `python -m benchmarks.run`")
    line.add_argument("--ours", type=str, default=OURS, help="the strategy")
    line.add_argument("--apart", type=list[str], default=list(APART), help="strategies that it is not compared with")
    line.add_argument("--published", type=list[str], default=list(PUBLISHED), help="strategies by others")
    line.add_argument("--late", type=int, default=300, help="number of answers of the best published")
    line.add_argument("--early", type=int, default=100, help="number of answers of the best of all others")
    settings = line.parse_args(arguments)
    try:
        for folder in settings.folders:
            found = savings(
                Results.load([folder]),
                settings.ours,
                settings.apart,
                settings.published,
                late=settings.late,
                early=settings.early,
            )
            print(f"## {folder}\n\n{as_text(found)}\n")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
