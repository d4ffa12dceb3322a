"""A simulated user who strives for a target and goes by a similarity to it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.oracles.teacher import Teacher
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import Similarity


class TargetOracle:
    """Prefers what is nearer to the target.

    Args:
        target: (*shape), as perceived.
        similarity: what "nearer" means.
        teacher: how utilities become answers.
        bank: prior samples of the generator, on which utilities are standardised; looked at only where the teacher's
            answers depend on more than the order of two utilities.
    """

    def __init__(self, target: Tensor, similarity: Similarity, teacher: Teacher, bank: PriorBank) -> None:
        self.target = target
        self.similarity = similarity
        self.teacher = teacher
        self.bank = bank

    def utility(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → similarity to the target (batch,), differentiable."""
        return self.similarity(media, self.target)

    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """Media (batch, *shape) twice → answers (batch,); nothing in them is left to chance."""
        with torch.no_grad():
            utilities = self.utility(torch.cat((first, second))).double().cpu().numpy()
        if self.teacher.needs_standard_units:
            mean, deviation = self._units
            utilities = (utilities - mean) / deviation
        return self.teacher.answer(utilities[: len(first)], utilities[len(first) :])

    @cached_property
    def _units(self) -> tuple[float, float]:
        return self.bank.units(self.utility)
