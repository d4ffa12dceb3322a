"""The two environments: a candidate against the incumbent, and pairs as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.search import PRIOR, Info, Observation, SearchEnv, one_hot
from pbg_env.envs.spaces import ActionKind, action_space
from pbg_env.generators.base import Discriminator, Generator
from pbg_env.noise import NOISE_BOUND, sample_noise
from pbg_env.oracles import Oracle
from pbg_env.oracles.teacher import Teacher
from pbg_env.preference import NOT_ASKED, Preference


class PreferenceEnv(SearchEnv, EzPickle):
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

    `info` holds `preference` (int64, (pairs,), −1 before the first), `queries`, `is_success`, `retracted` (ids of
    answers that were taken back), and `score` with `diagnostics`.

    ## Arguments

    Args:
        generator: "avatars", a checkpoint, or a `Generator`.
        discriminator: a checkpoint or a `Discriminator`; the embedded one for an embedded generator unless told.
        scale: which of the generator's scales, −1 for the largest.
        oracle: "target" (a simulated user with a target), "random", "module:function" (which returns an oracle), or an
            `Oracle`.
        target: "prior" (a fresh picture the generator can make) or an image file.
        similarity: what the simulated user goes by: "pixels".
        teacher: a preset's name ("oracle" is exact), or `equal` and `bad`, thresholds in standardised units.
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

    ## Version History

    * v0: first version.
    """

    def __init__(
        self,
        generator: str | Generator = "avatars",
        discriminator: str | Discriminator | None = None,
        scale: int = -1,
        oracle: str | Oracle = "target",
        target: str = PRIOR,
        similarity: str = "pixels",
        teacher: str | Mapping[str, float] | Teacher = "oracle",
        goal: float | None = 0.7,
        max_queries: int = 500,
        action: ActionKind = "noise",
        observe_media: bool = False,
        diagnostics: bool = False,
        render_mode: str | None = None,
        device: str = "auto",
    ) -> None:
        arguments: dict[str, Any] = {name: value for name, value in locals().items() if name in _ARGUMENTS}
        EzPickle.__init__(self, **arguments)
        super().__init__(pairs_per_step=1, **arguments)
        dim = (self.noise_dim,)
        self.action_space = action_space(action, dim)
        noise = spaces.Box(-NOISE_BOUND, NOISE_BOUND, dim, np.float32)
        observed: dict[str, spaces.Space[Any]] = {
            "incumbent": noise,
            "candidate": noise,
            "answer": spaces.Box(0.0, 1.0, (len(Preference),), np.float32),
            "spent": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if observe_media:
            # Frames of every medium have one shape; a picture's is known without generating one.
            frame = self.generator.media.frame(torch.zeros(self.generator.media.shape)).shape
            observed["incumbent_media"] = spaces.Box(0, 255, frame, np.uint8)
            observed["candidate_media"] = spaces.Box(0, 255, frame, np.uint8)
        self.observation_space = spaces.Dict(observed)
        self._incumbent: NDArray[np.float32] = np.zeros(dim, dtype=np.float32)
        self._candidate: NDArray[np.float32] = np.zeros(dim, dtype=np.float32)
        self._incumbent_media: Tensor | None = None
        self._candidate_media: Tensor | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        rng = self._begin(seed, options)
        self._incumbent = sample_noise((self.noise_dim,), rng)
        self._candidate = np.zeros_like(self._incumbent)
        self._incumbent_media, self._candidate_media = self.generate(self._incumbent[None]), None
        answers = np.full(1, NOT_ASKED, dtype=np.int64)
        return self._observation(answers), self._info(answers, False, self._incumbent_media)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, Info]:
        self._candidate = self._noise_of(action)
        assert self._incumbent_media is not None
        candidate, incumbent = self.generate(self._candidate[None]), self._incumbent_media
        self._candidate_media = candidate
        answers = self._ask(candidate, incumbent)
        better = bool(answers[0] == Preference.FIRST)
        if better:
            self._incumbent, self._incumbent_media = self._candidate, candidate
        satisfied = self._satisfied(torch.cat((candidate, incumbent)))
        terminated, truncated = self._end(satisfied)
        reward = float(better) + (self.max_queries - self._queries if satisfied else 0)
        info = self._info(answers, satisfied, self._incumbent_media)
        return self._observation(answers), reward, terminated, truncated, info

    def _observation(self, answers: NDArray[np.int64]) -> Observation:
        observation: Observation = {
            "incumbent": self._incumbent.copy(),
            "candidate": self._candidate.copy(),
            "answer": one_hot(answers)[0],
            "spent": self._spent(),
        }
        if self.observe_media:
            assert self._incumbent_media is not None
            observation["incumbent_media"] = self.generator.media.frame(self._incumbent_media[0])
            observation["candidate_media"] = (
                np.zeros_like(observation["incumbent_media"])
                if self._candidate_media is None
                else self.generator.media.frame(self._candidate_media[0])
            )
        return observation

    def render(self) -> NDArray[np.uint8] | None:
        """With `rgb_array`: the asked pair, the incumbent and the target side by side, (height, width, 3)."""
        if self.render_mode is None:
            return None
        if self._incumbent_media is None:
            raise ResetNeeded("render() called before reset()")
        incumbent = self._incumbent_media[0]
        pair = [incumbent, incumbent] if self._shown is None else list(self._shown[0])
        return self._row([*pair, incumbent])


