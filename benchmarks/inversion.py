"""White-box inversion: what a searcher could reach who sees the wish. A ceiling, no competitor."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from agents.base import Learner, Noise
from pbg_env import ascend, sample_noise


class Inversion(Learner):
    """Asks nothing: climbs the user's own utility through the generator, from z = 0 and from prior samples.

    Args:
        starts: of gradient ascent, z = 0 among them.
        steps: of Adam for each.
        learning_rate: of Adam, annealed along half a cosine.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, starts: int = 5, steps: int = 300, learning_rate: float = 0.05) -> None:
        if starts < 1 or steps < 1 or not learning_rate > 0:
            raise ValueError(
                f"starts, steps and learning_rate are {starts}, {steps} and {learning_rate}; expected 1 or more, 1 or "
                f"more, and above 0"
            )
        self.starts = starts
        self.steps = steps
        self.learning_rate = learning_rate
        self._found: Noise | None = None

    def learn(self, env: gym.Env[Any, Any], answers: int, seed: int) -> None:
        del answers
        space: Any = env.unwrapped
        generator, oracle = space.generator, space.oracle
        starts = sample_noise((self.starts, generator.noise_dim), np.random.default_rng(seed))
        starts[0] = 0.0

        def utility(noise: Tensor) -> Tensor:
            return oracle.utility(generator.generate(noise))

        noise, values = ascend(
            utility, torch.from_numpy(starts).to(generator.device), steps=self.steps, learning_rate=self.learning_rate
        )
        self._found = noise[int(values.argmax())].cpu().numpy()

    @property
    def destination(self) -> Noise | None:
        return self._found
