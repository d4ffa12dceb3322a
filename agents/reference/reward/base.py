"""What a reward model is, to the other stages."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.reference.memory import Dataset
from pbg_env import Generator


class RewardModel(ABC):
    """Rates noise so that what was preferred is rated higher."""

    device: torch.device

    @abstractmethod
    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        """Forgets everything; all randomness to come is from `rng`."""

    @abstractmethod
    def fit(self, data: Dataset) -> dict[str, float]:
        """Fits to comparisons, and returns what to log, `preference_loss` among it."""

    @abstractmethod
    def rate(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) on the model's device → rewards (batch,), differentiable."""

    def information(self, noise: Tensor, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """What an answer is expected to tell the model, in bits.

        Args:
            noise: (count, noise_dim).
            first: indices into `noise`, (pairs,).
            second: as many others.

        Returns:
            (pairs,).

        Raises:
            NotImplementedError: the model knows no uncertainty of its own.
        """
        raise NotImplementedError(f"{type(self).__name__} knows no uncertainty; choose a pairing that needs none")
