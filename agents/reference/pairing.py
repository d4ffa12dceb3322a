"""Third stage of a round: which of the kept actions are shown together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from agents.base import Noise
from agents.reference.reward import RewardModel
from agents.reference.transitivity import RoundOrder
from pbg_env import Preference

Pair = tuple[int, int]


class Answered(NamedTuple):
    """What is known of two actions of a round, by an answer or by inference from answers."""

    first: int
    """Index of an action."""
    second: int
    """Index of another."""
    preference: Preference


class Pairing(ABC):
    """Chooses pairs among the actions of a round, one after the other."""

    def most(self, count: int) -> int:
        """How many questions a round of so many actions has at most: an attribute `limit`, if there is one."""
        pairs: int = count * (count - 1) // 2
        limit: int | None = getattr(self, "limit", None)
        return pairs if limit is None else min(limit, pairs)

    @abstractmethod
    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        """Chooses what to ask; a function of its arguments alone, so that answers can be taken back.

        Args:
            actions: of the round, (count, noise_dim).
            answered: the questions of the round so far, in their order.
            reward_model: as it was fitted before the round.
            rng: the only source of randomness.

        Returns:
            Indices of two actions, or None when the round has been asked enough.
        """

    def conclusions(self, answered: Sequence[Answered]) -> list[Answered]:
        """What follows from the answers of a round without being asked; nothing unless the strategy says otherwise."""
        return []


class RandomPairs(Pairing):
    """Pairs at random, none twice in a round.

    Args:
        limit: questions a round, at least 1.
    """

    def __init__(self, limit: int = 15) -> None:
        self.limit = _at_least_one(limit)

    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        return _random_pair(len(actions), answered, rng) if len(answered) < self.limit else None


class AllPairs(Pairing):
    """Every pair of the round once, in random order: a full tournament of count · (count − 1) / 2 questions.

    Args:
        limit: questions a round after which a longer tournament is broken off, at least 1; None plays it to its end.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = None if limit is None else _at_least_one(limit)

    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        return _random_pair(len(actions), answered, rng) if self.limit is None or len(answered) < self.limit else None


class GraphPairing(Pairing):
    """Connects the preference graph first, then asks where the fewest answers are.

    The actions of a round are nodes, asked pairs are edges. While there are several components an action of one is
    asked against an action of another; then the two actions of least degree that have not met. A both-bad answer
    orders nothing, so that it connects no components; its two actions have met all the same.

    Args:
        limit: questions a round, at least 1.
        transitive: whether what follows from the round's answers by transitivity is learned from too. Both-good counts
            as a tie, both-bad and answers that contradict each other conclude nothing.
    """

    def __init__(self, limit: int = 15, transitive: bool = False) -> None:
        self.limit = _at_least_one(limit)
        self.transitive = transitive

    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        candidates = _not_met(len(actions), answered)
        if len(answered) >= self.limit or not candidates:
            return None
        degree = np.bincount(
            [node for first, second, _ in answered for node in (first, second)], minlength=len(actions)
        )
        component = _components(len(actions), answered)
        # Ties are broken at random: the order of the actions is that of their ratings and must shape nothing.
        chosen = [(i, j) for i, j in candidates if component[i] != component[j]] or candidates
        order = rng.permutation(len(chosen))
        fewest = min((chosen[k] for k in order), key=lambda pair: int(degree[pair[0]] + degree[pair[1]]))
        return _on_random_sides(fewest, rng)

    def conclusions(self, answered: Sequence[Answered]) -> list[Answered]:
        if not self.transitive or not answered:
            return []
        order = RoundOrder(1 + max(max(first, second) for first, second, _ in answered))
        for first, second, preference in answered:
            order.add(first, second, preference)
        strict, tied = order.concluded()
        return [
            Answered(i, j, preference)
            for pairs, preference in ((strict, Preference.FIRST), (tied, Preference.BOTH_GOOD))
            for i, j in pairs
        ]


class KingOfTheHill(Pairing):
    """Every action of the round in turn against the best of the round so far; ties and both-bad keep the best.

    The first action begins as the best: the highest-rated or the destination, where an earlier stage puts it there.

    Args:
        limit: questions a round, at least 1.
    """

    def __init__(self, limit: int = 15) -> None:
        self.limit = _at_least_one(limit)

    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        best, met = 0, {0}
        for first, second, preference in answered:
            if best in (first, second):
                challenger = second if best == first else first
                met.add(challenger)
                if preference == (Preference.SECOND if best == first else Preference.FIRST):
                    best = challenger
        waiting = [index for index in range(len(actions)) if index not in met]
        if len(answered) >= self.limit or not waiting:
            return None
        return _on_random_sides((waiting[0], best), rng)


class MostInformative(Pairing):
    """The pairs whose answers the reward model expects to learn most from (Houlsby et al. 2011, BALD).

    No action is shown twice in a round.

    Args:
        limit: questions a round, at least 1.
        candidates: random pairs looked at for each question, at least 1.
        show_first: share of the rounds, in [0, 1], whose first question is about the first action, which is the
            destination where the sampling puts it there, against its most informative rival. Such questions tell less
            than others do, but the oracle cannot be satisfied by what it never sees.
    """

    def __init__(self, limit: int = 5, candidates: int = 2000, show_first: float = 0.0) -> None:
        self.limit = _at_least_one(limit)
        if candidates < 1:
            raise ValueError(f"candidates is {candidates}, expected at least 1")
        if not 0 <= show_first <= 1:
            raise ValueError(f"show_first is {show_first}, expected a share from 0 to 1")
        self.candidates = candidates
        self.show_first = show_first

    def next_pair(
        self, actions: Noise, answered: Sequence[Answered], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        if len(answered) >= self.limit:
            return None
        first = rng.integers(len(actions), size=self.candidates)
        if not answered and rng.random() < self.show_first:
            first[:] = 0
        second = (first + rng.integers(1, len(actions), size=self.candidates)) % len(actions)
        noise = torch.from_numpy(actions).to(reward_model.device)
        # What a model that has lost its way says is no reason to prefer a pair, nor to end the round.
        information = np.nan_to_num(reward_model.information(noise, first, second), nan=0.0)
        # Until the model is fitted again it would learn the same from much the same pair: no action is asked twice.
        shown = [index for one, other, _ in answered for index in (one, other)]
        information = np.where(np.isin(first, shown) | np.isin(second, shown), -np.inf, information)
        best = int(information.argmax())
        return _on_random_sides((int(first[best]), int(second[best])), rng) if information[best] > -np.inf else None


def _at_least_one(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1 question a round")
    return limit


def _not_met(count: int, answered: Sequence[Answered]) -> list[Pair]:
    """The pairs (smaller index, larger index) that were not asked."""
    met = {(min(first, second), max(first, second)) for first, second, _ in answered}
    return [(i, j) for i in range(count) for j in range(i + 1, count) if (i, j) not in met]


def _random_pair(count: int, answered: Sequence[Answered], rng: np.random.Generator) -> Pair | None:
    candidates = _not_met(count, answered)
    return _on_random_sides(candidates[rng.integers(len(candidates))], rng) if candidates else None


def _on_random_sides(pair: Pair, rng: np.random.Generator) -> Pair:
    """Who habitually picks one side, or the better-rated action's side, must teach nothing by it."""
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _components(count: int, answered: Sequence[Answered]) -> list[int]:
    """The component of each node, named by one of its nodes."""
    name = list(range(count))
    for first, second, preference in answered:
        if preference != Preference.BOTH_BAD:
            old, new = name[first], name[second]
            name = [new if label == old else label for label in name]
    return name
