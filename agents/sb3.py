"""The batched environment as Stable-Baselines3 wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from pbg_env import PreferencePairsVectorEnv, PreferenceVectorEnv


class PreferenceVecEnv(VecEnv):
    """A batched environment as a `VecEnv`: one forward of the generator for all searches of a step.

    Args:
        env: of `gym.make_vec(…, autoreset_mode="SameStep")`. PPO's policy begins as a standard normal: with
            `action="noise"` that is the prior, with "unit" a third of all components would lie at the bounds. SAC and
            TD3 begin with samples of the action space, which are the prior with both.

    Raises:
        ValueError: another autoreset mode, or no such environment.
    """

    def __init__(self, env: PreferenceVectorEnv | PreferencePairsVectorEnv) -> None:
        if not isinstance(env, (PreferenceVectorEnv, PreferencePairsVectorEnv)):
            raise ValueError(
                f"env is a {type(env).__name__}; expected what gym.make_vec returns for an id of pbg_env, as it is: "
                f"wrappers, such as Stable-Baselines3's VecMonitor, go around this adapter"
            )
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"autoreset_mode is {env.autoreset_mode.value!r}, but Stable-Baselines3 needs the first observation of "
                f"a search together with the end of the one before; make the environment with autoreset_mode='SameStep'"
            )
        self.env = env
        self._actions: NDArray[np.float32] | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        unknown = {name for options in self._options for name in options} - {"target"}
        if unknown:
            raise ValueError(f"unknown options {', '.join(map(repr, sorted(unknown)))}; expected 'target'")
        targets = [options.get("target") for options in self._options]
        if isinstance(targets[0], np.ndarray):
            # SB3 copies options that are meant for all; as one array they are one target again, looked at once.
            first = targets[0]
            targets = [
                first if isinstance(other, np.ndarray) and np.array_equal(first, other) else other for other in targets
            ]
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observation, info = self.env.reset(seed=seeds, options={"target": targets})
        self.reset_infos = _infos(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: NDArray[np.float32]) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        assert self._actions is not None, "step_wait() follows step_async()"
        observation, rewards, terminated, truncated, info = self.env.step(self._actions)
        # Of a search that ended, what it ended with; its successor's are in reset_infos.
        infos = _infos({name: value for name, value in info.items() if "final" not in name}, self.num_envs)
        for index in np.flatnonzero(terminated | truncated):
            self.reset_infos[index] = infos[index]
            infos[index] = _infos(info["final_info"], self.num_envs)[index] | {
                "terminal_observation": info["final_obs"][index]
            }
        for own, is_truncated in zip(infos, truncated, strict=True):
            own["TimeLimit.truncated"] = bool(is_truncated)
        return observation, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError("the searches of a batched environment share their arguments; make it with others")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        raise NotImplementedError(f"call {method_name}() on the batched environment, the attribute env, itself")

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        del wrapper_class
        return [False for _ in self._get_indices(indices)]


def _infos(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """`info` of a batched environment → one of each search, with what is known for it."""
    names = [name for name in info if not name.startswith("_")]
    return [{name: info[name][index] for name in names if info[f"_{name}"][index]} for index in range(count)]
