"""What both environments share: generator, oracle, target, budget, score and ending of one search."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.score import Score
from pbg_env.envs.spaces import ActionKind, noise_of_action
from pbg_env.generators.base import Discriminator, Generator
from pbg_env.generators.loading import EMBEDDED, load_discriminator, load_generator
from pbg_env.media import MediaError
from pbg_env.noise import NOISE_BOUND, sample_noise
from pbg_env.oracles import Oracle, TargetOracle
from pbg_env.oracles.base import OracleWithUtility
from pbg_env.oracles.choice import TARGET, oracle_named
from pbg_env.oracles.teacher import Teacher, teacher_from
from pbg_env.preference import NOT_ASKED, Preference
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import similarity_named

Observation = dict[str, NDArray[Any]]
Info = dict[str, Any]

PRIOR = "prior"


@lru_cache(maxsize=8)
def _shared_generator(source: str, scale: int, device: str) -> Generator:
    return load_generator(source, scale=scale, device=device)


@lru_cache(maxsize=8)
def _shared_discriminator(source: str, scale: int, device: str) -> Discriminator:
    return load_discriminator(source, scale=scale, device=device)


class SearchEnv(gym.Env[Any, Any]):
    """One search with one oracle. Its arguments are described at `PreferenceEnv`."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012  # declared so by Gymnasium

    def __init__(
        self,
        *,
        pairs_per_step: int,
        generator: str | Generator,
        discriminator: str | Discriminator | None,
        scale: int,
        oracle: str | Oracle,
        target: str,
        similarity: str,
        teacher: str | Mapping[str, float] | Teacher,
        goal: float | None,
        max_queries: int,
        action: ActionKind,
        observe_media: bool,
        diagnostics: bool,
        render_mode: str | None,
        device: str,
    ) -> None:
        for name, value in (("max_queries", max_queries), ("pairs_per_step", pairs_per_step)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
        if goal is not None and not np.isfinite(goal):
            raise ValueError(f"goal is {goal}, expected a score such as 0.7, or None to never end early")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"unknown render_mode {render_mode!r}; expected 'rgb_array' or None")
        self.generator: Generator = (
            _shared_generator(generator, scale, device) if isinstance(generator, str) else generator
        )
        self._discriminator = discriminator
        if discriminator is None and isinstance(generator, str) and generator in EMBEDDED:
            self._discriminator = generator
        self._scale, self._device = scale, device
        self.pairs_per_step = int(pairs_per_step)
        self.max_queries = int(max_queries)
        self.goal = goal
        self.observe_media = observe_media
        self.diagnostics = diagnostics
        self.render_mode = render_mode
        self._action_kind: ActionKind = action
        self._target_source = target
        self._similarity = similarity
        self._similarity_function = similarity_named(similarity)
        self._teacher = teacher_from(teacher)
        self._own_oracle = oracle_named(oracle) if isinstance(oracle, str) and oracle != TARGET else oracle
        if target != PRIOR:
            self._own_target(target)

        self._streams: tuple[np.random.Generator, ...] | None = None
        self._ended = True
        self._oracle: Oracle | None = None
        self._score: Score | None = None
        self._target: Tensor | None = None
        self._shown: Tensor | None = None
        self._queries = 0

    @property
    def noise_dim(self) -> int:
        return self.generator.noise_dim

    @property
    def queries(self) -> int:
        """Answers given since the reset."""
        return self._queries

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator beside the generator, loaded when first asked for; None where there is none."""
        if isinstance(self._discriminator, str):
            self._discriminator = _shared_discriminator(self._discriminator, self._scale, self._device)
        return self._discriminator

    @property
    def has_score(self) -> bool:
        """Whether the search has a score that `evaluate` tells, which takes an oracle with a utility."""
        return self._score is not None

    @property
    def target(self) -> Tensor | None:
        """The target (*media.shape) as perceived, or None where the oracle has none. Not for agents."""
        return self._target

    def generate(self, noise: NDArray[np.floating]) -> Tensor:
        """Noise (batch, noise_dim) → media (batch, *media.shape) as perceived, without gradients."""
        with torch.no_grad():
            media = self.generator.generate(torch.as_tensor(noise, dtype=torch.float32, device=self.generator.device))
            return self.generator.media.as_perceived(media)

    def evaluate(self, noise: NDArray[np.floating]) -> Any:
        """The hidden score of noise: 0 for a random medium, 1 for the best the generator can do.

        Args:
            noise: (noise_dim,) or (batch, noise_dim).

        Returns:
            A float, or (batch,) in float64.

        Raises:
            ResetNeeded: there is no search yet.
            ValueError: the oracle has no utility, or the noise has another shape.
        """
        array = np.asarray(noise, dtype=np.float32)
        if array.ndim not in (1, 2) or array.shape[-1] != self.noise_dim:
            raise ValueError(f"noise of shape {array.shape}, expected ({self.noise_dim},) or (batch, {self.noise_dim})")
        if self._oracle is None:
            raise ResetNeeded("evaluate() called before reset(): there is no target yet")
        if self._score is None:
            raise ValueError(f"the oracle {type(self._oracle).__name__} has no utility, so there is no score")
        scores = self._score.of_media(self.generate(np.atleast_2d(array)))
        return float(scores[0]) if array.ndim == 1 else scores

    def _begin(self, seed: int | None, options: Mapping[str, Any] | None) -> np.random.Generator:
        """Sets up oracle and target, and returns the stream that incumbents are drawn from."""
        if seed is not None or self._streams is None:
            # One seed, three streams: how often one of them is drawn from never shifts another.
            root = np.random.SeedSequence(self.np_random_seed if seed is None else seed)
            self._streams = tuple(np.random.default_rng(child) for child in root.spawn(3))
        for_target, for_incumbent, _ = self._streams
        options = dict(options or {})
        wanted = options.pop("target", self._target_source)
        if options:
            raise ValueError(f"unknown reset options {', '.join(map(repr, options))}; expected 'target'")
        self._target, self._score = None, None
        if self._own_oracle == TARGET:
            self._set_target(wanted, for_target)
        else:
            assert not isinstance(self._own_oracle, str)
            self._oracle = self._own_oracle
            if isinstance(self._oracle, OracleWithUtility):
                self._score = Score(self.generator, self._oracle, best=None, key=None)
        self._queries = 0
        self._shown = None
        self._ended = False
        return for_incumbent

    def _set_target(self, wanted: Any, rng: np.random.Generator) -> None:
        best: Tensor | None = None
        if isinstance(wanted, str) and wanted == PRIOR:
            wanted = sample_noise((self.noise_dim,), rng)
        if not isinstance(wanted, (str, Path)) and np.shape(wanted) == (self.noise_dim,):
            noise = np.asarray(wanted, dtype=np.float32)
            if not np.isfinite(noise).all():
                raise ValueError("the target's noise has values that are NaN or infinite; expected finite numbers")
            best = torch.from_numpy(np.clip(noise, -NOISE_BOUND, NOISE_BOUND)).to(self.generator.device)
            target = self.generate(best[None].cpu().numpy())[0]
        else:
            target = self._own_target(wanted)
        self._target = target
        self._oracle = TargetOracle(target, self._similarity_function, self._teacher, PriorBank.of(self.generator))
        key = None
        weights = getattr(self.generator, "weights", None)
        if best is None and weights is not None:
            key = (str(weights), str(self.generator.media.shape), self._similarity, target.cpu().numpy().tobytes())
        self._score = Score(self.generator, self._oracle, best, key)

    def _own_target(self, source: Any) -> Tensor:
        medium = self.generator.media
        try:
            read = medium.read(source)
        except MediaError as error:
            hint = f", {PRIOR!r}, or noise of shape ({self.noise_dim},)"
            raise MediaError(f"target: {error}{hint}") from error
        return medium.as_perceived(read.to(self.generator.device))

    def _noise_of(self, action: Any) -> NDArray[np.float32]:
        if self._oracle is None:
            raise ResetNeeded("step() called before reset()")
        if self._ended:
            raise ResetNeeded("step() called after the end of the search; call reset() first")
        return noise_of_action(action, self._action_box, self._action_kind)

    @property
    def _action_box(self) -> spaces.Box:
        assert isinstance(self.action_space, spaces.Box)
        return self.action_space

    def _ask(self, first: Tensor, second: Tensor) -> NDArray[np.int64]:
        """Asks as many pairs of media (pairs, *shape) as the budget has left; −1 for the others."""
        assert self._oracle is not None
        assert self._streams is not None
        count = min(len(first), self.max_queries - self._queries)
        answers = np.full(len(first), NOT_ASKED, dtype=np.int64)
        answers[:count] = self._oracle.compare(first[:count], second[:count], self._streams[2])
        self._queries += count
        self._shown = torch.stack((first[:count], second[:count]), dim=1)  # (pairs, 2, *shape)
        return answers

    def _satisfied(self, media: Tensor) -> bool:
        """Whether the oracle accepts one of these media (batch, *shape)."""
        if self.goal is None or self._score is None:
            return False
        return bool((self._score.of_media(media) >= self.goal).any())

    def _end(self, satisfied: bool) -> tuple[bool, bool]:
        """Terminated and truncated, after a step."""
        truncated = not satisfied and self._queries >= self.max_queries
        self._ended = satisfied or truncated
        return satisfied, truncated

    def _spent(self) -> NDArray[np.float32]:
        return np.array([self._queries / self.max_queries], dtype=np.float32)

    def _info(self, answers: NDArray[np.int64], satisfied: bool, recommended: Tensor | None) -> Info:
        info: Info = {
            "preference": answers,
            "queries": self._queries,
            "is_success": satisfied,
            "retracted": np.empty(0, dtype=np.int64),
        }
        if self.diagnostics and self._score is not None and recommended is not None:
            info["score"] = float(self._score.of_media(recommended).max())
        return info

    def _row(self, media: list[Tensor]) -> NDArray[np.uint8]:
        """Media side by side with the target, when there is one, at the right; (height, width, 3)."""
        if self._target is not None:
            media = [*media, self._target]
        frames = [self.generator.media.frame(medium) for medium in media]
        gap = np.full((frames[0].shape[0], max(2, frames[0].shape[1] // 32), 3), 255, dtype=np.uint8)
        pieces = [piece for frame in frames for piece in (gap, frame)][1:]
        return np.concatenate(pieces, axis=1)


def one_hot(answers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Answers (pairs,) → (pairs, 4); all zeros where a pair was not asked."""
    return (answers[:, None] == np.arange(len(Preference))).astype(np.float32)
