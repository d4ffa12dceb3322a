"""What is known of a generator before any answer: how what somebody may go by follows from noise."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, proxy

import numpy as np
import torch
from torch import Tensor

from agents.base import Noise
from agents.components import principal_components
from agents.posterior.ordinal import Array
from agents.posterior.views import View
from agents.subspace import Coordinates
from pbg_env import Discriminator, Generator, cache

# Components of features that are looked at; those beyond what a view believes in are details.
_KEPT = 512
_POOL = 1500
_SEED = 1500
_BATCH = 64
_RIDGE = 1e-6
# Of what is kept on disk: another one whenever it is computed otherwise.
_VERSION = 1


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


class Basis(NamedTuple):
    """Principal components of what a view describes, in units in which a medium is 1 from the mean in the mean square.

    Attributes:
        mean: (width,), of descriptions, over the prior samples.
        projection: (width, components).
        pool: features of these samples, (samples, components).
    """

    mean: Tensor
    projection: Tensor
    pool: Array

    @classmethod
    def of(cls, described: Tensor) -> Basis:
        """Of descriptions (samples, width) in double precision."""
        mean = described.mean(dim=0)
        centred = described - mean
        unit = centred.square().sum(dim=1).mean().sqrt()
        projection = principal_components(centred, _KEPT).directions.T / unit
        # What is looked at later is projected in single precision, whatever the generator's.
        return cls(mean.float(), projection.float(), (centred @ projection).numpy())

    def features(self, described: Tensor) -> Array:
        """Descriptions (batch, width) → features (batch, components)."""
        return ((described.float().cpu() - self.mean) @ self.projection).double().numpy()

    @classmethod
    def stored(cls, key: tuple[str, ...]) -> Basis | None:
        """The one on disk under a key, None where it is not there."""
        line, pool = cache.cached(*key, "line"), cache.cached(*key, "pool")
        if line is None or pool is None:
            return None
        return cls(torch.from_numpy(line[0]), torch.from_numpy(line[1:]).T, pool)

    def store(self, key: tuple[str, ...]) -> None:
        cache.store(torch.cat((self.mean[None], self.projection.T)).numpy(), *key, "line")
        cache.store(self.pool, *key, "pool")


class Surroundings:
    """Prior samples, their features, the best line through these, and where noise matters.

    Coordinates are along the directions of noise that change media most. Features are of each view's `Basis`: those
    that are believed in, and then details.

    Args:
        generator: whose media they are.
        views: of them.
        dimensions: how many directions of noise.

    Attributes:
        views: by their names.
        coordinates: along those directions.
        noise: of the samples, (samples, noise_dim).
        features: of the samples in each view, (samples, components).
        lines: of each view.
        weights: the name of the generator's, None where it has none.
        kept: views that other processes find prepared.
    """

    def __init__(self, generator: Generator, views: tuple[View, ...], dimensions: int) -> None:
        # Whoever searches has the generator; what is known of it ends with it.
        self._generator: Generator = proxy(generator)
        self.weights = getattr(generator, "weights", None)
        self.views = {view.name: view for view in views}
        self.coordinates = Coordinates.of(generator, "principal", dimensions)
        noise = generator.sample_noise(_POOL, np.random.default_rng(_SEED))
        self.noise: Noise = noise.cpu().numpy()
        keys = _keys(generator, views, noise)
        self.kept = list(keys)
        self._bases = _bases(generator, views, noise, keys)
        self.features = {view.name: self._bases[view.name].pool for view in views}
        self.lines = {view.name: self.line(self.features[view.name][:, : view.components]) for view in views}

    def line(self, features: Array) -> Line:
        """The best linear account of features (samples, components) over the whole prior."""
        inputs = np.c_[self.coordinates.of_noise(self.noise), np.ones(len(features))]
        found = np.linalg.solve(inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1]), inputs.T @ features)
        residual = ((features - inputs @ found) ** 2).mean(axis=0)
        return Line(found[:-1].T.copy(), found[-1].copy(), residual)

    @staticmethod
    def of(
        generator: Generator,
        discriminator: Discriminator | None,
        names: tuple[str, ...],
        dimensions: int,
    ) -> Surroundings:
        """Those of a generator, prepared once per process.

        Raises:
            ValueError: unknown views, or none that is there for these media.
        """
        known = _known.setdefault(generator, {})
        key = (names, dimensions, id(discriminator))
        if key not in known:
            found = [View.named(name, generator, discriminator) for name in names]
            views = tuple(view for view in found if view is not None)
            if not views:
                raise ValueError(f"none of the views {', '.join(names)} is there for these media; add 'values'")
            known[key] = Surroundings(generator, views, dimensions)
        return known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> Surroundings:
        """Itself: it never changes."""
        return self

    @torch.no_grad()
    def look(self, noise: Noise) -> dict[str, Array]:
        """Generates media of noise (batch, noise_dim) → their features in each view, (batch, components)."""
        tensor = torch.from_numpy(np.ascontiguousarray(noise)).to(self._generator.device)
        parts = [(self._generator.generate(part), part) for part in tensor.split(_BATCH)]
        looks = {}
        for view in self.views.values():
            features = [self._bases[view.name].features(view.describe(*part)) for part in parts]
            looks[view.name] = np.concatenate(features)
        return looks


_known: WeakKeyDictionary[Generator, dict[tuple[tuple[str, ...], int, int], Surroundings]] = WeakKeyDictionary()


def _keys(generator: Generator, views: tuple[View, ...], noise: Tensor) -> dict[str, tuple[str, ...]]:
    """Under what bases are kept on disk: those of views that have names for their weights, as the generator has."""
    weights = getattr(generator, "weights", None)
    # What is computed elsewhere, or in another precision, is another one in the last digits.
    about = [_VERSION, _POOL, _SEED, _KEPT, weights, generator.media.shape, noise.device.type, noise.dtype]
    return {
        view.name: ("basis", *map(str, about), view.key)
        for view in views
        if weights is not None and view.key is not None
    }


def _bases(
    generator: Generator, views: tuple[View, ...], noise: Tensor, keys: dict[str, tuple[str, ...]]
) -> dict[str, Basis]:
    """Of every view, by its name; from the disk where they are there."""
    bases = {name: basis for name, key in keys.items() if (basis := Basis.stored(key)) is not None}
    described: dict[str, list[Tensor]] = {view.name: [] for view in views if view.name not in bases}
    if described:
        with torch.no_grad():
            for part in noise.split(_BATCH):
                media = generator.generate(part)
                for view in views:
                    if view.name in described:
                        described[view.name].append(view.describe(media, part).double().cpu())
    for name, parts in described.items():
        bases[name] = Basis.of(torch.cat(parts))
        if name in keys:
            bases[name].store(keys[name])
    return bases
