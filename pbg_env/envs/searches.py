"""Searches side by side: what every environment shares, single or batched. One forward of the generator a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.asking import Pairs, answers_of
from pbg_env.envs.interview import Interview
from pbg_env.envs.spaces import ActionKind, action_space, noise_of_action
from pbg_env.envs.wishes import Wish, Wishes, utilities
from pbg_env.generators.base import Discriminator, Generator
from pbg_env.generators.loading import EMBEDDED
from pbg_env.generators.sharing import shared_discriminator, shared_generator
from pbg_env.generators.showing import show, side_by_side
from pbg_env.importing import demand_members
from pbg_env.noise import clip_noise
from pbg_env.oracles import Oracle, Person, UtilityOracle
from pbg_env.oracles.teacher import Teacher
from pbg_env.preference import NOT_ASKED
from pbg_env.similarity import Similarity, SimilarityFunction

Batch = dict[str, NDArray[Any]]
"""Arrays by name, each with the searches first."""

RENDER_MODES = ("rgb_array",)


class Searches(ABC):
    """Searches with a wish each that share a generator. A subclass says what a step asks.

    Args:
        count: how many, at least 1.
        pairs_per_step: how many pairs each of them asks in a step.
        generator: this and all others as `PreferenceEnv` describes them.

    Raises:
        ValueError: an argument out of range or unknown.
        FileNotFoundError: no such checkpoint.
    """

    # Within somebody's inference mode, too, targets and banks are tensors that gradients can be taken through.
    @torch.inference_mode(False)
    def __init__(
        self,
        count: int,
        *,
        pairs_per_step: int,
        generator: str | Path | Generator,
        discriminator: str | Path | Discriminator | None,
        scale: int,
        oracle: str | Oracle,
        target: str | Path | None,
        similarity: str | Similarity | SimilarityFunction | None,
        teacher: str | Mapping[str, float | str | None] | Teacher,
        goal: float | None,
        max_queries: int,
        action: ActionKind,
        observe_media: bool,
        diagnostics: bool,
        render_mode: str | None,
        device: str,
    ) -> None:
        for name, value in (("num_envs", count), ("max_queries", max_queries), ("pairs_per_step", pairs_per_step)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
        if goal is not None and (isinstance(goal, str) or not np.isfinite(goal)):
            raise ValueError(f"goal is {goal!r}, expected a score such as 0.7, or None to never end early")
        if render_mode not in (None, *RENDER_MODES):
            raise ValueError(f"unknown render_mode {render_mode!r}; expected 'rgb_array' or None")
        self.count = int(count)
        self.pairs_per_step = int(pairs_per_step)
        self.max_queries = int(max_queries)
        self.goal = goal
        self.observe_media = observe_media
        self.diagnostics = diagnostics
        self.render_mode = render_mode
        self._action_kind: ActionKind = action
        self.generator = shared_generator(generator, scale, device)
        if not (discriminator is None or isinstance(discriminator, (str, Path))):
            demand_members(discriminator, "the discriminator", Discriminator)
        self._discriminator: str | Path | Discriminator | None = discriminator
        if discriminator is None and isinstance(generator, str) and generator in EMBEDDED:
            self._discriminator = generator
        self._scale, self._device = scale, device
        self._wishes = Wishes(
            self.count,
            self.generator,
            lambda: self.discriminator,
            oracle=oracle,
            target=target,
            similarity=similarity,
            teacher=teacher,
        )
        self._closed = False
        self._streams: list[tuple[np.random.Generator, ...] | None] = [None] * self.count
        self._wish: list[Wish | None] = [None] * self.count
        self._queries = np.zeros(self.count, dtype=np.int64)
        self._answers = np.full((self.count, self.pairs_per_step), NOT_ASKED, dtype=np.int64)
        self._ids = np.full_like(self._answers, NOT_ASKED)
        # Of the one search that a person answers.
        self._interview: Interview | None = None
        self._satisfied = np.zeros(self.count, dtype=np.bool_)
        self._ended = np.ones(self.count, dtype=np.bool_)
        # Of what a search would recommend; NaN where that is not known.
        self._utility = np.full(self.count, np.nan)
        # Of each search the last pairs asked, (pairs, 2, *shape), where anybody is to see them.
        self._shown: list[Tensor | None] = [None] * self.count

    @property
    @abstractmethod
    def action_shape(self) -> tuple[int, ...]:
        """Of one search."""

    @cached_property
    def action_space(self) -> spaces.Box:
        """Of one search."""
        return action_space(self._action_kind, self.action_shape)

    @property
    @abstractmethod
    def observation_space(self) -> spaces.Dict:
        """Of one search."""

    @property
    def noise_dim(self) -> int:
        return self.generator.noise_dim

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator beside the generator, loaded when first asked for; None where there is none."""
        if isinstance(self._discriminator, (str, Path)):
            self._discriminator = shared_discriminator(self._discriminator, self._scale, self._device)
        return self._discriminator

    def wish(self, index: int) -> Wish:
        """The wish of a search.

        Raises:
            ResetNeeded: it was not begun.
        """
        wish = self._wish[index]
        if wish is None:
            raise ResetNeeded("there is no search yet, and so no target; call reset() first")
        return wish

    @property
    def person(self) -> Person | None:
        """The person who answers, or None where a simulated user does."""
        return self._wishes.person

    def close(self) -> None:
        """Ends everything; whatever is asked of the searches after that is refused."""
        self._closed = True
        if self.person is not None:
            self.person.close()
        self._shown = [None] * self.count

    def demand_open(self, what: str) -> None:
        """Raises `ClosedEnvironmentError`, naming what was called, after `close`."""
        if self._closed:
            raise ClosedEnvironmentError(f"{what}() called after close(); make the environment again")

    def queries(self, index: int) -> int:
        """Answers given in a search since it began."""
        return int(self._queries[index])

    def noise_of(self, actions: Any, space: spaces.Box) -> NDArray[np.float32]:
        """Actions of a space as noise.

        Raises:
            ResetNeeded: a search was not begun, or has ended.
            ValueError: no numbers, another shape, NaN or infinite.
        """
        if None in self._wish:
            raise ResetNeeded("step() called before reset()")
        return noise_of_action(actions, space, self._action_kind)

    @torch.inference_mode(False)
    def advance(
        self,
        acting: Sequence[int],
        noise: NDArray[np.float32],
        opening: Sequence[int] = (),
        seeds: Sequence[int | None] = (),
        targets: Sequence[Any] = (),
    ) -> NDArray[np.float64]:
        """Lets some searches ask and others begin, with one forward for all.

        Args:
            acting: searches that ask.
            noise: what they ask about, (acting, *action_shape).
            opening: searches that begin.
            seeds: of these; None goes on with the streams they have.
            targets: of these, as `Wishes.target` takes them.

        Returns:
            Rewards (count,), 0 for those that did not ask.

        Raises:
            ResetNeeded: one that is to ask has ended.
            MediaError: a target that cannot be read.
            ValueError: a target's noise that is not finite.
            MemoryError: the batch does not fit; no answer was asked for.
        """
        if self._ended[list(acting)].any():
            raise ResetNeeded("step() called after the end of the search; call reset() first")
        streams = [self._stream(index, seed) for index, seed in zip(opening, seeds, strict=True)]
        wanted = self._wishes.targets(targets, [rngs[0] for rngs in streams])
        drawn = [target for target in wanted if isinstance(target, np.ndarray)]
        starts = [start for rngs in streams for start in self._draw_start(rngs[1])]
        owners, asked = self._to_ask(np.array(acting, dtype=np.int64), noise)  # (media,), (media, Z)
        media = self.generate(np.concatenate([np.reshape([*drawn, *starts], (-1, self.noise_dim)), asked]))
        at_targets, at_starts, at_asked = media.split([len(drawn), len(starts), len(asked)])
        made = iter(at_targets)
        of_target: dict[int, Wish] = {}
        for index, rngs, target in zip(opening, streams, wanted, strict=True):
            if isinstance(target, np.ndarray):
                wish = self._wishes.wish(index, next(made), made=True)
            elif target is None:
                wish = self._wishes.wish(index, None, made=False)
            else:
                # What one medium takes to describe and to score is done once, for however many strive for it.
                wish = of_target.get(id(target)) or self._wishes.wish(index, target, made=False)
                of_target[id(target)] = wish
            self._streams[index], self._wish[index] = rngs, wish
            self._queries[index], self._answers[index], self._utility[index] = 0, NOT_ASKED, np.nan
            self._ids[index] = NOT_ASKED
            self._satisfied[index], self._ended[index], self._shown[index] = False, False, None
            if self.person is not None:
                self._interview = Interview(self.person, self.generator, self.max_queries, rngs[2])
                self._queries[index] = len(self._interview.standing)
                self._ended[index] = self._queries[index] >= self.max_queries
        if len(opening):
            self._started(np.array(opening), np.reshape(starts, (-1, self.noise_dim)).astype(np.float32), at_starts)
        rewards = np.zeros(self.count)
        if len(acting):
            which = np.array(acting)
            rewards[which] = self._step(which, asked, owners, at_asked)
            if self._interview is not None:
                self._satisfied[which] = self._interview.satisfied
            rewards[which] += np.where(self._satisfied[which], self.max_queries - self._queries[which], 0)
            self._ended[which] = self._satisfied[which] | (self._queries[which] >= self.max_queries)
        return rewards

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Which searches ended because the oracle is satisfied, (count,)."""
        return self._satisfied.copy()

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Which ended because the budget is spent, (count,)."""
        return self._ended & ~self._satisfied

    @abstractmethod
    def observations(self) -> Batch:
        """What the searches show their agents."""

    def infos(self) -> Batch:
        """`info` of the searches; a score that is not known is NaN."""
        infos: Batch = {
            "preference": self._answers.copy(),
            "queries": self._queries.copy(),
            "is_success": self._satisfied.copy(),
            "ids": self._ids.copy(),
            "retracted": np.empty((self.count, 0), dtype=np.int64),
        }
        if self._interview is not None:
            infos |= self._interview.infos()
        known = np.flatnonzero(~np.isnan(self._utility))
        if self.diagnostics and len(known):
            infos["score"] = np.full(self.count, np.nan)
            infos["score"][known] = self._scores(known, self._utility[known])
        return infos

    @torch.inference_mode(False)
    def generate(self, noise: NDArray[np.floating]) -> Tensor:
        """Noise (batch, noise_dim) → media (batch, *media.shape) as perceived, without gradients."""
        if not len(noise):
            return torch.zeros((0, *self.generator.media.shape), device=self.generator.device)
        return show(self.generator, noise)

    @torch.inference_mode(False)
    def evaluate(self, owners: NDArray[np.int64], noise: NDArray[np.floating]) -> NDArray[np.float64]:
        """Scores (batch,) of noise (batch, noise_dim), clipped, each in the search (batch,) named with it.

        Raises:
            ResetNeeded: a search was not begun.
            ValueError: its oracle has no utility.
        """
        wishes = [self.wish(index) for index in owners]
        if any(wish.score is None for wish in wishes):
            raise ValueError(f"the oracle {type(wishes[0].oracle).__name__} has no utility, so there is no score")
        if not wishes:
            return np.zeros(0)
        return self._scores(owners, utilities(wishes, self.generate(clip_noise(noise))))

    def row(self, index: int, media: Sequence[Tensor | None]) -> NDArray[np.uint8]:
        """Media side by side with a search's target, when there is one, at the right; (height, width, 3).

        Black where there is no medium, None, yet.
        """
        target = self.wish(index).target
        return side_by_side(self.generator.media, media if target is None else [*media, target])

    @abstractmethod
    def render(self, index: int) -> NDArray[np.uint8]:
        """A search as a picture (height, width, 3)."""

    @abstractmethod
    def _draw_start(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        """The noise (noise_dim,) of the media that a search begins with, none or one."""

    @abstractmethod
    def _started(self, which: NDArray[np.int64], noise: NDArray[np.float32], media: Tensor) -> None:
        """Takes in what searches (searches,) begin with: (searches, noise_dim) and (searches, *shape), or none."""

    @abstractmethod
    def _to_ask(
        self, which: NDArray[np.int64], noise: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of actions (searches, *action_shape) what the budgets allow: whose (media,), and noise (media, noise_dim)."""

    @abstractmethod
    def _step(
        self, which: NDArray[np.int64], asked: NDArray[np.float32], owners: NDArray[np.int64], media: Tensor
    ) -> NDArray[np.float64]:
        """Asks, remembers the answers and who is satisfied, and returns rewards (searches,) without that for success.

        Args:
            which: searches (searches,).
            asked: noise (media, noise_dim) as `_to_ask` chose it.
            owners: of the media, (media,), and the
            media: themselves, (media, *shape).
        """

    def _stream(self, index: int, seed: int | None) -> tuple[np.random.Generator, ...]:
        known = self._streams[index]
        if seed is None and known is not None:
            return known
        # One seed, three streams, for target, incumbent and teacher: how often one is drawn from never shifts another.
        return tuple(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3))

    def _ask(self, pairs: Pairs) -> NDArray[np.int64]:
        """Answers (pairs,)."""
        oracle = self.wish(pairs.owners[0]).oracle
        groups = [(index, np.flatnonzero(pairs.owners == index)) for index in dict.fromkeys(pairs.owners.tolist())]
        if isinstance(oracle, UtilityOracle) and oracle.teacher.is_exact:
            # Such answers depend on nothing that belongs to a search.
            answers = answers_of(oracle, pairs, self._teacher_stream(0))
        else:
            answers = np.empty(len(pairs.owners), dtype=np.int64)
            for index, places in groups:
                answers[places] = self._ask_one(index, pairs.at(places))
        if self._interview is None:
            for index, places in groups:
                self._ids[index] = NOT_ASKED
                self._ids[index, : len(places)] = self._queries[index] + np.arange(len(places))
            np.add.at(self._queries, pairs.owners, 1)
        if self.render_mode is not None or self.observe_media:
            for index, places in groups:
                self._shown[index] = torch.stack((pairs.first[places], pairs.second[places]), dim=1)
        return answers

    def _ask_one(self, index: int, pairs: Pairs) -> NDArray[np.int64]:
        if self._interview is None:
            return answers_of(self.wish(index).oracle, pairs, self._teacher_stream(index))
        reply = self._interview.ask(pairs.noise, pairs.first, pairs.second)
        self._queries[index] = len(self._interview.standing)
        self._ids[index] = NOT_ASKED
        self._ids[index, : len(pairs.owners)] = reply.ids
        return reply.answers

    def _teacher_stream(self, index: int) -> np.random.Generator:
        streams = self._streams[index]
        assert streams is not None
        return streams[2]

    def _utilities(self, owners: NDArray[np.int64], media: Tensor) -> NDArray[np.float64] | None:
        """Utilities (batch,) of media (batch, *shape) in the searches (batch,), or None where nobody needs them."""
        wish = self.wish(owners[0])
        scored = wish.score is not None and (self.goal is not None or self.diagnostics)
        if not (scored or isinstance(wish.oracle, UtilityOracle)):
            return None
        return utilities([self.wish(index) for index in owners], media)

    def _scores(self, owners: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utilities (batch, …) of the searches (batch,) → scores (batch, …)."""
        scores = [self.wish(index).score for index in owners]
        return np.array([score.of_utilities(u) for score, u in zip(scores, values, strict=True) if score is not None])

    def _meets_goal(self, owners: NDArray[np.int64], values: NDArray[np.float64] | None) -> NDArray[np.bool_]:
        """Which of these utilities (batch,) satisfy the searches (batch,) that they are of."""
        if self.goal is None or values is None or self.wish(owners[0]).score is None:
            return np.zeros(len(owners), dtype=np.bool_)
        return self._scores(owners, values) >= self.goal

    def _spent(self) -> NDArray[np.float32]:
        return (self._queries[:, None] / self.max_queries).astype(np.float32)
