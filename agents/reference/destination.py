"""Last stage of a round: the destination moves up the learned reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import Noise
from agents.reference.reward import RewardModel
from pbg_env import Discriminator, Generator, ascend


class Move(NamedTuple):
    """Where the destination went."""

    destination: Noise
    action_loss: float
    """Negative reward at the new destination."""


class Mover(ABC):
    """Moves the destination."""

    @abstractmethod
    def reset(self, generator: Generator, discriminator: Discriminator | None) -> None:
        """Takes in whose noise it is.

        Raises:
            ValueError: something that it needs is missing.
        """

    @abstractmethod
    def move(self, destination: Noise, actions: Noise, reward_model: RewardModel) -> Move:
        """The destination (noise_dim,) and the actions of the round (count, noise_dim) → the new destination."""


class GradientAscent(Mover):
    """Steps of Adam up the reward, from the destination and the best of the actions; the best place passed wins.

    A reward model that sees media is climbed through the generator.

    Args:
        steps: of each ascent, at most.
        learning_rate: at its begin, in units of noise.
        starts: ascents, the destination's included.
        anneal: let the learning rate fall to 0 along half a cosine.
        patience: ends after so many steps in which no ascent came higher; None takes all steps.
        prior_weight: on the log-density of the prior, −‖z‖² / 2: keeps the noise where the generator was trained.
        realism_weight: on the discriminator's score of the medium, in (0, 1): keeps the medium looking real.
    """

    def __init__(
        self,
        steps: int = 30,
        learning_rate: float = 1e-3,
        starts: int = 1,
        anneal: bool = False,
        patience: int | None = None,
        prior_weight: float = 0.0,
        realism_weight: float = 0.0,
    ) -> None:
        for name, count in (("steps", steps), ("starts", starts), ("patience", 1 if patience is None else patience)):
            if count < 1:
                raise ValueError(f"{name} is {count}, expected at least 1")
        if not (learning_rate > 0 and prior_weight >= 0 and realism_weight >= 0):
            raise ValueError(
                f"learning_rate is {learning_rate}, prior_weight {prior_weight}, realism_weight {realism_weight}; "
                f"expected above 0, at least 0, at least 0"
            )
        self.steps = steps
        self.learning_rate = learning_rate
        self.starts = starts
        self.anneal = anneal
        self.patience = patience
        self.prior_weight = prior_weight
        self.realism_weight = realism_weight

    def reset(self, generator: Generator, discriminator: Discriminator | None) -> None:
        if self.realism_weight and discriminator is None:
            raise ValueError(
                "realism_weight asks for a discriminator, and there is none beside this generator; name one with "
                "--env.discriminator, or leave the weight at 0"
            )
        self._generator = generator
        self._discriminator = discriminator

    def move(self, destination: Noise, actions: Noise, reward_model: RewardModel) -> Move:
        def objective(noise: Tensor) -> Tensor:
            value = reward_model.rate(noise)
            if self.prior_weight:
                value = value - 0.5 * self.prior_weight * noise.square().sum(dim=1)
            if self.realism_weight and self._discriminator is not None:
                value = value + self.realism_weight * self._discriminator.score(self._generator.generate(noise))
            return value

        starts = torch.from_numpy(destination).to(reward_model.device)[None]
        if self.starts > 1:
            noise = torch.from_numpy(actions).to(starts)
            with torch.no_grad():
                best = objective(noise).topk(min(self.starts - 1, len(noise))).indices
            starts = torch.cat((starts, noise[best]))
        found, values = ascend(
            objective,
            starts,
            steps=self.steps,
            learning_rate=self.learning_rate,
            anneal=self.anneal,
            patience=self.patience,
        )
        winner = found[values.argmax()]
        with torch.no_grad():
            loss = -float(reward_model.rate(winner[None]))
        return Move(np.ascontiguousarray(winner.cpu().numpy()), loss)
