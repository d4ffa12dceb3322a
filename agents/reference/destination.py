"""Last stage of a round: the destination moves up the learned reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import Noise
from agents.reference.reward import RewardModel
from pbg_env import NOISE_BOUND, ascend


class Move(NamedTuple):
    """Where the destination went."""

    destination: Noise
    action_loss: float
    """Negative reward at the new destination."""


class Mover(ABC):
    """Moves the destination."""

    @abstractmethod
    def move(self, destination: Noise, actions: Noise, reward_model: RewardModel) -> Move:
        """The destination (noise_dim,) and the actions of the round (count, noise_dim) → the new destination."""


class GradientAscent(Mover):
    """Steps of Adam up the reward, from where the destination is.

    Args:
        steps: a round.
        learning_rate: in units of noise.
    """

    def __init__(self, steps: int = 30, learning_rate: float = 1e-3) -> None:
        if steps < 1 or learning_rate <= 0:
            raise ValueError(f"steps is {steps} and learning_rate {learning_rate}, expected at least 1 and above 0")
        self.steps = steps
        self.learning_rate = learning_rate

    def move(self, destination: Noise, actions: Noise, reward_model: RewardModel) -> Move:
        noise = torch.from_numpy(destination).to(reward_model.device)[None].clone().requires_grad_(True)
        optimiser = torch.optim.Adam([noise], lr=self.learning_rate)
        for _ in range(self.steps):
            (noise.grad,) = torch.autograd.grad(-reward_model.rate(noise).sum(), noise)
            optimiser.step()
            with torch.no_grad():
                noise.clamp_(-NOISE_BOUND, NOISE_BOUND)
        with torch.no_grad():
            loss = -float(reward_model.rate(noise))
        return Move(noise.detach()[0].cpu().numpy(), loss)


class RestartedAscent(Mover):
    """Annealed ascents of reward plus log-prior, from the destination and the best-rated actions; the best wins.

    Args:
        steps: of each ascent.
        learning_rate: at its begin, in units of noise.
        starts: ascents, the destination's included.
        prior_weight: on the log-density of the prior, −‖z‖² / 2: keeps the noise where the generator was trained.
    """

    def __init__(
        self, steps: int = 30, learning_rate: float = 0.1, starts: int = 4, prior_weight: float = 0.01
    ) -> None:
        if steps < 1 or learning_rate <= 0 or starts < 1 or prior_weight < 0:
            raise ValueError(
                f"steps is {steps}, learning_rate {learning_rate}, starts {starts}, prior_weight {prior_weight}; "
                f"expected at least 1, above 0, at least 1, at least 0"
            )
        self.steps = steps
        self.learning_rate = learning_rate
        self.starts = starts
        self.prior_weight = prior_weight

    def move(self, destination: Noise, actions: Noise, reward_model: RewardModel) -> Move:
        noise = torch.from_numpy(actions).to(reward_model.device)

        def objective(z: Tensor) -> Tensor:
            return reward_model.rate(z) - 0.5 * self.prior_weight * z.square().sum(dim=1)

        with torch.no_grad():
            best = objective(noise).topk(min(self.starts - 1, len(noise))).indices
        starts = torch.cat((torch.from_numpy(destination).to(noise)[None], noise[best]))
        found, values = ascend(objective, starts, steps=self.steps, learning_rate=self.learning_rate)
        winner = found[values.argmax()]
        with torch.no_grad():
            loss = -float(reward_model.rate(winner[None]))
        return Move(np.ascontiguousarray(winner.cpu().numpy()), loss)
