"""The networks whose pictures are counted: as the published code has them, and as the package does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pbg_env import load_generator
from pbg_env.generators.stackgan_v2.checkpoint import load_generator_network
from pbg_env.generators.stackgan_v2.networks import GeneratorNetwork, UpBlock

FORMS = ("published", "generate")


def published(network: GeneratorNetwork) -> GeneratorNetwork:
    """A copy that works as the published code does: nearest-neighbour upsampling, then the 3 × 3 convolution."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, UpBlock):
                setattr(module, name, nn.Sequential(*child))
    return network


def write_random_generator(path: Path) -> None:
    """Writes a checkpoint of 256 px with the published widths and random weights, normalised by one batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = GeneratorNetwork(noise_dim=100, width=64, residual_blocks=(2, 2))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                # All of the running statistics come from the one batch.
                module.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.randn(8, 100))
    torch.save(network.state_dict(), path)


def drawing(form: str, path: Path, device: torch.device, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Noise → pictures of the largest scale, by the network as "published" or by our "generate"."""
    if form == "generate":
        return load_generator(path, device=device, dtype=dtype).generate
    network = published(load_generator_network(path)).to(device, dtype)
    return partial(network.picture, scale=network.scales - 1)


def noise_for(path: Path, batch: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Noise (batch, noise_dim) for the generator in a file."""
    noise_dim = load_generator_network(path).noise_dim
    return torch.randn(batch, noise_dim, generator=torch.Generator().manual_seed(0)).to(device, dtype)


def operations(form: str, path: Path) -> float:
    """Floating-point operations of one picture, two for each multiply–add."""
    where = (torch.device("cpu"), torch.float32)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        drawing(form, path, *where)(noise_for(path, 1, *where))
    return float(counter.get_total_flops())
