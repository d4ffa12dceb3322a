"""A fixed set of prior samples of a generator, on which utilities are given their zero and their unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from pbg_env.cache import cached, store
from pbg_env.generators.base import Generator
from pbg_env.generators.showing import show
from pbg_env.similarity import Similarity

BANK_SIZE = 512
_SEED = 512
_BATCH = 32
_LARGEST_STORED = 128 * 2**20  # bytes; what is larger is made again by every process


class PriorBank:
    """512 media of a generator as perceived, and their descriptions, each made when first asked for and kept.

    Both are on disk, too, where the generator has `weights` to name them by.

    Args:
        generator: whose media they are.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        medium = generator.media
        # In the integers that reach a person: a quarter or half of what floats would take.
        self._integers = np.dtype(np.min_scalar_type(medium.levels))
        self._key = None
        if (weights := getattr(generator, "weights", None)) is not None:
            self._key = (str(weights), medium.kind, str(medium.shape), str(medium.levels))
        self._stored: Tensor | None = None
        self._descriptions: dict[str, Tensor] = {}

    @staticmethod
    def of(generator: Generator) -> PriorBank:
        """The one bank of a generator that all environments of the process share."""
        if generator not in _banks:
            _banks[generator] = PriorBank(generator)
        return _banks[generator]

    @torch.no_grad()
    def utilities(self, utility: Callable[[Tensor], Tensor]) -> np.ndarray:
        """`utility` of every medium in the bank, (512,) in float64."""
        return torch.cat([utility(part).double().cpu() for part in self._media()]).numpy()

    @torch.no_grad()
    def similarities(self, similarity: Similarity, target: Tensor) -> np.ndarray:
        """Similarity of every medium to a described target (1, …), (512,) in float64."""
        parts: Iterator[Tensor] = self._media()
        if similarity.describes and similarity.name is not None:
            parts = iter(self._described(similarity, similarity.name).split(_BATCH))
        elif similarity.describes:
            parts = map(similarity.describe, parts)
        return torch.cat([similarity.between(part, target).double().cpu() for part in parts]).numpy()

    def _media(self) -> Iterator[Tensor]:
        """The bank in batches (batch, *shape)."""
        if self._stored is None:
            self._stored = torch.from_numpy(self._kept(self._make, "media")).to(self._generator.device)
        for part in self._stored.split(_BATCH):
            yield part.float() / self._generator.media.levels

    def _make(self) -> np.ndarray:
        noise = self._generator.sample_noise(BANK_SIZE, np.random.default_rng(_SEED))
        levels = self._generator.media.levels
        parts = [(show(self._generator, part) * levels).round().cpu().numpy() for part in noise.split(_BATCH)]
        # In one order of memory, whatever the generator's: sums over it are those of a bank from the disk.
        return np.ascontiguousarray(np.concatenate([part.astype(self._integers) for part in parts]))

    def _described(self, similarity: Similarity, name: str) -> Tensor:
        if name not in self._descriptions:
            described = self._kept(
                lambda: torch.cat([similarity.describe(part).float().cpu() for part in self._media()]).numpy(), name
            )
            self._descriptions[name] = torch.from_numpy(described).to(self._generator.device)
        return self._descriptions[name]

    def _kept(self, make: Callable[[], np.ndarray], what: str) -> np.ndarray:
        """What `make` makes, from the disk where it is there."""
        if self._key is None:
            return make()
        key = ("bank", str(BANK_SIZE), what, *self._key)
        if (found := cached(*key)) is not None:
            return found
        made = make()
        if made.nbytes <= _LARGEST_STORED:
            store(made, *key)
        return made


_banks: WeakKeyDictionary[Generator, PriorBank] = WeakKeyDictionary()
