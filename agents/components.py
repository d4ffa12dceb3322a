"""Principal components of what has many more values than there are samples."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_SMALLEST_SHARE = 1e-10


class Components(NamedTuple):
    """Of samples that are centred.

    Attributes:
        directions: (count, values), orthonormal rows, from the one along which samples vary most.
        squares: (count,), the sums over samples of their squared extents along these.
    """

    directions: Tensor
    squares: Tensor


def principal_components(centred: Tensor, count: int) -> Components:
    """The leading ones, by the Gram matrix of the samples.

    Args:
        centred: (samples, values), of mean 0, in double precision.
        count: how many, at most; samples may vary in fewer directions, and what lies beyond is rounding.
    """
    squares, vectors = torch.linalg.eigh(centred @ centred.T)
    count = min(count, int((squares > _SMALLEST_SHARE * squares[-1]).sum()))
    squares, vectors = squares.flip(0)[:count], vectors.flip(1)[:, :count]
    return Components((vectors / squares.sqrt()).T @ centred, squares)
