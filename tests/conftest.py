"""Small generators that make tests quick, and a cache that no test shares with the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from pbg_env.generators.stackgan_v2.networks import DiscriminatorNetwork, GeneratorNetwork

CPU = torch.device("cpu")

# Networks this small lose more to handing work between threads than they gain.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PBG_CACHE", str(folder))
    return folder


@cache
def small_generator_network(noise_dim: int = 6, width: int = 4, blocks: tuple[int, ...] = ()) -> GeneratorNetwork:
    """Random weights whose pictures differ visibly from one noise to the next."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = GeneratorNetwork(noise_dim, width, blocks)
        if not blocks:
            # Statistics of its own bring out the differences; at finer scales this would take long.
            network.train()
            for _ in range(20):
                network(torch.randn(32, noise_dim))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def generator() -> StackGANGenerator:
    return StackGANGenerator(small_generator_network(), -1, CPU)


@pytest.fixture(scope="session")
def discriminator() -> StackGANDiscriminator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = DiscriminatorNetwork(4, 0)
    return StackGANDiscriminator(network.eval().requires_grad_(False), CPU)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a checkpoint in the published layout: its name, then what `small_generator_network` takes."""

    def write(name: str = "netG_10.pth", **sizes: object) -> Path:
        path = tmp_path_factory.mktemp("checkpoint") / name
        torch.save(small_generator_network(**sizes).state_dict(), path)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
