"""A fixed set of prior samples of a generator, on which utilities are given their zero and their unit."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from pbg_env.generators.base import Generator

BANK_SIZE = 512
_SEED = 512
_BATCH = 64


class PriorBank:
    """512 media of a generator, made when first asked for and kept, as perceived.

    Args:
        generator: whose media they are.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._media: Tensor | None = None

    @staticmethod
    def of(generator: Generator) -> PriorBank:
        """The one bank of a generator that all environments of the process share."""
        if generator not in _banks:
            _banks[generator] = PriorBank(generator)
        return _banks[generator]

    @torch.no_grad()
    def utilities(self, utility: Callable[[Tensor], Tensor]) -> Tensor:
        """`utility` of every medium in the bank, (512,) in float64."""
        if self._media is None:
            noise = self._generator.sample_noise(BANK_SIZE, np.random.default_rng(_SEED))
            medium = self._generator.media
            self._media = torch.cat(
                [medium.as_perceived(self._generator.generate(part)) for part in noise.split(_BATCH)]
            )
        parts = [utility(part) for part in self._media.split(_BATCH)]
        return torch.cat(parts).double().cpu()

    def units(self, utility: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        """Mean and standard deviation of `utility` over the bank."""
        utilities = self.utilities(utility)
        # A utility that is the same everywhere has no unit; its answers are ties whatever it is divided by.
        return float(utilities.mean()), max(float(utilities.std(correction=0)), 1e-12)


_banks: WeakKeyDictionary[Generator, PriorBank] = WeakKeyDictionary()
