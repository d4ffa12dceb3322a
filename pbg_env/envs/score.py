"""The hidden score: 0 for a random medium, 1 for the best the generator can do."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.ascent import ascend
from pbg_env.cache import cached, store
from pbg_env.generators.base import Generator
from pbg_env.generators.showing import show
from pbg_env.oracles import TargetOracle, UtilityOracle
from pbg_env.oracles.base import OracleWithUtility
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import checked_values

_STARTS = 8
_STEPS = 200
_LEARNING_RATE = 0.1


class Score:
    """score = (U − U₀) / (U₁ − U₀), each of its parts computed when first asked for.

    Args:
        generator: whose noise is scored.
        oracle: whose utility U is.
        target_is_best: the oracle's target is a medium of the generator, so that nothing is better than itself.
    """

    def __init__(self, generator: Generator, oracle: OracleWithUtility, *, target_is_best: bool = False) -> None:
        self._generator = generator
        self._oracle = oracle
        self._target_is_best = target_is_best

    @torch.no_grad()
    def of_media(self, media: Tensor) -> NDArray[np.float64]:
        """Media (batch, *shape), as perceived → scores (batch,)."""
        return self.of_utilities(self._utility(media).double().cpu().numpy())

    def of_utilities(self, utilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utilities (…) → scores (…).

        Raises:
            ValueError: the best is worse than random, so the utility has the wrong sign; or as `ceiling`.
        """
        range_of_utility = self.ceiling - self.floor
        if range_of_utility < 0:
            raise ValueError(
                f"the best this generator can do has the utility {self.ceiling:.4g}, less than a random medium's "
                f"{self.floor:.4g}: higher has to be nearer, so a distance wants its sign changed"
            )
        # Where the best is as good as any, a score has no unit.
        return (utilities - self.floor) / max(range_of_utility, 1e-12)

    @cached_property
    def floor(self) -> float:
        """U₀, the mean utility of 512 prior samples."""
        return float(self._prior_utilities.mean())

    @cached_property
    def ceiling(self) -> float:
        """U₁: the target's own utility where the generator made it, or else the best of 8 ascents of 200 steps.

        Raises:
            ValueError: the utility cannot be climbed, as it is not made of differentiable operations.
        """
        if self._target_is_best:
            assert isinstance(self._oracle, TargetOracle)
            return self._oracle.own_utility
        key = self._key
        found = cached(*key) if key is not None else None
        if found is None:
            print(
                f"looking for the best this generator can do ({_STARTS} ascents of {_STEPS} steps) …", file=sys.stderr
            )
            found = self._search()
            if key is not None:
                store(found, *key)
        with torch.no_grad():
            best = float(self._utility(show(self._generator, torch.from_numpy(found)[None])).double())
        # A search that fell short of the bank's own best would put scores above 1 within easy reach.
        return max(best, float(self._prior_utilities.max()))

    @cached_property
    def _prior_utilities(self) -> NDArray[np.float64]:
        if isinstance(self._oracle, UtilityOracle):
            return self._oracle.prior_utilities
        return PriorBank.of(self._generator).utilities(self._utility)

    def _utility(self, media: Tensor) -> Tensor:
        return checked_values(self._oracle.utility(media), media)

    @property
    def _key(self) -> tuple[Any, ...] | None:
        """Names weights, oracle and target in the cache; None where one of them has no name."""
        weights = getattr(self._generator, "weights", None)
        if weights is None or not isinstance(self._oracle, UtilityOracle) or self._oracle.name is None:
            return None
        target = b""
        if isinstance(self._oracle, TargetOracle):
            target = self._oracle.target.float().cpu().numpy().tobytes()
        return ("best", str(weights), str(self._generator.media.shape), self._oracle.name, target)

    def _search(self) -> NDArray[np.float64]:
        # The same starts for every target: the caches of two machines hold the same numbers.
        starts = self._generator.sample_noise(_STARTS, np.random.default_rng(_STARTS))
        try:
            with torch.enable_grad():
                found, values = ascend(
                    lambda noise: self._utility(self._generator.generate(noise)),
                    starts,
                    steps=_STEPS,
                    learning_rate=_LEARNING_RATE,
                )
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise ValueError(
                "the utility has no gradient, so the best that the generator can do cannot be looked for; write it in "
                "operations of torch on the media, or give goal=None and do without evaluate() and diagnostics"
            ) from error
        return found[values.argmax()].double().cpu().numpy()
