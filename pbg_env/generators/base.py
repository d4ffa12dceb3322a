"""What a generator and a discriminator are, to everything else in the package."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from pbg_env.media import Medium


@runtime_checkable
class Generator(Protocol):
    """Turns noise into media. A generator of your own is any class with these members."""

    @property
    def noise_dim(self) -> int: ...

    @property
    def media(self) -> Medium:
        """The kind and shape of what it makes; values are always within [0, 1]."""
        ...

    @property
    def device(self) -> torch.device: ...

    def generate(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → media (batch, *media.shape) in [0, 1].

        Deterministic, each medium a function of its own noise alone, and differentiable with respect to the noise.
        """
        ...

    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Draws (count, noise_dim) from the prior, on the generator's device."""
        ...


@runtime_checkable
class Discriminator(Protocol):
    """Judges how real media look, and describes them."""

    def score(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → how real each looks, (batch,) in (0, 1)."""
        ...

    def features(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → (batch, width)."""
        ...


def weights_hash(network: nn.Module) -> str:
    """A name for the weights of a network: equal weights, equal name, on every machine."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        # As bytes: NumPy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def resolve_device(device: str | torch.device) -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU.

    Raises:
        ValueError: not a device, or CUDA asked for and absent.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown; expected 'auto', 'cpu', 'cuda' or 'cuda:0'") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} asked for, but torch sees no CUDA device here; use 'cpu' or 'auto'")
    if place.type == "meta":
        raise ValueError(f"device {device!r} holds no values; expected 'auto', 'cpu', 'cuda' or 'cuda:0'")
    try:
        torch.empty(1, device=place)
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} asked for, but torch cannot use it here ({reason}); use 'auto'") from error
    return place
