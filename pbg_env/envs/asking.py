"""Pairs as environments ask them, and what a simulated user or an oracle of one's own answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.oracles import Oracle, UtilityOracle
from pbg_env.preference import Preference


class Pairs(NamedTuple):
    """Pairs to ask, which belong to one search or several.

    Attributes:
        owners: the search of each, (pairs,); those of one search stand in the order of asking.
        first: (pairs, *shape).
        second: (pairs, *shape).
        noise: of first and second, (pairs, 2, noise_dim).
        utilities: of first and second, (pairs, 2), where they are known.
    """

    owners: NDArray[np.int64]
    first: Tensor
    second: Tensor
    noise: NDArray[np.float32]
    utilities: NDArray[np.float64] | None

    def at(self, places: NDArray[np.int64]) -> Pairs:
        """Some of them."""
        utilities = None if self.utilities is None else self.utilities[places]
        return Pairs(self.owners[places], self.first[places], self.second[places], self.noise[places], utilities)


def answers_of(oracle: Oracle, pairs: Pairs, rng: np.random.Generator) -> NDArray[np.int64]:
    """Answers (pairs,).

    Raises:
        ValueError: an oracle of one's own answered with anything but a `Preference` to each.
    """
    if isinstance(oracle, UtilityOracle):
        assert pairs.utilities is not None
        return oracle.answer(pairs.utilities[:, 0], pairs.utilities[:, 1], rng)
    answers = np.asarray(oracle.compare(pairs.first, pairs.second, rng))
    # Truth values would pass for numbers, and "first is better" would mean SECOND.
    is_whole = np.issubdtype(answers.dtype, np.integer)
    if not is_whole or answers.shape != pairs.owners.shape or not np.isin(answers, list(Preference)).all():
        raise ValueError(
            f"the oracle {type(oracle).__name__} answered {answers.tolist()} to {len(pairs.owners)} pairs; expected as "
            f"many values of Preference, whole numbers from 0 to 3"
        )
    return answers.astype(np.int64)


def one_hot(answers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Answers (…) → (…, 4); all zeros where a pair was not asked."""
    return (answers[..., None] == np.arange(len(Preference))).astype(np.float32)
