"""An oracle without a wish, for checks: whatever learns from it learns nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.preference import Preference


class RandomOracle:
    """Each of the four answers with equal probability."""

    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """Media (batch, *shape) twice → answers (batch,) that depend on neither."""
        return rng.integers(len(Preference), size=len(first))
