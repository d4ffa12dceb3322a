"""A step that asks pairs of the agent's own choosing, as they stand."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.asking import Pairs, one_hot
from pbg_env.envs.searches import Batch, Searches
from pbg_env.generators.showing import black
from pbg_env.preference import NOT_ASKED, Preference


class PairSearches(Searches):
    """Each search asks up to `pairs_per_step` pairs in a step. Arguments as for `Searches`."""

    @property
    def action_shape(self) -> tuple[int, ...]:
        return (self.pairs_per_step, 2, self.noise_dim)

    @cached_property
    def observation_space(self) -> spaces.Dict:
        observed: dict[str, spaces.Space[Any]] = {
            "answers": spaces.Box(0.0, 1.0, (self.pairs_per_step * len(Preference),), np.float32),
            "spent": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if self.observe_media:
            frame = black(self.generator.media).shape
            observed["media"] = spaces.Box(0, 255, (self.pairs_per_step, 2, *frame), np.uint8)
        return spaces.Dict(observed)

    def observations(self) -> Batch:
        observations: Batch = {
            "answers": one_hot(self._answers).reshape(self.count, -1),
            "spent": self._spent(),
        }
        if self.observe_media:
            media = np.zeros((self.count, *self.observation_space["media"].shape), dtype=np.uint8)  # type: ignore[misc]
            for index, shown in enumerate(self._shown):
                for pair, two in enumerate([] if shown is None else shown):
                    media[index, pair] = [self.generator.media.frame(medium) for medium in two]
            observations["media"] = media
        return observations

    def render(self, index: int) -> NDArray[np.uint8]:
        """The last pair asked and the target; black before the first."""
        shown = self._shown[index]
        return self.row(index, [None, None] if shown is None else list(shown[-1]))

    def _draw_start(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return []

    def _started(self, which: NDArray[np.int64], noise: NDArray[np.float32], media: Tensor) -> None:
        return None

    def _to_ask(
        self, which: NDArray[np.int64], noise: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        left = self.max_queries - self._queries[which]
        within = np.arange(self.pairs_per_step) < left[:, None]  # (searches, pairs)
        owners = np.broadcast_to(which[:, None], within.shape)[within]
        return owners.repeat(2), noise.reshape(*within.shape, 2, self.noise_dim)[within].reshape(-1, self.noise_dim)

    def _step(
        self, which: NDArray[np.int64], asked: NDArray[np.float32], owners: NDArray[np.int64], media: Tensor
    ) -> NDArray[np.float64]:
        values = self._utilities(owners, media)
        both = None if values is None else values.reshape(-1, 2)
        answers = self._ask(Pairs(owners[::2], media[::2], media[1::2], asked.reshape(-1, 2, self.noise_dim), both))
        meets = self._meets_goal(owners, values)
        for index in which:
            of_search = owners == index
            given = answers[of_search[::2]]
            self._answers[index] = NOT_ASKED
            self._answers[index, : len(given)] = given
            self._satisfied[index] = meets[of_search].any()
            if values is not None:
                self._utility[index] = values[of_search].max()
        return np.zeros(len(which))
