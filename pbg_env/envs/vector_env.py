"""The environments batched: searches side by side that share one forward of the generator a step."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.preference_env import PreferenceEnv, PreferencePairsEnv, SearchEnv
from pbg_env.envs.searches import RENDER_MODES, Batch
from pbg_env.envs.spaces import finite_numbers
from pbg_env.envs.with_searches import WithSearches

Info = dict[str, Any]


class SearchVectorEnv(WithSearches, VectorEnv[Any, Any, Any], EzPickle):
    """`num_envs` searches as one environment, each with its own target, budget, seed and ending.

    Given the same seeds the answers are those of as many single environments. What a step observes, rewards and reports
    is described at the single environment; here every array has the searches first, and each entry of `info` a mask,
    `_preference` for `preference`, of the searches it is known for.

    Args:
        num_envs: searches, at least 1.
        autoreset_mode: when a search that ended begins again: "NextStep" (with the next step, whose action it ignores),
            "SameStep" (at once; `info["final_obs"]` and `info["final_info"]` hold what it ended with), or "Disabled"
            (`reset(options={"reset_mask": …})` begins those that are True in the mask (num_envs,)). These names, which
            JSON can hold, or Gymnasium's `AutoresetMode`.
        arguments: of the single environment.

    Raises:
        TypeError: an argument that the single environment has not.
        ValueError: as for the single environment.
        FileNotFoundError: no such checkpoint.
    """

    single: ClassVar[type[SearchEnv]]

    def __init__(
        self, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any
    ) -> None:
        EzPickle.__init__(self, num_envs, autoreset_mode, **arguments)
        # The single environment's signature is the one place of names and defaults.
        takes = signature(self.single).parameters
        if unknown := [name for name in arguments if name not in takes]:
            raise TypeError(f"unknown arguments {', '.join(unknown)}; expected some of {', '.join(takes)}")
        full = {name: arguments.get(name, parameter.default) for name, parameter in takes.items()}
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError as error:
            names = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ValueError(f"unknown autoreset_mode {autoreset_mode!r}; expected one of {names}") from error
        self._searches = self.single.searches(num_envs, full)
        self.num_envs = self._searches.count
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": SearchEnv.metadata["render_fps"],
            "autoreset_mode": self.autoreset_mode,
        }
        self.render_mode = self._searches.render_mode
        self.single_action_space = self._searches.action_space
        self.single_observation_space = self._searches.observation_space
        actions = batch_space(self.single_action_space, self.num_envs)
        assert isinstance(actions, spaces.Box)
        self.action_space = self._actions = actions
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._to_reset = np.zeros(self.num_envs, dtype=np.bool_)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Answers given since the resets, (num_envs,)."""
        return np.array([self._searches.queries(index) for index in range(self.num_envs)])

    @property
    def targets(self) -> list[Tensor | None]:
        """The target (*media.shape) of each search as perceived, or None where the oracle has none. Not for agents.

        Raises:
            ResetNeeded: there is no search yet.
        """
        return [self._searches.wish(index).target for index in range(self.num_envs)]

    def evaluate(self, noise: NDArray[np.floating]) -> NDArray[np.float64]:
        """The hidden scores (num_envs,) of noise (num_envs, noise_dim), each in its own search.

        Raises:
            ResetNeeded: there is no search yet.
            ClosedEnvironmentError: after `close`.
            ValueError: the oracle has no utility, or the noise has another shape, is NaN or infinite.
        """
        self._searches.demand_open("evaluate")
        array = finite_numbers(noise, "noise")
        if array.shape != (self.num_envs, self.noise_dim):
            raise ValueError(f"noise of shape {array.shape}, expected ({self.num_envs}, {self.noise_dim})")
        return self._searches.evaluate(np.arange(self.num_envs), array)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Batch, Info]:
        """Begins searches.

        Args:
            seed: search i gets seed + i; or one seed for each.
            options: `target`, for all of them as for the single environment, or one for each: noise (num_envs,
                noise_dim), or a list of files, arrays, noise vectors and None; `reset_mask`, bool (num_envs,), begins
                some of them only.

        Raises:
            ValueError: unknown options, or of another length or shape; a target as for the single environment.
        """
        self._searches.demand_open("reset")
        seeds = self._seeds(seed)
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        target = options.pop("target", None)
        if options:
            raise ValueError(
                f"unknown reset options {', '.join(map(repr, options))}; expected 'target' and 'reset_mask'"
            )
        which = np.ones(self.num_envs, dtype=np.bool_) if mask is None else np.asarray(mask)
        if which.dtype != np.bool_ or which.shape != (self.num_envs,) or not which.any():
            raise ValueError(f"reset_mask is {mask!r}, expected bool ({self.num_envs},), at least one of it True")
        targets = self._targets(target)
        opening = np.flatnonzero(which).tolist()
        nothing = np.empty((0, *self._searches.action_shape), dtype=np.float32)
        self._searches.advance([], nothing, opening, [seeds[i] for i in opening], [targets[i] for i in opening])
        self._to_reset[which] = False
        return self._searches.observations(), self._infos(which)

    def step(self, actions: Any) -> tuple[Batch, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        self._searches.demand_open("step")
        noise = self._searches.noise_of(actions, self._actions)  # (num_envs, *action_shape)
        opening = self._to_reset if self.autoreset_mode == AutoresetMode.NEXT_STEP else np.zeros_like(self._to_reset)
        rewards = self._advance(~opening, noise, opening)
        terminated, truncated = self._searches.terminated, self._searches.truncated
        ended = terminated | truncated
        self._to_reset = ended.copy()
        every = np.ones(self.num_envs, dtype=np.bool_)
        if self.autoreset_mode != AutoresetMode.SAME_STEP or not ended.any():
            return self._searches.observations(), rewards, terminated, truncated, self._infos(every)
        final_observations, final_info = self._searches.observations(), self._infos(ended)
        self._advance(np.zeros_like(ended), noise, ended)
        self._to_reset[:] = False
        info = self._infos(every)
        info["final_obs"] = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            info["final_obs"][index] = {name: value[index].copy() for name, value in final_observations.items()}
        info |= {"_final_obs": ended.copy(), "final_info": final_info, "_final_info": ended.copy()}
        return self._searches.observations(), rewards, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """With `rgb_array` a picture (height, width, 3) of each search, else None.

        Raises:
            ResetNeeded: there is no search yet.
        """
        self._searches.demand_open("render")
        if self.render_mode is None:
            return None
        return tuple(self._searches.render(index) for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Ends all searches."""
        del kwargs
        self._searches.close()

    def _advance(
        self, acting: NDArray[np.bool_], noise: NDArray[np.float32], opening: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        begin = np.flatnonzero(opening).tolist()
        nobody = [None] * len(begin)
        return self._searches.advance(np.flatnonzero(acting).tolist(), noise[acting], begin, nobody, nobody)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} searches; give one for each, or a single number")
        return list(seed)

    def _targets(self, given: Any) -> list[Any]:
        if isinstance(given, (list, tuple)) and all(_is_a_target(one) for one in given):
            if len(given) != self.num_envs:
                raise ValueError(f"{len(given)} targets for {self.num_envs} searches; give one for each, or one alone")
            return list(given)
        if isinstance(given, Tensor):
            given = given.detach().cpu()
        if not isinstance(given, (str, Path)) and np.shape(given) == (self.num_envs, self.noise_dim):
            return list(np.asarray(given))
        return [given] * self.num_envs

    def _infos(self, known: NDArray[np.bool_]) -> Info:
        """`info` with a mask for every entry, of the searches that it is known for; zeros for the others."""
        infos: Info = {}
        for name, values in self._searches.infos().items():
            mask = known & ~np.isnan(values) if name == "score" else known.copy()
            values[~mask] = 0
            infos |= {name: values, f"_{name}": mask}
        return infos


def _is_a_target(given: Any) -> bool:
    """Whether this is a target as a whole, and no number of an array that was written as a list."""
    return (
        given is None or isinstance(given, (str, Path)) or (isinstance(given, (np.ndarray, Tensor)) and given.ndim > 0)
    )


class PreferenceVectorEnv(SearchVectorEnv):
    """`PreferenceEnv` batched; see `SearchVectorEnv`."""

    single = PreferenceEnv


class PreferencePairsVectorEnv(SearchVectorEnv):
    """`PreferencePairsEnv` batched; see `SearchVectorEnv`."""

    single = PreferencePairsEnv
