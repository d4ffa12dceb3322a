"""Second stage of a round: which of the sampled actions are worth asking about."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray

from agents.base import Noise
from agents.reference.reward import RewardModel


class Filter(ABC):
    """Keeps some of the actions of a round."""

    @abstractmethod
    def keep(self, actions: Noise, reward_model: RewardModel, rng: np.random.Generator) -> Noise:
        """Actions (count, noise_dim) → those kept (fewer, noise_dim); all randomness is from `rng`."""


class KeepAll(Filter):
    """Keeps every action, in order."""

    def keep(self, actions: Noise, reward_model: RewardModel, rng: np.random.Generator) -> Noise:
        return actions


class Chain(Filter):
    """Several filters, each on what the one before has kept.

    Args:
        filters: in the order of their application, at least one.
    """

    def __init__(self, filters: list[Filter]) -> None:
        if not filters:
            raise ValueError("filters is empty, expected at least one; KeepAll keeps every action")
        self.filters = filters

    def keep(self, actions: Noise, reward_model: RewardModel, rng: np.random.Generator) -> Noise:
        for each in self.filters:
            actions = each.keep(actions, reward_model, rng)
        return actions


class Selection(Filter):
    """Keeps as many actions as it is told, or all where there are not more.

    Args:
        limit: a count, whole and at least 2, or a share of the actions, between 0 and 1, by which at least 2 are kept.
    """

    def __init__(self, limit: int | float = 10) -> None:
        if not (0 < limit < 1 if isinstance(limit, float) else limit >= 2):
            raise ValueError(
                f"limit is {limit}, expected a whole number of at least 2, as a pair needs two actions, or a share "
                f"between 0 and 1"
            )
        self.limit = limit

    def keep(self, actions: Noise, reward_model: RewardModel, rng: np.random.Generator) -> Noise:
        count = self.limit if isinstance(self.limit, int) else max(2, round(self.limit * len(actions)))
        return actions[self._choose(actions, min(count, len(actions)), reward_model, rng)]

    @abstractmethod
    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The indices (count,) of the actions to keep, in the order in which they are handed on."""


class HighestReward(Selection):
    """Keeps the actions that the reward model rates highest, best first.

    Args:
        limit: a count of at least 2, or a share between 0 and 1.
    """

    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return np.argsort(-_ratings(actions, reward_model), kind="stable")[:count]


class LowestReward(Selection):
    """Keeps the actions that the reward model rates lowest, worst first.

    Args:
        limit: a count of at least 2, or a share between 0 and 1.
    """

    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return np.argsort(_ratings(actions, reward_model), kind="stable")[:count]


class RandomChoice(Selection):
    """Keeps actions drawn without replacement, in the order they came.

    Args:
        limit: a count of at least 2, or a share between 0 and 1.
    """

    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return np.sort(rng.choice(len(actions), count, replace=False))


class MostUncertain(Selection):
    """Keeps the actions whose rewards differ most among the model's samples, by standard deviation, greatest first.

    Args:
        limit: a count of at least 2, or a share between 0 and 1.
    """

    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        samples = reward_model.samples(torch.from_numpy(actions).to(reward_model.device))  # (samples, batch)
        deviation = samples.std(dim=0, correction=0).cpu().numpy()
        return np.argsort(-deviation, kind="stable")[:count]


class MostDiverse(Selection):
    """Keeps the highest-rated action, then again and again the one farthest from all kept so far (Gonzalez 1985).

    Args:
        limit: a count of at least 2, or a share between 0 and 1.
    """

    def _choose(
        self, actions: Noise, count: int, reward_model: RewardModel, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        chosen = [int(_ratings(actions, reward_model).argmax())]
        distance = np.full(len(actions), np.inf)  # of each action to the nearest that is kept
        while len(chosen) < count:
            distance = np.minimum(distance, np.linalg.norm(actions - actions[chosen[-1]], axis=1))
            # Below every distance, so that of equal actions none is kept twice.
            distance[chosen[-1]] = -1
            chosen.append(int(distance.argmax()))
        return np.array(chosen)


def _ratings(actions: Noise, reward_model: RewardModel) -> NDArray[np.float32]:
    with torch.no_grad():
        return reward_model.rate(torch.from_numpy(actions).to(reward_model.device)).cpu().numpy()
