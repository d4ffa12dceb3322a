"""The hidden score: 0 for a random medium, 1 for the best the generator can do."""

from __future__ import annotations

import sys
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pbg_env.ascent import ascend
from pbg_env.cache import cached, store
from pbg_env.generators.base import Generator
from pbg_env.oracles.base import OracleWithUtility
from pbg_env.prior_bank import PriorBank

_STARTS = 8
_STEPS = 200
_LEARNING_RATE = 0.1


class Score:
    """score = (U − U₀) / (U₁ − U₀), each of its parts computed when first asked for.

    Args:
        generator: whose noise is scored.
        oracle: whose utility U is.
        best: noise that is known to be the best (noise_dim,), or None to look for it.
        key: names oracle and target in the cache of what was looked for; None keeps nothing.
    """

    def __init__(
        self, generator: Generator, oracle: OracleWithUtility, best: Tensor | None, key: tuple[str | bytes, ...] | None
    ) -> None:
        self._generator = generator
        self._oracle = oracle
        self._best = best
        self._key = key

    @torch.no_grad()
    def of_media(self, media: Tensor) -> np.ndarray:
        """Media (batch, *shape), as perceived → scores (batch,) in float64."""
        utility = self._oracle.utility(media).double().cpu().numpy()
        return (utility - self.floor) / (self.ceiling - self.floor)

    @cached_property
    def floor(self) -> float:
        """U₀, the mean utility of 512 prior samples."""
        return self._bank.units(self._oracle.utility)[0]

    @cached_property
    def ceiling(self) -> float:
        """U₁: the utility of the known best noise, or else of the best of 8 ascents of 200 steps."""
        if self._best is not None:
            return self._utility(self._best[None])
        found = cached(*self._key) if self._key is not None else None
        if found is None:
            print(
                f"looking for the best this generator can do ({_STARTS} ascents of {_STEPS} steps) …", file=sys.stderr
            )
            found = self._search()
            if self._key is not None:
                store(found, *self._key)
        noise = torch.from_numpy(found).to(self._generator.device, torch.float32)
        # A search that fell short of the bank's own best would put scores above 1 within easy reach.
        return max(self._utility(noise[None]), float(self._bank.utilities(self._oracle.utility).max()))

    @property
    def _bank(self) -> PriorBank:
        return PriorBank.of(self._generator)

    @torch.no_grad()
    def _utility(self, noise: Tensor) -> float:
        media = self._generator.media.as_perceived(self._generator.generate(noise))
        return float(self._oracle.utility(media).double())

    def _search(self) -> np.ndarray:
        # The same starts for every target: the caches of two machines hold the same numbers.
        starts = self._generator.sample_noise(_STARTS, np.random.default_rng(_STARTS))
        with torch.enable_grad():
            found, values = ascend(
                lambda noise: self._oracle.utility(self._generator.generate(noise)),
                starts,
                steps=_STEPS,
                learning_rate=_LEARNING_RATE,
            )
        return found[values.argmax()].double().cpu().numpy()
