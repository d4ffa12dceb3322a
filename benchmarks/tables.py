"""The tables of a report: lists of rows of text, of which the first is the heading."""

from __future__ import annotations

import numpy as np

from benchmarks.rate_distortion import entropy
from benchmarks.results import THRESHOLDS, Outcome, Results, Section, fixed_rng
from benchmarks.statistics import Estimate, Values, answers_to, paired_difference, probability_of_improvement

Rows = list[list[str]]

_SUMMARY_LEVELS = (0.6, 0.7)


def highlights(results: Results) -> list[int]:
    """The numbers of answers that summaries tell of."""
    *before, last = results.protocol["checkpoints"]
    return [answers for answers in before if answers in (30, 100)] + [last]


def overview(results: Results, outcomes: list[Outcome]) -> Rows:
    """What each strategy of a group comes to."""
    told = highlights(results)
    return [
        ["strategy", *map(str, told), "area", *(f"to {level}" for level in _SUMMARY_LEVELS), "s per answer"],
        *(
            [found.label, *(shown(found.score(answers), 2) for answers in told), _area(results, found, 2)]
            + [_needed(found, level) for level in _SUMMARY_LEVELS]
            + [f"{found.thinking:.3g}"]
            for found in outcomes
        ),
    ]


def task_by_task(results: Results, group: str) -> list[Rows]:
    """The tasks beside each other: scores, and answers needed; nothing where nobody has a target of each task."""
    together, *sections = results.sections
    labels = {found.name: found.label for found in together.group(group)}
    on_tasks = [{found.name: found for found in section.group(group)} for section in sections]
    told = highlights(results)
    scores = [f"score after {' / '.join(map(str, told))}", *(section.title for section in sections)]
    answers = [f"answers to {' / '.join(map(str, _SUMMARY_LEVELS))}", *scores[1:]]
    if not labels:
        return []
    best = [{n: max((at.value for found in task.values() if (at := found.score(n)) is not None), default=np.nan)
             for n in told} for task in on_tasks]  # fmt: skip
    return [
        [scores, *([label, *(_marked(task[name], top) for task, top in zip(on_tasks, best, strict=True))]
                   for name, label in labels.items())],
        [answers, *([label, *(_medians(task[name]) for task in on_tasks)] for name, label in labels.items())],
    ]  # fmt: skip


def _marked(found: Outcome, best: dict[int, float]) -> str:
    """Scores, those in bold than which no strategy has a better one."""
    texts = []
    for answers, top in best.items():
        at = found.score(answers)
        text = "—" if at is None else _rounded(at.value, 2)
        texts.append(f"**{text}**" if at is not None and at.value >= top else text)
    return " / ".join(texts)


def _medians(found: Outcome) -> str:
    return " / ".join(_within(found, found.answers_to[level][0].value) for level in _SUMMARY_LEVELS)


def saved(results: Results, section: Section) -> Rows:
    """After how many answers the best competitor is where each other one is after so many, by their curves."""
    told = highlights(results)
    best = section.best()
    if best is None:
        return []
    # Other targets may be easier: only of all of them there is a curve to compare with.
    others = [found for found in section.outcomes
              if found is not best and found.group != "ceiling" and found.is_complete]  # fmt: skip
    rows = [[f"answers of {best.name} to the score of", *(f"after {answers}" for answers in told)]]
    for found in others:
        row = [found.label]
        for answers in told:
            at = found.score(answers)
            if at is None:
                row.append("—")
                continue
            curve = np.array([[point.value for point in best.curve]])
            (first,) = answers_to(at.value, curve, best.answers)
            fewer = f", {answers / first:.1f} × fewer" if 0 < first <= answers else ""
            row.append(f"{_rounded(at.value, 2)}: {_within(best, first)}{fewer}")
        rows.append(row)
    return rows


