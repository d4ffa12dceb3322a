"""Third stage of a round: which of the kept actions are shown together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from agents.base import Noise
from agents.reference.reward import RewardModel

Pair = tuple[int, int]


class Pairing(ABC):
    """Chooses pairs among the actions of a round, one after the other."""

    @abstractmethod
    def next_pair(
        self, actions: Noise, asked: Sequence[Pair], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        """The indices of the next two actions (count, noise_dim), or None when the round has been asked enough."""


class GraphPairing(Pairing):
    """Connects the preference graph first, then asks where the fewest answers are.

    The actions of a round are nodes, asked pairs are edges. While there are several components an action of one is
    asked against an action of another; then the two actions of least degree that have not met.

    Args:
        limit: questions a round.
    """

    def __init__(self, limit: int = 15) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}, expected at least 1")
        self.limit = limit

    def next_pair(
        self, actions: Noise, asked: Sequence[Pair], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        if len(asked) >= self.limit:
            return None
        met = {frozenset(pair) for pair in asked}
        degree = np.bincount([node for pair in asked for node in pair], minlength=len(actions))
        component = _components(len(actions), asked)
        candidates = [
            (i, j) for i in range(len(actions)) for j in range(i + 1, len(actions)) if frozenset((i, j)) not in met
        ]
        apart = [(i, j) for i, j in candidates if component[i] != component[j]]
        if not candidates:
            return None
        # Ties are broken at random: the order of the actions is that of their ratings and must shape nothing.
        chosen = apart or candidates
        order = rng.permutation(len(chosen))
        first, second = min((chosen[k] for k in order), key=lambda pair: int(degree[pair[0]] + degree[pair[1]]))
        return (first, second) if rng.random() < 0.5 else (second, first)


def _components(count: int, edges: Sequence[Pair]) -> list[int]:
    """The component of each node, named by one of its nodes."""
    name = list(range(count))
    for i, j in edges:
        old, new = name[i], name[j]
        name = [new if label == old else label for label in name]
    return name


class MostInformative(Pairing):
    """The pairs whose answers the reward model expects to learn most from (Houlsby et al. 2011, BALD).

    No action is shown twice in a round.

    Args:
        limit: questions a round.
        candidates: random pairs looked at for each question.
        show_first: share of the rounds, in [0, 1], whose first question is about the first action, which is the
            destination where the sampling puts it there, against its most informative rival. Such questions tell less
            than others do, but the oracle cannot be satisfied by what it never sees.
    """

    def __init__(self, limit: int = 5, candidates: int = 2000, show_first: float = 0.0) -> None:
        if limit < 1 or candidates < 1:
            raise ValueError(f"limit is {limit} and candidates {candidates}, expected at least 1 of each")
        if not 0 <= show_first <= 1:
            raise ValueError(f"show_first is {show_first}, expected a share from 0 to 1")
        self.limit = limit
        self.candidates = candidates
        self.show_first = show_first

    def next_pair(
        self, actions: Noise, asked: Sequence[Pair], reward_model: RewardModel, rng: np.random.Generator
    ) -> Pair | None:
        if len(asked) >= self.limit:
            return None
        first = rng.integers(len(actions), size=self.candidates)
        if not asked and rng.random() < self.show_first:
            first[:] = 0
        second = (first + rng.integers(1, len(actions), size=self.candidates)) % len(actions)
        noise = torch.from_numpy(actions).to(reward_model.device)
        information = reward_model.information(noise, first, second)
        # Until the model is fitted again it would learn the same from much the same pair: no action is asked twice.
        shown = [index for pair in asked for index in pair]
        information = np.where(np.isin(first, shown) | np.isin(second, shown), -np.inf, information)
        best = int(information.argmax())
        return (int(first[best]), int(second[best])) if information[best] > -np.inf else None
