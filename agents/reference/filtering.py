"""Second stage of a round: which of the sampled actions are worth asking about."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from agents.base import Noise
from agents.reference.reward import RewardModel


class Filter(ABC):
    """Keeps some of the actions of a round."""

    @abstractmethod
    def keep(self, actions: Noise, reward_model: RewardModel) -> Noise:
        """Actions (count, noise_dim) → those kept (fewer, noise_dim)."""


class HighestReward(Filter):
    """Keeps the actions that the reward model rates highest, best first.

    Args:
        limit: how many.
    """

    def __init__(self, limit: int = 10) -> None:
        if limit < 2:
            raise ValueError(f"limit is {limit}, expected at least 2: a pair needs two actions")
        self.limit = limit

    def keep(self, actions: Noise, reward_model: RewardModel) -> Noise:
        with torch.no_grad():
            ratings = reward_model.rate(torch.from_numpy(actions).to(reward_model.device)).cpu()
        return actions[ratings.argsort(descending=True, stable=True)[: self.limit].numpy()]


class KeepAll(Filter):
    """Keeps every action, in order."""

    def keep(self, actions: Noise, reward_model: RewardModel) -> Noise:
        return actions
