"""A multilayer perceptron on raw noise, as in the original system."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agents.reference.memory import Dataset
from agents.reference.reward.base import RewardModel
from pbg_env import Generator


class MLPReward(RewardModel):
    """Three hidden layers, fitted by the cross-entropy of Bradley–Terry probabilities.

    The weights go on from round to round.

    Args:
        width: of each hidden layer.
        layers: hidden layers.
        learning_rate: of Adam.
        batch_size: comparisons a step.
        epochs: passes over the memory a round.
    """

    def __init__(
        self, width: int = 100, layers: int = 3, learning_rate: float = 1e-3, batch_size: int = 20, epochs: int = 10
    ) -> None:
        for name, value in (("width", width), ("layers", layers), ("batch_size", batch_size), ("epochs", epochs)):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        self.width = width
        self.layers = layers
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        self.device = generator.device
        self._rng = rng
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            widths = [generator.noise_dim] + [self.width] * self.layers
            hidden = [
                layer
                for width_in, width_out in itertools.pairwise(widths)
                for layer in (nn.Linear(width_in, width_out), nn.LeakyReLU())
            ]
            self._network = nn.Sequential(*hidden, nn.Linear(self.width, 1)).to(self.device)

    def rate(self, noise: Tensor) -> Tensor:
        return self._network(noise).squeeze(-1)

    def fit(self, data: Dataset) -> dict[str, float]:
        pairs = torch.from_numpy(data.pairs).to(self.device)  # (N, 2, Z)
        labels = torch.from_numpy(data.labels).to(self.device)  # (N, 2)
        if not len(pairs):
            return {}
        self._network.requires_grad_(True)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=self.learning_rate)
        loss = torch.zeros(())
        for _ in range(self.epochs):
            order = torch.from_numpy(self._rng.permutation(len(pairs))).to(self.device)
            for batch in order.split(self.batch_size):
                loss = bradley_terry_loss(self.rate(pairs[batch]), labels[batch])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        # Whoever climbs the reward afterwards needs gradients of the noise alone.
        self._network.requires_grad_(False)
        return {"preference_loss": float(bradley_terry_loss(self.rate(pairs), labels))}


def bradley_terry_loss(rewards: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of P(first) = σ(r₁ − r₂) (Bradley & Terry 1952; Christiano et al. 2017, eq. 1).

    Args:
        rewards: (batch, 2), of first and second.
        labels: (batch, 2), weights on first and second; a pair of zeros adds nothing.

    Returns:
        The mean over the batch.
    """
    difference = rewards[:, 0] - rewards[:, 1]
    # log σ stays finite where the logarithm of a probability rounded to 0 would not.
    return -(labels[:, 0] * F.logsigmoid(difference) + labels[:, 1] * F.logsigmoid(-difference)).mean()
