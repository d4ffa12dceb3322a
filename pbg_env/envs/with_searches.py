"""What the environments tell of their searches, single or batched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.searches import Searches
from pbg_env.generators.base import Discriminator, Generator


class WithSearches:
    """What the environments tell of their searches, single or batched."""

    _searches: Searches

    @property
    def generator(self) -> Generator:
        return self._searches.generator

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator beside the generator, loaded when first asked for; None where there is none."""
        return self._searches.discriminator

    @property
    def noise_dim(self) -> int:
        return self._searches.noise_dim

    @property
    def pairs_per_step(self) -> int:
        return self._searches.pairs_per_step

    @property
    def max_queries(self) -> int:
        return self._searches.max_queries

    @property
    def has_score(self) -> bool:
        """Whether the search has a score that `evaluate` tells, which takes an oracle with a utility."""
        return self._searches.wish(0).score is not None

    def generate(self, noise: NDArray[np.floating]) -> Tensor:
        """Noise (batch, noise_dim) → media (batch, *media.shape) as perceived, without gradients."""
        return self._searches.generate(noise)
