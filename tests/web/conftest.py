from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pbg_env import HumanOracle, ImageMedium
from tests.web.client import PageUser


class Colours:
    """Pictures of one colour: the noise itself, so that what is shown tells what was asked."""

    noise_dim = 3
    media = ImageMedium(16)
    device = torch.device("cpu")

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        return (noise / 8.0 + 0.5)[:, :, None, None].expand(-1, -1, 16, 16)

    def sample_noise(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((count, 3), dtype=np.float32).clip(-4, 4))


@pytest.fixture
def colours() -> Colours:
    return Colours()


@pytest.fixture
def human(tmp_path: Path) -> Iterator[HumanOracle]:
    """A page without a browser; its log is `answers.sqlite`."""
    oracle = HumanOracle(tmp_path / "answers.sqlite", open_browser=False, timeout=30.0)
    yield oracle
    oracle.close()


@pytest.fixture
def user(human: HumanOracle) -> PageUser:
    return PageUser(human.address)


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in another thread."""
    with ThreadPoolExecutor(2) as pool:
        yield pool.submit
