"""A network that tells the features of media from their noise, in a fraction of the time that it takes to make them."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.particles.network import Network
from agents.posterior.surroundings import Surroundings
from agents.posterior.views import Points
from pbg_env import Discriminator, Generator, cache

COMPONENTS = 128
"""Principal components of each view that are told, at most; finer ones are details."""

# What this would put into the cache for the embedded generator: minutes that a first search would wait for.
_SHIPPED = Path(__file__).parent / "prepared"

# Of what is kept on disk: another one whenever it is computed otherwise.
_VERSION = 1
SAMPLES = 24_576
"""Media that the network is trained on, where nobody asks for another number."""

_SEED = 24_576
# How far out samples lie, as shares of draws from the prior: what is recommended lies nearer to the middle than most of
# these, and what somebody may want farther out.
_OUT = (0.6, 1.7)
_AT_ONCE = 1_024


class Described(NamedTuple):
    """One view's features among those of all.

    Attributes:
        part: their columns.
        error: mean square of what the surrogate leaves out of them, of about 1 by which a medium's vary.
    """

    part: slice
    error: float


class Surrogate:
    """Features of media in every view, side by side, as a differentiable function of coordinates in noise.

    The view of noise is a line, exactly. For all others together it is the best line over the prior and beside it a
    network with two residual layers, trained once for each generator.

    Args:
        around: what is known of the generator.
        samples: media to train anew with; None for what is on disk already, and else for `SAMPLES`.

    Attributes:
        around: as given.
        views: by their names.
        dimensions: of noise.
        width: of all features.
        kept: whether other processes find it prepared.
    """

    def __init__(self, around: Surroundings, samples: int | None = None) -> None:
        self.around = around
        self.dimensions = len(around.coordinates.shares)
        learned = [name for name in around.views if name != Points.name]
        counts = [min(COMPONENTS, around.features[name].shape[1]) for name in learned]
        ends = np.cumsum([0, *counts])
        parts = {name: slice(int(ends[i]), int(ends[i + 1])) for i, name in enumerate(learned)}
        self.kept = self._key(parts) is not None
        self._network = self._learned(parts, samples) if parts else None
        self.width = int(ends[-1])
        self._line: tuple[Tensor, Tensor] | None = None
        if Points.name in around.views:
            line = around.lines[Points.name]
            self._line = torch.from_numpy(line.matrix.T.copy()).float(), torch.from_numpy(line.offset).float()
            parts[Points.name] = slice(self.width, self.width + len(line.offset))
            self.width += len(line.offset)
        told = self(self._pool).double().numpy()
        self.views = {
            name: Described(part, float(((told[:, part] - self._features(name, part)) ** 2).sum(axis=1).mean()))
            for name, part in ((name, parts[name]) for name in around.views)
        }

    @staticmethod
    def of(
        generator: Generator, discriminator: Discriminator | None, names: tuple[str, ...], dimensions: int
    ) -> Surrogate:
        """That of a generator, prepared once per process."""
        known = _known.setdefault(generator, {})
        key = (names, dimensions, id(discriminator))
        if key not in known:
            known[key] = Surrogate(Surroundings.of(generator, discriminator, names, dimensions))
        return known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> Surrogate:
        """Itself: it never changes."""
        return self

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Coordinates (batch, dimensions) → features (batch, width), single precision."""
        told = [] if self._network is None else [self._network(coordinates)]
        if self._line is not None:
            told.append(coordinates @ self._line[0] + self._line[1])
        return torch.cat(told, dim=1)

    def jacobian(self, place: Tensor) -> Tensor:
        """Of features by coordinates at a place (dimensions,), (width, dimensions)."""
        told = [] if self._network is None else [self._network.jacobian(place)]
        if self._line is not None:
            told.append(self._line[0].T)
        return torch.cat(told)

    def look(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Makes the media of coordinates (batch, dimensions) → their features as they are, as `joined` has them."""
        noise = self.around.coordinates.to_noise(coordinates.double().numpy())
        return self.joined(self.around.look(noise))

    def joined(self, looks: dict[str, NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
        """Features of each view (batch, components) → those that are told, side by side (batch, width), and details,
        the finer ones (batch, views, finer)."""
        finer = max(looks[name].shape[1] - (view.part.stop - view.part.start) for name, view in self.views.items())
        batch = len(next(iter(looks.values())))
        features, details = torch.zeros(batch, self.width), torch.zeros(batch, len(self.views), finer)
        for place, (name, view) in enumerate(self.views.items()):
            count = view.part.stop - view.part.start
            found = torch.from_numpy(looks[name]).float()
            features[:, view.part] = found[:, :count]
            details[:, place, : found.shape[1] - count] = found[:, count:]
        return features, details

    @property
    def _pool(self) -> Tensor:
        """Coordinates of the prior samples, (samples, dimensions)."""
        return torch.from_numpy(self.around.coordinates.of_noise(self.around.noise)).float()

    def _features(self, name: str, part: slice) -> NDArray[np.float64]:
        return self.around.features[name][:, : part.stop - part.start]

    def _learned(self, parts: dict[str, slice], samples: int | None) -> Network:
        """The network of these views."""
        key = self._key(parts)
        packed = None if key is None or samples else cache.cached(*key, shipped=_SHIPPED)
        if packed is not None:
            with suppress(ValueError):
                return self._adopted(torch.from_numpy(packed), parts)
        found = self._trained(parts, samples or SAMPLES).packed
        if key is not None:
            cache.store(found.numpy(), *key)
        return self._adopted(found, parts)

    def _key(self, parts: dict[str, slice]) -> tuple[str, ...] | None:
        """Under what it is kept on disk; None where the generator or a view has no name for its weights."""
        views = [self.around.views[name].key for name in parts]
        if self.around.weights is None or None in views:
            return None
        dimensions = len(self.around.coordinates.shares)
        ends = (part.stop for part in parts.values())
        return ("surrogate", *map(str, (_VERSION, self.around.weights, dimensions, *views, *ends)))

    def _adopted(self, packed: Tensor, parts: dict[str, slice]) -> Network:
        """A network by its numbers; what is the same here and where it was trained.

        Raises:
            ValueError: it is another generator's, for it tells features of the prior samples worse than lines do.
        """
        network = Network.unpacked(packed, self._pool.shape[1], max(part.stop for part in parts.values()))
        told = network(self._pool).double().numpy()
        features = np.concatenate([self._features(name, part) for name, part in parts.items()], axis=1)
        # Principal components have no sign: computed anew, they may be mirrored.
        signs = np.where((told * features).sum(axis=0) < 0, -1.0, 1.0)
        left_out = ((told * signs - features) ** 2).sum()
        if left_out > self.around.line(features).residual.sum() * len(features):
            raise ValueError("this network tells less than lines do")
        return network.mirrored(torch.from_numpy(signs).float())

    def _trained(self, parts: dict[str, slice], samples: int) -> Network:
        """A network trained on media of this generator."""
        rng = np.random.default_rng(_SEED)
        coordinates = rng.standard_normal((samples, self._pool.shape[1])) * rng.uniform(*_OUT, size=(samples, 1))
        features = torch.empty(samples, max(part.stop for part in parts.values()))
        began = time.monotonic()
        for start in range(0, samples, _AT_ONCE):
            looks = self.around.look(self.around.coordinates.to_noise(coordinates[start : start + _AT_ONCE]))
            for name, part in parts.items():
                found = looks[name][:, : part.stop - part.start]
                features[start : start + _AT_ONCE, part] = torch.from_numpy(found).float()
            if start == 0:
                left = (time.monotonic() - began) * (samples / _AT_ONCE - 1)
                print(
                    f"getting to know this generator, once: {samples:,} media take about {left:.0f} s …",
                    file=sys.stderr,
                )
        return Network.trained(torch.from_numpy(coordinates).float(), features)


_known: WeakKeyDictionary[Generator, dict[tuple[tuple[str, ...], int, int], Surrogate]] = WeakKeyDictionary()
