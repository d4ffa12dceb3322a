"""A reward model that is known without fitting, and actions that it rates in their order."""

from __future__ import annotations

import numpy as np
import torch

from agents.base import Noise
from agents.reference.memory import Dataset
from agents.reference.reward import RewardModel
from pbg_env import Generator


class SumReward(RewardModel):
    """Rates noise by the sum of its values."""

    device = torch.device("cpu")

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        pass

    def fit(self, data: Dataset, incumbent: Noise) -> dict[str, float]:
        return {}

    def rate(self, noise: torch.Tensor) -> torch.Tensor:
        return noise.sum(dim=1)


class DoubtfulReward(SumReward):
    """Knows no more of the reward's slopes than a standard normal tells."""

    def samples(self, noise: torch.Tensor) -> torch.Tensor:
        slopes = np.random.default_rng(5).standard_normal((500, noise.shape[1])).astype(np.float32)
        return torch.from_numpy(slopes) @ noise.T


def numbered(count: int) -> Noise:
    """(count, 3), each action rated higher than the one before."""
    return np.arange(count, dtype=np.float32)[:, None].repeat(3, axis=1) / 100