class PreferencePairsEnv(SearchEnv, EzPickle):
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
        generator: str | Generator = "avatars",
        discriminator: str | Discriminator | None = None,
        scale: int = -1,
        oracle: str | Oracle = "target",
        target: str = PRIOR,
        similarity: str = "pixels",
        teacher: str | Mapping[str, float] | Teacher = "oracle",
        goal: float | None = 0.7,
        max_queries: int = 500,
        action: ActionKind = "noise",
        observe_media: bool = False,
        diagnostics: bool = False,
        render_mode: str | None = None,
        device: str = "auto",
    ) -> None:
        arguments: dict[str, Any] = {name: value for name, value in locals().items() if name in _ARGUMENTS}
        EzPickle.__init__(self, pairs_per_step=pairs_per_step, **arguments)
        super().__init__(pairs_per_step=pairs_per_step, **arguments)
        self.action_space = action_space(action, (self.pairs_per_step, 2, self.noise_dim))
        observed: dict[str, spaces.Space[Any]] = {
            "answers": spaces.Box(0.0, 1.0, (self.pairs_per_step * len(Preference),), np.float32),
            "spent": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if observe_media:
            frame = self.generator.media.frame(torch.zeros(self.generator.media.shape)).shape
            observed["media"] = spaces.Box(0, 255, (self.pairs_per_step, 2, *frame), np.uint8)
        self.observation_space = spaces.Dict(observed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        self._begin(seed, options)
        answers = np.full(self.pairs_per_step, NOT_ASKED, dtype=np.int64)
        return self._observation(answers), self._info(answers, False, None)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, Info]:
        noise = self._noise_of(action)  # (pairs, 2, Z)
        # One forward for all that can still be asked.
        left = noise[: self.max_queries - self._queries]
        media = self.generate(left.reshape(-1, self.noise_dim)).unflatten(0, (-1, 2))  # (pairs, 2, *shape)
        answers = np.full(self.pairs_per_step, NOT_ASKED, dtype=np.int64)
        answers[: len(left)] = self._ask(media[:, 0], media[:, 1])
        shown = media.flatten(0, 1)
        satisfied = self._satisfied(shown)
        terminated, truncated = self._end(satisfied)
        reward = float(self.max_queries - self._queries) if satisfied else 0.0
        return self._observation(answers), reward, terminated, truncated, self._info(answers, satisfied, shown)

    def _observation(self, answers: NDArray[np.int64]) -> Observation:
        observation: Observation = {"answers": one_hot(answers).ravel(), "spent": self._spent()}
        if self.observe_media:
            space = self.observation_space["media"]  # type: ignore[index]
            observation["media"] = np.zeros(space.shape, dtype=np.uint8)
            for pair, shown in enumerate([] if self._shown is None else self._shown):
                for side in (0, 1):
                    observation["media"][pair, side] = self.generator.media.frame(shown[side])
        return observation

    def render(self) -> NDArray[np.uint8] | None:
        """With `rgb_array`: the last pair asked and the target side by side, (height, width, 3)."""
        if self.render_mode is None:
            return None
        if self._oracle is None:
            raise ResetNeeded("render() called before reset()")
        black = torch.zeros(self.generator.media.shape)
        return self._row([black, black] if self._shown is None else list(self._shown[-1]))


_ARGUMENTS = frozenset(signature(PreferenceEnv).parameters)
