"""A step that asks about one candidate against the best so far."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.asking import Pairs, one_hot
from pbg_env.envs.searches import Batch, Searches
from pbg_env.generators.showing import black
from pbg_env.noise import NOISE_BOUND, sample_noise
from pbg_env.preference import NOT_ASKED, Preference


class CandidateSearches(Searches):
    """Each search has an incumbent; its candidate takes the place when it is preferred. Arguments as for `Searches`."""

    @torch.inference_mode(False)
    def __init__(self, count: int, **arguments: Any) -> None:
        super().__init__(count, **arguments)
        self._incumbent = np.zeros((self.count, self.noise_dim), dtype=np.float32)
        self._candidate = np.zeros((self.count, self.noise_dim), dtype=np.float32)
        self._incumbent_media = torch.zeros((self.count, *self.generator.media.shape), device=self.generator.device)

    @property
    def action_shape(self) -> tuple[int, ...]:
        return (self.noise_dim,)

    @cached_property
    def observation_space(self) -> spaces.Dict:
        noise = spaces.Box(-NOISE_BOUND, NOISE_BOUND, (self.noise_dim,), np.float32)
        observed: dict[str, spaces.Space[Any]] = {
            "incumbent": noise,
            "candidate": noise,
            "answer": spaces.Box(0.0, 1.0, (len(Preference),), np.float32),
            "spent": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if self.observe_media:
            frame = black(self.generator.media).shape
            observed["incumbent_media"] = spaces.Box(0, 255, frame, np.uint8)
            observed["candidate_media"] = spaces.Box(0, 255, frame, np.uint8)
        return spaces.Dict(observed)

    def observations(self) -> Batch:
        observations: Batch = {
            "incumbent": self._incumbent.copy(),
            "candidate": self._candidate.copy(),
            "answer": one_hot(self._answers[:, 0]),
            "spent": self._spent(),
        }
        if self.observe_media:
            medium = self.generator.media
            incumbents = np.stack([medium.frame(media) for media in self._incumbent_media])
            candidates = np.zeros_like(incumbents)
            for index, shown in enumerate(self._shown):
                if shown is not None:
                    candidates[index] = medium.frame(shown[0, 0])
            observations |= {"incumbent_media": incumbents, "candidate_media": candidates}
        return observations

    def render(self, index: int) -> NDArray[np.uint8]:
        """The asked pair, the incumbent and the target."""
        shown, incumbent = self._shown[index], self._incumbent_media[index]
        pair = [incumbent, incumbent] if shown is None else list(shown[0])
        return self.row(index, [*pair, incumbent])

    def _draw_start(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return [sample_noise((self.noise_dim,), rng)]

    def _started(self, which: NDArray[np.int64], noise: NDArray[np.float32], media: Tensor) -> None:
        self._incumbent[which], self._candidate[which] = noise, 0.0
        self._incumbent_media[which] = media.to(self._incumbent_media)
        known = self._utilities(which, media)
        if known is not None:
            self._utility[which] = known
        if self._interview is not None:
            self._return_to(self._interview.incumbent())

    def _return_to(self, incumbent: NDArray[np.float32] | None) -> None:
        """Makes an earlier one the incumbent of the search that a person answers."""
        if incumbent is not None:
            self._incumbent[0], self._incumbent_media[0] = incumbent, self.generate(incumbent[None])[0]

    def _to_ask(
        self, which: NDArray[np.int64], noise: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return which, noise.reshape(-1, self.noise_dim)

    def _step(
        self, which: NDArray[np.int64], asked: NDArray[np.float32], owners: NDArray[np.int64], media: Tensor
    ) -> NDArray[np.float64]:
        # Without a copy where all of them ask.
        incumbents = self._incumbent_media if len(which) == self.count else self._incumbent_media[which]
        values = self._utilities(which, media)
        both = None if values is None else np.stack((values, self._utility[which]), axis=1)  # (searches, 2)
        noise = np.stack((asked, self._incumbent[which]), axis=1)  # (searches, 2, Z)
        answers = self._ask(Pairs(which, media, incumbents, noise, both))
        self._candidate[which] = asked
        if self._interview is not None and answers[0] == NOT_ASKED:
            self._return_to(self._interview.incumbent())
        self._answers[which, 0] = answers
        self._satisfied[which] = self._meets_goal(which, None if both is None else both.max(axis=1))
        better = answers == Preference.FIRST
        winners = which[better]
        self._incumbent[winners] = asked[better]
        self._incumbent_media[winners] = media[better].to(self._incumbent_media)
        if values is not None:
            self._utility[winners] = values[better]
        return better.astype(np.float64)
