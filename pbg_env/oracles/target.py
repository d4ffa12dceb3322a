"""Simulated users whose wish is a number, and among them the one who strives for a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.oracles.teacher import Teacher
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import Similarity


class _Scale(NamedTuple):
    """What turns utilities into standardised units, and the teacher with its thresholds in them."""

    mean: float
    deviation: float
    teacher: Teacher


class UtilityOracle:
    """Prefers what has the higher utility.

    Args:
        utility: media (batch, *shape) in [0, 1] → (batch,), higher is better.
        teacher: how utilities become answers.
        bank: prior samples of the generator, on which utilities are standardised; looked at only where the teacher's
            answers depend on more than the order of two utilities.
        name: names the utility and its weights in caches; None where nothing may be kept.
    """

    def __init__(
        self, utility: Callable[[Tensor], Tensor], teacher: Teacher, bank: PriorBank, name: str | None = None
    ) -> None:
        self._utility = utility
        self.name = name
        self.teacher = teacher
        self.bank = bank

    def utility(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → noiseless utility (batch,), differentiable if the function is."""
        return self._utility(media)

    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """Media (batch, *shape) twice → answers (batch,)."""
        with torch.no_grad():
            utilities = self.utility(torch.cat((first, second))).double().cpu().numpy()
        return self.answer(utilities[: len(first)], utilities[len(first) :], rng)

    def answer(
        self, first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Utilities (batch,) of firsts and seconds → answers (batch,)."""
        if not self.teacher.needs_standard_units:
            return self.teacher.answer(first, second, rng)
        mean, deviation, teacher = self._scale
        return teacher.answer((first - mean) / deviation, (second - mean) / deviation, rng)

    @cached_property
    def prior_utilities(self) -> NDArray[np.float64]:
        """Utilities of the bank's prior samples, (512,)."""
        return self.bank.utilities(self.utility)

    @cached_property
    def _scale(self) -> _Scale:
        mean = float(self.prior_utilities.mean())
        # A utility that is the same everywhere has no unit; its answers are ties whatever it is divided by.
        deviation = max(float(self.prior_utilities.std()), 1e-12)
        return _Scale(mean, deviation, self.teacher.with_numbers((self.prior_utilities - mean) / deviation))


class TargetOracle(UtilityOracle):
    """Prefers what is nearer to the target.

    Args:
        target: (*shape), as perceived.
        similarity: what "nearer" means.
        teacher: how utilities become answers.
        bank: as for `UtilityOracle`.
    """

    def __init__(self, target: Tensor, similarity: Similarity, teacher: Teacher, bank: PriorBank) -> None:
        super().__init__(self._similarity_to_target, teacher, bank, similarity.name)
        self.target = target
        self.similarity = similarity
        with torch.no_grad():
            self._described = similarity.describe(target[None])  # (1, …)

    def _similarity_to_target(self, media: Tensor) -> Tensor:
        return self.similarity.between(self.similarity.describe(media), self._described)

    @cached_property
    def prior_utilities(self) -> NDArray[np.float64]:
        return self.bank.similarities(self.similarity, self._described)

    @cached_property
    def own_utility(self) -> float:
        """The utility of the target itself."""
        with torch.no_grad():
            return float(self.similarity.between(self._described, self._described).double())

    @staticmethod
    def utilities(oracles: Sequence[TargetOracle], media: Tensor) -> Tensor:
        """Utilities (batch,) of media (batch, *shape), each to an oracle (batch,) of its own, all of one similarity."""
        similarity = oracles[0].similarity
        return similarity.between(similarity.describe(media), torch.cat([oracle._described for oracle in oracles]))
