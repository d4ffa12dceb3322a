"""What of media somebody may go by, and how it follows from noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agents.base import Noise
from agents.posterior.ordinal import Array
from agents.subspace import effective_directions
from pbg_env import Discriminator, Generator

# Components of features that are looked at; those beyond what a view believes in are details.
_KEPT = 512
_POOL = 1500
_SEED = 1500
_BATCH = 64
_RIDGE = 1e-6


class View(ABC):
    """Describes media by what may matter of them."""

    name: ClassVar[str]
    components = 64
    """Principal components of it that are believed in; finer ones are details."""

    @abstractmethod
    def describe(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) → (batch, width)."""

    @staticmethod
    def named(name: str, generator: Generator, discriminator: Discriminator | None) -> View | None:
        """A view by its name; None where these media or tools do not have it.

        Raises:
            ValueError: there is no such view.
        """
        if name not in _VIEWS:
            raise ValueError(f"unknown view {name!r}; expected some of {', '.join(_VIEWS)}")
        if name == Values.name:
            return Values(generator)
        if name == Deep.name:
            return None if discriminator is None else Deep(discriminator)
        is_picture = len(generator.media.shape) == 3 and generator.media.shape[0] == 3
        if not is_picture:
            return None
        return Layout() if name == Layout.name else Convolutions()


class Values(View):
    """The values of media, as the medium's features give them."""

    name = "values"
    components = 128

    def __init__(self, generator: Generator) -> None:
        self._medium = generator.media

    def describe(self, media: Tensor) -> Tensor:
        return self._medium.features(media)


class Layout(View):
    """Where which colours are: pictures averaged down to 8 × 8."""

    name = "layout"
    components = 48

    def describe(self, media: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(media, 8).flatten(1)


class Deep(View):
    """The discriminator's features, each medium's scaled to length 1."""

    name = "deep"

    def __init__(self, discriminator: Discriminator) -> None:
        self._discriminator = discriminator

    def describe(self, media: Tensor) -> Tensor:
        return F.normalize(self._discriminator.features(media).float(), dim=1)


class Convolutions(View):
    """What random filters answer, at three depths, averaged over 4 × 4 places, each depth's scaled to length 1."""

    name = "convolutions"
    _channels = (32, 64, 64)
    _size = 5

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(_SEED)
        self._weights = []
        before = 3
        for channels in self._channels:
            weight = torch.randn(channels, before, self._size, self._size, generator=random)
            self._weights.append(2.0 * weight / (before * self._size**2) ** 0.5)
            before = channels

    def describe(self, media: Tensor) -> Tensor:
        answers = 2.0 * media - 1.0
        described = []
        for weight in self._weights:
            answers = F.conv2d(answers, weight.to(answers), stride=2, padding=self._size // 2).tanh()
            described.append(F.normalize(F.adaptive_avg_pool2d(answers, 4).flatten(1), dim=1))
        return torch.cat(described, dim=1)


_VIEWS = (Values.name, Layout.name, Convolutions.name, Deep.name)


class Line(NamedTuple):
    """Features as a linear function of coordinates in noise, f = matrix · w + offset, and how far off that is.

    Attributes:
        matrix: (components, dimensions).
        offset: (components,).
        residual: variance of what it leaves out, (components,).
    """

    matrix: Array
    offset: Array
    residual: Array

    def at(self, coordinates: Array) -> Array:
        """Coordinates (batch, dimensions) → features (batch, components)."""
        return coordinates @ self.matrix.T + self.offset


class Surroundings:
    """What is known of a generator before any answer: prior samples, their features, and where noise matters.

    The features of a view are principal components over the samples, in units in which a medium is 1 from the middle
    in the mean square. Coordinates are along the directions of noise that change media most.

    Args:
        generator: whose media they are.
        views: of them.
        dimensions: how many directions of noise.
    """

    def __init__(self, generator: Generator, views: tuple[View, ...], dimensions: int) -> None:
        self._generator = generator
        self._views = views
        self.directions = effective_directions(generator, dimensions).directions.double().numpy()
        noise = generator.sample_noise(_POOL, np.random.default_rng(_SEED))
        self.noise: Noise = noise.cpu().numpy()
        raw: dict[str, list[Tensor]] = {view.name: [] for view in views}
        with torch.no_grad():
            for part in noise.split(_BATCH):
                media = generator.generate(part)
                for view in views:
                    raw[view.name].append(view.describe(media).double().cpu())
        self._means: dict[str, Tensor] = {}
        self._projections: dict[str, Tensor] = {}
        self.features: dict[str, Array] = {}
        self.lines: dict[str, Line] = {}
        for view in views:
            self._add(view, torch.cat(raw[view.name]))

    def _add(self, view: View, described: Tensor) -> None:
        mean = described.mean(dim=0)
        centred = described - mean
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        kept = min(_KEPT, int((values > 1e-10 * values[-1]).sum()))
        values, vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
        unit = centred.square().sum(dim=1).mean().sqrt()
        self._means[view.name] = mean
        self._projections[view.name] = centred.T @ (vectors / values.sqrt()) / unit  # (width, components)
        features = (centred @ self._projections[view.name]).numpy()
        self.features[view.name] = features
        # The best linear account of features over the whole prior.
        inputs = np.c_[self.coordinates(self.noise), np.ones(len(features))]
        believed = features[:, : view.components]
        found = np.linalg.solve(inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1]), inputs.T @ believed)
        residual = ((believed - inputs @ found) ** 2).mean(axis=0)
        self.lines[view.name] = Line(found[:-1].T.copy(), found[-1].copy(), residual)

    @staticmethod
    def of(
        generator: Generator, discriminator: Discriminator | None, names: tuple[str, ...], dimensions: int
    ) -> Surroundings:
        """Those of a generator, prepared once per process."""
        known = _known.setdefault(generator, {})
        key = (names, dimensions, id(discriminator))
        if key not in known:
            found = [View.named(name, generator, discriminator) for name in names]
            known[key] = Surroundings(generator, tuple(view for view in found if view is not None), dimensions)
        return known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> Surroundings:
        """Itself: it never changes."""
        return self

    @property
    def views(self) -> list[str]:
        return [view.name for view in self._views]

    def coordinates(self, noise: Noise) -> Array:
        """Noise (batch, noise_dim) → (batch, dimensions)."""
        return noise.astype(np.float64) @ self.directions.T

    def noise_at(self, coordinates: Array) -> Array:
        """Coordinates (batch, dimensions) → noise (batch, noise_dim) that is 0 in all other directions."""
        return coordinates @ self.directions

    @torch.no_grad()
    def look(self, noise: Array | Noise) -> dict[str, Array]:
        """Generates media of noise (batch, noise_dim) → their features in each view, (batch, components)."""
        tensor = torch.from_numpy(np.ascontiguousarray(noise, dtype=np.float32)).to(self._generator.device)
        media = [self._generator.generate(part) for part in tensor.split(_BATCH)]
        return {
            view.name: torch.cat(
                [
                    (view.describe(part).double().cpu() - self._means[view.name]) @ self._projections[view.name]
                    for part in media
                ]
            ).numpy()
            for view in self._views
        }


_known: WeakKeyDictionary[Generator, dict[tuple[tuple[str, ...], int, int], Surroundings]] = WeakKeyDictionary()
