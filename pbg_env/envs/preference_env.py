"""The two environments: a candidate against the incumbent, and pairs as they stand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.candidate import CandidateSearches
from pbg_env.envs.pairs import PairSearches
from pbg_env.envs.searches import RENDER_MODES, Searches
from pbg_env.envs.spaces import ActionKind, finite_numbers
from pbg_env.envs.with_searches import WithSearches
from pbg_env.generators.base import Discriminator, Generator
from pbg_env.noise import clip_noise
from pbg_env.oracles import Oracle, Person
from pbg_env.oracles.teacher import Teacher
from pbg_env.similarity import Similarity, SimilarityFunction

Observation = dict[str, NDArray[Any]]
Info = dict[str, Any]

_FIRST = np.zeros(1, dtype=np.int64)


class SearchEnv(WithSearches, gym.Env[Any, Any], EzPickle):
    """One search. What it takes and does is described at `PreferenceEnv` and `PreferencePairsEnv`."""

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # noqa: RUF012  # declared so by Gymnasium

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        EzPickle.__init__(self, **{name: arguments[name] for name in signature(type(self)).parameters})
        self._searches = self.searches(1, arguments)
        self.action_space = self._searches.action_space
        self.observation_space = self._searches.observation_space
        self.render_mode = self._searches.render_mode

    @staticmethod
    @abstractmethod
    def searches(count: int, arguments: Mapping[str, Any]) -> Searches:
        """Searches of this kind with these arguments of an environment."""

    @property
    def queries(self) -> int:
        """Answers given since the reset."""
        return self._searches.queries(0)

    @property
    def target(self) -> Tensor | None:
        """The target (*media.shape) as perceived, or None where the oracle has none. Not for agents.

        Raises:
            ResetNeeded: there is no search yet.
        """
        return self._searches.wish(0).target

    @property
    def oracle(self) -> Oracle:
        """Who answers. Not for agents.

        Raises:
            ResetNeeded: there is no search yet.
        """
        return self._searches.wish(0).oracle

    def evaluate(self, noise: NDArray[np.floating]) -> Any:
        """The hidden score of noise: 0 for a random medium, 1 for the best the generator can do.

        Args:
            noise: (noise_dim,) or (batch, noise_dim); clipped, as actions are.

        Returns:
            A float, or (batch,) in float64.

        Raises:
            ResetNeeded: there is no search yet.
            ClosedEnvironmentError: after `close`.
            ValueError: the oracle has no utility, or the noise has another shape, is NaN or infinite.
        """
        self._searches.demand_open("evaluate")
        array = finite_numbers(noise, "noise")
        if array.ndim not in (1, 2) or array.shape[-1] != self.noise_dim:
            raise ValueError(f"noise of shape {array.shape}, expected ({self.noise_dim},) or (batch, {self.noise_dim})")
        scores = self._searches.evaluate(_FIRST.repeat(len(np.atleast_2d(array))), np.atleast_2d(array))
        return float(scores[0]) if array.ndim == 1 else scores

    @property
    def person(self) -> Person | None:
        """The person who answers, or None where a simulated user does."""
        return self._searches.person

    def show(self, destination: NDArray[np.floating], confidence: float | None = None) -> None:
        """Shows what a search recommends to the person who answers; does nothing for a simulated user.

        Args:
            destination: noise (noise_dim,), clipped, as actions are.
            confidence: how sure the search is, from 0 to 1; None where it does not know.

        Raises:
            ClosedEnvironmentError: after `close`.
            ValueError: the noise has another shape, is NaN or infinite, or confidence is out of range.
        """
        self._searches.demand_open("show")
        if confidence is not None and not 0 <= float(confidence) <= 1:
            raise ValueError(f"confidence is {confidence}, expected 0 to 1, or None")
        noise = finite_numbers(destination, "destination")
        if noise.shape != (self.noise_dim,):
            raise ValueError(f"a destination of shape {noise.shape}, expected ({self.noise_dim},)")
        if self.person is not None:
            noise = clip_noise(noise)
            sure = None if confidence is None else float(confidence)
            self.person.show(noise, self._searches.generate(noise[None])[0], sure)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        self._searches.demand_open("reset")
        super().reset(seed=seed)
        options = dict(options or {})
        target = options.pop("target", None)
        if options:
            raise ValueError(f"unknown reset options {', '.join(map(repr, options))}; expected 'target'")
        nothing = np.empty((0, *self._searches.action_shape), dtype=np.float32)
        self._searches.advance([], nothing, opening=[0], seeds=[seed], targets=[target])
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, Info]:
        self._searches.demand_open("step")
        noise = self._searches.noise_of(action, self._searches.action_space)
        reward = self._searches.advance([0], noise[None])[0]
        terminated, truncated = self._searches.terminated[0], self._searches.truncated[0]
        return self._observation(), float(reward), bool(terminated), bool(truncated), self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """With `rgb_array` a picture (height, width, 3), else None.

        Raises:
            ResetNeeded: there is no search yet.
            ClosedEnvironmentError: after `close`.
        """
        self._searches.demand_open("render")
        return None if self.render_mode is None else self._searches.render(0)

    def close(self) -> None:
        """Ends the search; may be called again."""
        self._searches.close()

    def _observation(self) -> Observation:
        return {name: value[0] for name, value in self._searches.observations().items()}

    def _info(self) -> Info:
        infos = self._searches.infos()
        info: Info = {name: value[0] for name, value in infos.items()}
        return info | {"queries": int(info["queries"]), "is_success": bool(info["is_success"])}


class PreferenceEnv(SearchEnv):
    """Search the noise space of a generator for what somebody wants, by their preferences alone.

    ## Description

    An oracle wants one particular medium and can only say which of two is nearer to it: the first, the second, both
    good, both bad. Each step shows it the medium of the action, the *candidate* (first), beside that of the best so
    far, the *incumbent* (second). A candidate that is preferred becomes the incumbent.

    ## Action Space

    The candidate's noise, `(noise_dim,)` float32: with `action="noise"` within ±4, and `action_space.sample()` draws
    from the prior (the standard normal truncated at ±4); with `action="unit"` within ±1, mapped to the prior by its
    inverse distribution function. Finite actions out of range are clipped; NaN and infinity raise a `ValueError`.

    ## Observation Space

    A `Dict` of flat boxes:

    | key | shape | what |
    |---|---|---|
    | `incumbent` | `(noise_dim,)` | noise of the incumbent |
    | `candidate` | `(noise_dim,)` | noise of the last candidate, zeros before the first |
    | `answer` | `(4,)` | the last answer, one-hot in the order of `Preference`, zeros before the first |
    | `spent` | `(1,)` | share of the budget used |
    | `incumbent_media`, `candidate_media` | `(height, width, 3)` uint8 | with `observe_media` |

    ## Reward

    1 when the candidate becomes the incumbent, else 0; on success the answers left are added, so that neither doing
    nothing nor delaying pays.

    ## Starting State

    The incumbent is drawn from the prior. With `target="prior"` so is the target, at each reset.
    `reset(options={"target": …})` takes a file, an array or a noise vector for this search. One seed gives separate
    streams to target, incumbent and teacher.

    ## Episode End

    `terminated` when the oracle is satisfied: the incumbent or the candidate scores at least `goal`. `truncated` when
    `max_queries` answers are spent.

    With `oracle="human"` a person answers, on a page; they end the search when they press "That's it".

    `info` holds `preference` (int64, (pairs,), −1 before the first), `ids` (their numbers, likewise), `queries`,
    `is_success`, and `score` with `diagnostics`. A person may take answers back instead of answering: then `preference`
    is −1 and `retracted` holds the ids; or begin again: then these are all so far, and `restart_from` is the noise
    (noise_dim,) that they want to begin from; or say that this is it: then `accepted` is its noise.

    ## Arguments

    Args:
        generator: "avatars", "tones", a checkpoint, "module:function" (which returns a generator), or a `Generator`.
        discriminator: likewise, or a `Discriminator`; the embedded one for an embedded generator unless told.
        scale: which of the generator's scales, −1 for the largest.
        oracle: "target" (a simulated user with a target), "human" (a person, on a page), "random", "module:function"
            (which returns an oracle), or an `Oracle`; the next three are for "target" alone.
        target: "prior" (a fresh medium the generator can make) or a file; None where the wish is a utility of media.
        similarity: what the simulated user goes by: "pixels", "features", "ssim", "discriminator", "vit" or
            "vit:FOLDER-OR-HUB-NAME", "lpips" or "lpips:NETWORK"; or a function of your own, or "module:function", of
            media (batch, *shape) and target (batch or 1, *shape), without the latter where `target` is None. Unless
            told, "pixels" for pictures and "features" for other media.
        teacher: a preset's name ("oracle" is exact; "noisy", "mistaken", "hesitant", "harsh", "human"), or some of
            `beta`, `mistake`, `equal` and `bad`, as `Teacher` describes them.
        goal: the score that satisfies the oracle; None never ends early.
        max_queries: answers in a search, at least 1.
        action: "noise" or "unit".
        observe_media: show the media in the observation.
        diagnostics: put the hidden score of the incumbent into `info`.
        render_mode: None or "rgb_array": the asked pair, the incumbent and the target, side by side.
        device: of the generator, "auto" for CUDA where there is one.

    Raises:
        ValueError: an argument out of range or unknown, a file that is no checkpoint, no picture.
        FileNotFoundError: no such checkpoint.
        MemoryError: a batch does not fit; the message names its size.

    ## Version History

    * v0: first version.
    """

    def __init__(
        self,
        generator: str | Path | Generator = "avatars",
        discriminator: str | Path | Discriminator | None = None,
        scale: int = -1,
        oracle: str | Oracle = "target",
        target: str | Path | None = "prior",
        similarity: str | Similarity | SimilarityFunction | None = None,
        teacher: str | Mapping[str, float | str | None] | Teacher = "oracle",
        goal: float | None = 0.7,
        max_queries: int = 500,
        action: ActionKind = "noise",
        observe_media: bool = False,
        diagnostics: bool = False,
        render_mode: str | None = None,
        device: str = "auto",
    ) -> None:
        super().__init__({name: value for name, value in locals().items() if name in _ARGUMENTS})

    @staticmethod
    def searches(count: int, arguments: Mapping[str, Any]) -> Searches:
        return CandidateSearches(count, pairs_per_step=1, **arguments)


class PreferencePairsEnv(SearchEnv):
    """As `PreferenceEnv`, but each step asks pairs of the agent's own choosing, as they stand.

    ## Description

    For agents that choose both media of every question. There is no incumbent.

    ## Action Space

    `(pairs_per_step, 2, noise_dim)` float32: pairs of noise; kinds, sampling and clipping as for `PreferenceEnv`.

    ## Observation Space

    A `Dict` of flat boxes:

    | key | shape | what |
    |---|---|---|
    | `answers` | `(pairs_per_step · 4,)` | the answers of the last step, one-hot; zeros for a pair that was not asked |
    | `spent` | `(1,)` | share of the budget used |

    ## Reward

    On success the answers left, else 0.

    ## Starting State

    As for `PreferenceEnv`, without an incumbent.

    ## Episode End

    `terminated` when a shown medium scores at least `goal`; `truncated` when `max_queries` answers are spent. Pairs of
    a last step beyond the budget are not asked: their answer is −1.

    ## Arguments

    Args:
        pairs_per_step: pairs asked in a step, at least 1.
        generator: as for `PreferenceEnv`, like all the others; "rgb_array" shows the last pair and the target, and
            `diagnostics` the best score shown in the step.

    Raises:
        ValueError: as for `PreferenceEnv`.
        FileNotFoundError: no such checkpoint.

    ## Version History

    * v0: first version.
    """

    def __init__(
        self,
        pairs_per_step: int = 1,
        generator: str | Path | Generator = "avatars",
        discriminator: str | Path | Discriminator | None = None,
        scale: int = -1,
        oracle: str | Oracle = "target",
        target: str | Path | None = "prior",
        similarity: str | Similarity | SimilarityFunction | None = None,
        teacher: str | Mapping[str, float | str | None] | Teacher = "oracle",
        goal: float | None = 0.7,
        max_queries: int = 500,
        action: ActionKind = "noise",
        observe_media: bool = False,
        diagnostics: bool = False,
        render_mode: str | None = None,
        device: str = "auto",
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name in _ARGUMENTS}
        super().__init__({"pairs_per_step": pairs_per_step} | arguments)

    @staticmethod
    def searches(count: int, arguments: Mapping[str, Any]) -> Searches:
        return PairSearches(count, **arguments)


_ARGUMENTS = frozenset(signature(PreferenceEnv).parameters)