def compared(ours: Outcome, theirs: Outcome, answers: int) -> tuple[Estimate, Estimate] | None:
    """The difference and the probability of improvement, on the targets both have; None where there are none."""
    shared = sorted(set(ours.targets) & set(theirs.targets))
    values, baseline = ours.scores_at(answers, shared), theirs.scores_at(answers, shared)
    if not shared or values is None or baseline is None:
        return None
    return paired_difference(values, baseline, fixed_rng()), probability_of_improvement(values, baseline, fixed_rng())


def details(results: Results, section: Section, outcomes: list[Outcome], baseline: str) -> list[Rows]:
    """Of one group: scores, answers needed, differences to the baseline where it is there, and costs."""
    told = highlights(results)
    checkpoints = results.protocol["checkpoints"]
    scores = [["score after", *(f"**{n}**" if n in told else str(n) for n in checkpoints), "area"]]
    needed = [["answers to a score of", *(f"{level:g}" for level in THRESHOLDS)]]
    costs = [["cost", "thinking, s per answer", "pictures per answer", "both good", "both bad",
              "bits per answer, at most", "searches"]]  # fmt: skip
    for found in outcomes:
        scores.append([found.label, *(shown(found.score(n), 3) for n in checkpoints), _area(results, found, 3)])
        needed.append([found.label, *(_needed(found, level) for level in THRESHOLDS)])
        asked = found.counts.sum()
        shares = [f"{count / asked:.0%}" if asked else "—" for count in found.counts[2:]]
        pictures = f"{found.columns['generated'][..., -1].sum() / asked:.1f}" if asked else "—"
        costs.append([found.label, f"{found.thinking:.4f}", pictures, *shares, f"{entropy(found.counts):.2f}",
                      found.searches])  # fmt: skip
    against = next((found for found in section.outcomes if found.name == baseline), None)
    return [scores, needed, *([] if against is None else [_differences(outcomes, against, told)]), costs]


def _differences(outcomes: list[Outcome], against: Outcome, told: list[int]) -> Rows:
    rows = [[f"minus {against.name} at", *(text for n in told for text in (str(n), "P", "effect"))]]
    for found in outcomes:
        row = [found.label]
        for answers in told:
            both = None if found is against else compared(found, against, answers)
            row += ["—"] * 3 if both is None else [shown(both[0], 3, "+"), shown(both[1], 2), both[0].effect]
        rows.append(row)
    return rows


def references(results: Results, curves: dict[str, Values]) -> Rows:
    heading = ["score after", *map(str, results.protocol["checkpoints"])]
    return [heading, *([name, *(f"{score:.3f}" for score in scores)] for name, scores in curves.items())]


def _area(results: Results, found: Outcome, digits: int) -> str:
    """Only of whole curves: those of a slow strategy are lower for being shorter."""
    return shown(found.area if len(found.answers) == len(results.checkpoints) else None, digits)


def _within(found: Outcome, answers: float) -> str:
    budget = found.answers[-1]
    return f"{answers:.0f}" if answers <= budget else f">{budget:.0f}"


def _needed(found: Outcome, level: float) -> str:
    (value, low, high), share = found.answers_to[level]
    texts = [_within(found, number) for number in (value, low, high)]
    interval = f" [{texts[1]}, {texts[2]}]" if not np.isnan(low) and len(set(texts)) > 1 else ""
    return f"{texts[0]}{interval}, {share:.0%}"


def _rounded(value: float, digits: int, sign: str = "") -> str:
    # Adding 0 takes the sign from what is rounded to −0.
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def shown(found: Estimate | None, digits: int, sign: str = "") -> str:
    """With its interval, where it has one."""
    if found is None:
        return "—"
    value, low, high = (_rounded(number, digits, sign) for number in found)
    return value if np.isnan(found.low) else f"{value} [{low}, {high}]"


def as_text(rows: Rows) -> str:
    """Columns as wide as their widest entry: it is read as plain text, too."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
