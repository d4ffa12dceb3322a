"""StackGAN-v2 as a `Generator` and a `Discriminator` of pictures in [0, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pbg_env.generators.base import weights_hash
from pbg_env.generators.stackgan_v2.checkpoint import (
    CheckpointError,
    load_discriminator_network,
    load_generator_network,
)
from pbg_env.generators.stackgan_v2.folding import folded
from pbg_env.generators.stackgan_v2.networks import DiscriminatorNetwork, GeneratorNetwork, scale_size
from pbg_env.media import ImageMedium
from pbg_env.noise import sample_noise

LARGEST_ACTIVATION = 24 * 2**20
"""Bytes that the largest activation of one forward on the CPU may have, unless one picture alone takes more. Larger
ones leave the cache, and from 32 MiB on the C library maps fresh pages for each."""


class StackGANGenerator:
    """One scale of a StackGAN-v2 generator.

    Args:
        network: in evaluation mode, weights that want no gradients.
        scale: 0 for 64 px up to 3 for 512 px, or −1 for the largest the network has.
        device: where it works.
        dtype: of noise and media.

    Raises:
        ValueError: the network has no such scale.
    """

    def __init__(
        self, network: GeneratorNetwork, scale: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        if not -1 <= scale < network.scales:
            sizes = ", ".join(f"{i} ({scale_size(i)} px)" for i in range(network.scales))
            raise CheckpointError(
                f"scale {scale} asked for, but the generator has the scales {sizes}, or -1 for the last"
            )
        self.weights = weights_hash(network)
        self.network = folded(network).to(device, dtype).to(memory_format=torch.channels_last)
        self.scale = scale % network.scales
        self.device = device
        self.dtype = dtype
        # What the last doubling makes of one picture, before its gate halves the channels.
        largest = 2 * network.width // 2**self.scale * scale_size(self.scale) ** 2 * dtype.itemsize
        self._pictures_at_once = max(1, LARGEST_ACTIVATION // largest)

    @classmethod
    def load(
        cls, path: Path, config: Path | None, scale: int, device: torch.device, dtype: torch.dtype
    ) -> StackGANGenerator:
        """Reads a checkpoint; raises as `load_generator_network` does."""
        return cls(load_generator_network(path, config), scale, device, dtype)

    @property
    def noise_dim(self) -> int:
        return self.network.noise_dim

    @property
    def media(self) -> ImageMedium:
        return ImageMedium(scale_size(self.scale))

    def generate(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → pictures (batch, 3, size, size) in [0, 1]."""
        noise = torch.as_tensor(noise, dtype=self.dtype, device=self.device)
        if noise.ndim != 2 or noise.shape[1] != self.noise_dim:
            raise ValueError(f"noise of shape {tuple(noise.shape)}, expected (batch, {self.noise_dim})")
        parts = noise.split(self._pictures_at_once) if self.device.type == "cpu" else (noise,)
        return (torch.cat([self.network.picture(part, self.scale) for part in parts]) + 1.0) / 2.0

    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Draws (count, noise_dim) from the prior, on the generator's device."""
        return torch.from_numpy(sample_noise((count, self.noise_dim), rng)).to(self.device, self.dtype)


class StackGANDiscriminator:
    """A StackGAN-v2 discriminator of pictures of one scale.

    Args:
        network: in evaluation mode, weights that want no gradients.
        device: where it works.
        dtype: of pictures and scores.
    """

    def __init__(self, network: DiscriminatorNetwork, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.weights = weights_hash(network)
        self.network = folded(network).to(device, dtype).to(memory_format=torch.channels_last)
        self.device = device
        self.dtype = dtype

    @classmethod
    def load(
        cls, path: Path, config: Path | None, scale: int, device: torch.device, dtype: torch.dtype
    ) -> StackGANDiscriminator:
        """Reads a checkpoint, of the given scale unless −1; raises as `load_discriminator_network` does."""
        network = load_discriminator_network(path, config)
        if scale not in (-1, network.scale):
            raise CheckpointError(
                f"{path}: scale {scale} asked for, but this discriminator is of scale {network.scale} "
                f"({scale_size(network.scale)} px)"
            )
        return cls(network, device, dtype)

    @property
    def media(self) -> ImageMedium:
        return ImageMedium(scale_size(self.network.scale))

    def score(self, media: Tensor) -> Tensor:
        """Pictures (batch, 3, size, size) in [0, 1] → how real each looks, (batch,) in (0, 1)."""
        return self.network(self._pictures(media)).sigmoid()

    def features(self, media: Tensor) -> Tensor:
        """Pictures (batch, 3, size, size) in [0, 1] → the code before the logits, (batch, 128 · DF_DIM)."""
        return self.network.encode(self._pictures(media)).flatten(1)

    def _pictures(self, media: Tensor) -> Tensor:
        media = torch.as_tensor(media, dtype=self.dtype, device=self.device)
        if media.ndim != 4 or tuple(media.shape[1:]) != self.media.shape:
            raise ValueError(f"media of shape {tuple(media.shape)}, expected (batch, {str(self.media.shape)[1:]}")
        return media * 2.0 - 1.0
