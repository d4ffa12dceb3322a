"""What a reward model is, to the other stages."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from agents.base import Noise
from agents.reference.memory import Dataset
from pbg_env import Generator


class RewardModel(ABC):
    """Rates noise so that what was preferred is rated higher."""

    device: torch.device

    @abstractmethod
    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        """Forgets everything; all randomness to come is from `rng`."""

    @abstractmethod
    def fit(self, data: Dataset, incumbent: Noise | None) -> dict[str, float]:
        """Fits to comparisons.

        Args:
            data: what is remembered.
            incumbent: the best action so far, (noise_dim,), or None where it is not followed.

        Returns:
            What to log, `preference_loss` among it.
        """

    @abstractmethod
    def rate(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) on the model's device → rewards (batch,), differentiable."""

    def samples(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → rewards (samples, batch) under draws from what the model believes, no gradients.

        Raises:
            ValueError: the model knows no uncertainty of its own.
        """
        raise ValueError(
            f"{type(self).__name__} knows no uncertainty, which a filter or a pairing asks it for; choose others, or a "
            f"reward model with dropout, several members or a posterior"
        )

    def information(self, noise: Tensor, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """What an answer is expected to tell the model, in bits: BALD (Houlsby et al. 2011, eq. 1).

        Args:
            noise: (count, noise_dim).
            first: indices into `noise`, (pairs,).
            second: as many others.

        Returns:
            (pairs,).

        Raises:
            ValueError: as `samples`.
        """
        rewards = self.samples(noise)  # (samples, count)
        one, other = (torch.from_numpy(index).to(rewards.device) for index in (first, second))
        logits = rewards[:, one] - rewards[:, other]  # (samples, pairs)
        chosen = torch.sigmoid(logits)
        # Of the mean answer less the mean of the answers: what is not known, less what is left to chance.
        share = chosen.mean(dim=0)
        total = torch.special.entr(share) + torch.special.entr(1 - share)
        expected = (chosen * F.softplus(-logits) + (1 - chosen) * F.softplus(logits)).mean(dim=0)
        return ((total - expected) / math.log(2)).double().cpu().numpy()


def bad_below(data: Dataset, incumbent: Noise | None) -> Dataset:
    """The data with each both-bad answer told as two others: the incumbent is preferred to each of the two.

    Args:
        data: what is remembered.
        incumbent: (noise_dim,); without one nothing is told.
    """
    if incumbent is None or not data.bad.any():
        return data
    worse = data.pairs[data.bad > 0].reshape(-1, data.pairs.shape[2])  # (2 · both bad, noise_dim)
    weights = data.bad[data.bad > 0].repeat(2)
    others = (worse != incumbent).any(axis=1)
    worse, weights = worse[others], weights[others]
    pairs = np.stack((np.broadcast_to(incumbent, worse.shape), worse), axis=1)
    labels = np.stack((weights, np.zeros_like(weights)), axis=1)
    return Dataset(
        np.concatenate((data.pairs, pairs)),
        np.concatenate((data.labels, labels)),
        np.zeros(len(data.pairs) + len(pairs), dtype=np.float32),
    )
