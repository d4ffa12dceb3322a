"""What of noise a reward model looks at: the noise itself, or what its medium is like."""

from __future__ import annotations

from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary, proxy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.components import principal_components
from pbg_env import Generator

_MEDIA = 1024
_BATCH = 64


class Features(Protocol):
    """Describes noise."""

    width: int

    def of_noise(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → features (batch, width), differentiable."""
        ...


class Noise:
    """The noise as it is."""

    def __init__(self, generator: Generator) -> None:
        self.width = generator.noise_dim

    def of_noise(self, noise: Tensor) -> Tensor:
        return noise


class PrincipalComponents:
    """Projects media onto the leading directions of a generator's prior media, each scaled as in the media.

    Args:
        generator: whose media they are.
        components: how many directions.
    """

    _of: ClassVar[WeakKeyDictionary[Generator, dict[int, PrincipalComponents]]] = WeakKeyDictionary()

    def __init__(self, generator: Generator, components: int) -> None:
        # The same media for every search: what describes the generator does not depend on a search's seed.
        noise = generator.sample_noise(_MEDIA, np.random.default_rng(_MEDIA))
        with torch.no_grad():
            media = torch.cat(
                [generator.media.features(generator.generate(part)).double() for part in noise.split(_BATCH)]
            )
        # Whoever searches has the generator; what is known of it ends with it.
        self._generator: Generator = proxy(generator)
        self.mean = media.mean(dim=0)
        directions, squares = principal_components(media - self.mean, components)
        self.directions = directions.float()  # (components, values)
        self.width = len(self.directions)
        self.mean = self.mean.float()
        # In units of the mean squared error over a medium's features, which do not depend on its size.
        self.scale = media.shape[1] ** -0.5
        self.variances = (squares / _MEDIA * self.scale**2).cpu().numpy()  # (components,)

    @classmethod
    def of(cls, generator: Generator, components: int) -> PrincipalComponents:
        """Those of a generator, computed once per process."""
        known = cls._of.setdefault(generator, {})
        if components not in known:
            known[components] = cls(generator, components)
        return known[components]

    def of_noise(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → components of its media (batch, components), differentiable."""
        return (
            (self._generator.media.features(self._generator.generate(noise)) - self.mean)
            @ self.directions.T
            * self.scale
        )


class Described:
    """Features of the noise of one search; what was described once is not generated again.

    Args:
        features: what describes.
        device: of the generator.
    """

    def __init__(self, features: Features, device: torch.device) -> None:
        self._features = features
        self._device = device
        self._known: dict[bytes, NDArray[np.float64]] = {}

    def of_tensor(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → features (batch, width), differentiable where gradients are asked for."""
        if torch.is_grad_enabled():
            return self._features.of_noise(noise)
        return torch.from_numpy(self.of_array(noise.cpu().numpy())).to(noise)

    @torch.no_grad()
    def of_array(self, noise: NDArray[np.float32]) -> NDArray[np.float64]:
        """Noise (count, noise_dim) → features (count, width)."""
        names = [vector.tobytes() for vector in noise]
        fresh = {name: vector for name, vector in zip(names, noise, strict=True) if name not in self._known}
        if fresh:
            batch = torch.from_numpy(np.stack(list(fresh.values()))).to(self._device)
            parts = [self._features.of_noise(part).double().cpu().numpy() for part in batch.split(_BATCH)]
            self._known.update(zip(fresh, np.concatenate(parts), strict=True))
        return np.stack([self._known[name] for name in names])
