"""PEBBLE: soft actor–critic on a reward that is learned from preferences."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from agents.base import Agent, Noise
from agents.learners import check_settings, global_randomness, made
from agents.reference.memory import Comparison, Everything
from agents.reference.reward.mlp import MLPReward, Sees
from pbg_env import Answer, Discriminator, Generator, noise_to_unit, sample_noise, unit_to_noise

SETTINGS: dict[str, Any] = {"learning_rate": 3e-3, "ent_coef": 0.1}
"""Of SAC, what differs from `agents.learners.DEFAULTS`; rewards have a standard deviation of 1."""

_NOTHING_TO_SEE = np.zeros(1, dtype=np.float32)
_NO_REWARD, _ENDED = np.zeros(1), np.ones(1)

Rewards = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Actions (batch, noise_dim) in [-1, 1] → rewards (batch,)."""


class Imagination(gym.Env[Any, Any]):
    """Episodes of one step without anything to see, rewarded by what was learned of the wish: no answer is needed.

    Args:
        noise_dim: of an action, within [-1, 1].
        rewards: the learned reward.
    """

    def __init__(self, noise_dim: int, rewards: Rewards) -> None:
        self.action_space = gym.spaces.Box(-1.0, 1.0, (noise_dim,), np.float32)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, _NOTHING_TO_SEE.shape, np.float32)
        self._rewards = rewards

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        return _NOTHING_TO_SEE, {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        return _NOTHING_TO_SEE, float(self._rewards(action[None])[0]), True, False, {}


class Pebble(Agent):
    """SAC on a reward learned from preferences, with relabelled experience (PEBBLE, Lee et al. 2021, algorithm 2).

    The reward is the mean of several perceptrons, fitted by the cross-entropy of Bradley–Terry probabilities to all
    answers: a tie is half for each side, a both-bad answer says nothing. After each fit all experience is rewarded
    anew, and SAC goes on in `Imagination`. The next questions are pairs of recent actions whose answers the perceptrons
    disagree about most. PEBBLE begins by exploring without supervision; here samples of the prior stand in for that,
    both as the first questions and as the first experience.

    Args:
        begin: answers about pairs of the prior before the first fit.
        every: answers between fits.
        steps: of SAC after each fit, an action and `gradient_steps` each.
        explored: samples of the prior in the experience.
        recent: actions among which questions are chosen, the last ones.
        candidates: random pairs of these, of which the best are asked.
        members: perceptrons, at least 2.
        width: of their two hidden layers.
        epochs: passes over the answers in each fit.
        learning_rate: of each fit, by Adam.
        sees: what is rewarded, "noise" or "media": the principal components of the generator's.
        settings: of SAC, beside `SETTINGS`.

    Raises:
        ValueError: a number out of range, or a setting that SAC does not have.
    """

    def __init__(
        self,
        begin: int = 20,
        every: int = 10,
        steps: int = 150,
        explored: int = 1000,
        recent: int = 150,
        candidates: int = 200,
        members: int = 3,
        width: int = 64,
        epochs: int = 20,
        learning_rate: float = 1e-3,
        sees: Sees = "noise",
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        least = {"begin": (begin, 1), "every": (every, 1), "steps": (steps, 1), "explored": (explored, 2)}
        least |= {"recent": (recent, 2), "candidates": (candidates, every), "members": (members, 2)}
        for name, (number, bound) in least.items():
            if number < bound:
                raise ValueError(f"{name} is {number}, expected at least {bound}")
        check_settings("SAC", settings or {})
        self.begin = begin
        self.every = every
        self.steps = steps
        self.explored = explored
        self.recent = recent
        self.candidates = candidates
        self.settings = SETTINGS | (settings or {})
        self._reward = MLPReward(width, 2, learning_rate, 32, epochs, members, sees=sees)

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._noise_dim = generator.noise_dim
        self._memory = Everything()
        self._reward.reset(generator, rng)
        self._shift, self._scale = 0.0, 1.0
        # Handed over as a batch of one, it gets no Monitor, whose statistics of episodes nobody reads.
        env = DummyVecEnv([lambda: Imagination(self._noise_dim, self._rewards)])
        with self._randomness():
            model = made("SAC", env, self.settings)
        assert isinstance(model, SAC)
        assert model.replay_buffer is not None
        self._model, self._experience = model, model.replay_buffer
        for action in noise_to_unit(sample_noise((self.explored, self._noise_dim), rng)):
            self._experience.add(_NOTHING_TO_SEE, _NOTHING_TO_SEE, action, _NO_REWARD, _ENDED, [{}])
        self._questions = self._prior_pairs(self.begin)
        self._recommend()

    def _question(self) -> tuple[Noise, Noise]:
        first, second = self._questions[0]
        return first, second

    def _learn(self, answer: Answer) -> None:
        self._memory.add([Comparison(answer.first, answer.second, answer.preference.label, self.rounds)])
        self._questions = self._questions[1:]
        if not len(self._questions):
            self._improve()

    @property
    def destination(self) -> Noise:
        return self._destination

    def rate(self, noise: Tensor) -> Tensor:
        return self._reward.rate(noise)

    def _improve(self) -> None:
        """Fits the reward, lets SAC go on and chooses the next questions."""
        self.metrics = self._reward.fit(self._memory.dataset(self.rounds), None)
        self.rounds += 1
        if not self.metrics:
            # Both-bad answers alone: there is no reward yet.
            self._questions = self._prior_pairs(self.every)
            return
        self._relabel()
        with self._randomness():
            self._model.learn(self.steps, reset_num_timesteps=False)
        self._questions = self._contested_pairs()
        self._recommend()

    def _relabel(self) -> None:
        experience = self._experience
        actions = experience.actions[: experience.size(), 0]
        self._shift, self._scale = 0.0, 1.0
        rewards = self._rewards(actions)
        # Comparisons leave the scale of rewards open, and SAC's temperature depends on it.
        self._shift, self._scale = float(rewards.mean()), max(float(rewards.std()), 1e-6)
        experience.rewards[: len(actions), 0] = (rewards - self._shift) / self._scale

    @torch.no_grad()
    def _rewards(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        noise = torch.from_numpy(unit_to_noise(actions)).to(self._reward.device)
        rewards: NDArray[np.float32] = self._reward.rate(noise).cpu().numpy()
        return (rewards - self._shift) / self._scale

    def _prior_pairs(self, count: int) -> NDArray[np.float32]:
        return sample_noise((count, 2, self._noise_dim), self._rng)

    def _contested_pairs(self) -> NDArray[np.float32]:
        """Pairs (every, 2, noise_dim) of recent actions that the perceptrons disagree about."""
        experience = self._experience
        count = min(self.recent, experience.size())
        newest = (experience.pos - 1 - np.arange(count)) % experience.buffer_size
        noise = unit_to_noise(experience.actions[newest, 0])
        first = self._rng.integers(count, size=self.candidates)
        second = (first + self._rng.integers(1, count, size=self.candidates)) % count
        rewards = self._reward.samples(torch.from_numpy(noise).to(self._reward.device))  # (members, count)
        disagreement = torch.sigmoid(rewards[:, first] - rewards[:, second]).std(dim=0)
        chosen = disagreement.argsort(descending=True, stable=True)[: self.every].cpu().numpy()
        return noise[np.stack((first, second), axis=1)[chosen]]

    def _recommend(self) -> None:
        action, _ = self._model.predict(_NOTHING_TO_SEE, deterministic=True)
        self._destination = unit_to_noise(action)

    def _randomness(self) -> AbstractContextManager[None]:
        return global_randomness(int(self._rng.integers(2**63)))
