"""Reinforcement learning in the search itself: algorithms of Stable-Baselines3, from scratch or from a saved policy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.vec_env import VecEnv

from agents.base import Learner

Algorithm = Literal["PPO", "A2C", "SAC", "TD3", "DDPG"]

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"PPO": PPO, "A2C": A2C, "SAC": SAC, "TD3": TD3, "DDPG": DDPG}

_SMALL = {"net_arch": [64, 64]}
_ON_POLICY = {"gamma": 0.9, "policy_kwargs": _SMALL | {"log_std_init": -1.5}}
# Policies begin around the middle of the prior, which is a better guess than the random actions of a warm-up.
_OFF_POLICY = {"gamma": 0.9, "policy_kwargs": _SMALL, "buffer_size": 10_000, "learning_starts": 0, "batch_size": 64}
_DETERMINISTIC = {"learning_rate": 3e-4, "gradient_steps": 1, "action_noise": 0.3}
DEFAULTS: dict[str, dict[str, Any]] = {
    "PPO": _ON_POLICY | {"learning_rate": 3e-4, "n_steps": 20, "batch_size": 20},
    "A2C": _ON_POLICY | {"learning_rate": 1e-3, "n_steps": 5},
    "SAC": _OFF_POLICY | {"learning_rate": 1e-3, "gradient_steps": 1, "ent_coef": "auto_0.1"},
    "TD3": _OFF_POLICY | _DETERMINISTIC,
    "DDPG": _OFF_POLICY | _DETERMINISTIC,
}
"""Settings of each algorithm where they differ from Stable-Baselines3's, for searches of some hundred answers."""

# No settings: where it learns, the randomness, which is the caller's, a device, as networks this small are quickest on
# the CPU, and logs, which nobody reads.
_GIVEN = {"policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model"}


class SB3(Learner):
    """An algorithm of Stable-Baselines3, whose policy proposes what is asked against the incumbent.

    Args:
        algorithm: "PPO" (Schulman et al. 2017), "A2C" (Mnih et al. 2016), "SAC" (Haarnoja et al. 2018), "TD3" (Fujimoto
            et al. 2018) or "DDPG" (Lillicrap et al. 2016).
        settings: arguments of its constructor that differ from `DEFAULTS`; `policy_kwargs` are added to those there.
            `action_noise` is a number, the standard deviation of normal noise on actions in [-1, 1].
        start: a file that the algorithm has saved, `.zip`, such as `python -m agents.pretrain` writes: begins with its
            policy, and with its settings unless told otherwise. Loading it can run code: take files that you trust.

    Raises:
        ValueError: an unknown algorithm or setting, or the policy's shape told beside a start, which has its own.
        FileNotFoundError: no such start.
    """

    def __init__(
        self, algorithm: Algorithm = "PPO", settings: dict[str, Any] | None = None, start: str | None = None
    ) -> None:
        told = dict(settings or {})
        check_settings(algorithm, told)
        if start is not None and "policy_kwargs" in told:
            raise ValueError(f"policy_kwargs are told, but the policy in {start} has its own; leave them out")
        if start is not None and not Path(start).is_file():
            raise FileNotFoundError(f"no such start: {start}; python -m agents.pretrain --out {start} makes one")
        self.algorithm = algorithm
        self.settings = told
        self.start = start

    def learn(self, env: gym.Env[Any, Any], answers: int, seed: int) -> None:
        with global_randomness(seed):
            model = made(self.algorithm, env, self.settings) if self.start is None else self._loaded(env, self.start)
            # The environment has seeds of its own; of its spaces only this one is drawn from here.
            model.action_space.seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            model.learn(answers)

    def _loaded(self, env: gym.Env[Any, Any], start: str) -> BaseAlgorithm:
        kind = ALGORITHMS[self.algorithm]
        data, _, _ = load_from_zip_file(start, device="cpu")
        if data is None or data.get("policy_class") not in kind.policy_aliases.values():
            raise ValueError(f"{start} holds no policy of {self.algorithm}; expected what its save() has written")
        # A policy that has been learned needs no random actions to begin with.
        begin = {"learning_starts": 0} if "learning_starts" in signature(kind).parameters else {}
        settings = begin | _with_noise(self.settings, env)
        return silent(kind.load(start, env, device="cpu", seed=None, **settings))


def check_settings(algorithm: str, settings: Mapping[str, Any]) -> None:
    """Checks settings by their names.

    Raises:
        ValueError: an algorithm that is not among `ALGORITHMS`, or settings that its constructor does not have.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {algorithm!r}; expected one of {', '.join(get_args(Algorithm))}")
    known = [name for name in signature(ALGORITHMS[algorithm]).parameters if name not in _GIVEN]
    if unknown := [name for name in settings if name not in known]:
        raise ValueError(f"unknown settings {', '.join(unknown)} of {algorithm}; expected some of {', '.join(known)}")


def made(algorithm: str, env: gym.Env[Any, Any] | VecEnv, settings: Mapping[str, Any]) -> BaseAlgorithm:
    """A fresh model on the CPU, with `DEFAULTS` where nothing else is told; draws its weights from the global RNG."""
    defaults = DEFAULTS[algorithm]
    policy = defaults["policy_kwargs"] | settings.get("policy_kwargs", {})
    arguments = _with_noise(defaults | dict(settings) | {"policy_kwargs": policy}, env)
    observation = "MultiInputPolicy" if isinstance(env.observation_space, gym.spaces.Dict) else "MlpPolicy"
    kind: Any = ALGORITHMS[algorithm]
    return silent(kind(observation, env, device="cpu", **arguments))


def silent(model: BaseAlgorithm) -> BaseAlgorithm:
    """The model, with nowhere to log to: unless told so, each one makes a folder for its log."""
    model.set_logger(Logger(None, []))
    return model


@contextmanager
def global_randomness(seed: int) -> Iterator[None]:
    """Within it the global generators of Python, NumPy and PyTorch (CPU), from which libraries draw, begin anew.

    Args:
        seed: of all three, at least 0 and of any size. Afterwards they are as they were before.
    """
    words = np.random.SeedSequence(seed).generate_state(4)
    before, before_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # what libraries draw from
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(words.tobytes())
            np.random.seed(words)  # noqa: NPY002
            torch.default_generator.manual_seed(int(words[0]))
            yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)  # noqa: NPY002


def _with_noise(settings: Mapping[str, Any], env: gym.Env[Any, Any] | VecEnv) -> dict[str, Any]:
    """Settings with the deviation of action noise made into that noise."""
    told = dict(settings)
    if told.get("action_noise") is not None:
        shape = env.action_space.shape
        assert shape is not None
        told["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, told["action_noise"]))
    return told
