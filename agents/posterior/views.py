"""What of media somebody may go by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agents.subspace import Coordinates
from pbg_env import CosineSimilarity, Discriminator, Generator, similarity_from

_SEED = 1500


class View(ABC):
    """Describes media, and the noise they come from, by what may matter of them."""

    name: str
    key: str | None = None
    """Names what it describes, with its weights, in caches; None where nothing may be kept."""
    components = 64
    """Principal components of it that are believed in; finer ones are details."""
    mismatches: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4)
    """How far the user may go by something else, as `ordinal.Manner` has it, to begin with and then found."""
    ranks: tuple[int, ...] = (2, 4, 8, 16)
    """Along how many of the leading directions of a belief questions are asked."""
    reach = 2.0
    """How far the media of a question lie from what is recommended, at most, in draws from the belief."""
    least = 0.1
    """The least chance that it gives to any answer, when views are compared: somebody may have meant something else."""

    @abstractmethod
    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        """Media (batch, *shape) of noise (batch, noise_dim) → (batch, width)."""

    @staticmethod
    def named(name: str, generator: Generator, discriminator: Discriminator | None) -> View | None:
        """A view by its name; None where these media or tools do not have it.

        Raises:
            ValueError: there is no such view, nor a similarity that describes these media.
        """
        if name not in _VIEWS:
            return Described(name, generator, discriminator)
        if name == Values.name:
            return Values(generator)
        if name == Points.name:
            return Points(generator)
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
        self._features = similarity_from("features", generator)
        self.key = self._features.name

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        return self._features.describe(media)


class Points(View):
    """Noise itself, along the directions that change media most, each weighed by how much of that is its own.

    What somebody wants need not show in what media differ by most: a smile is a few pixels. Of any that varies evenly
    with noise, this is as good a view as another, and nothing is left out of a line through it. As it stands for what
    no other view explains, it never claims to tell all, is never sure of much, and asks along many directions,
    about media that are near: what the user goes by bends between far ones, in ways that it knows nothing of.
    """

    name = "noise"
    mismatches = (0.1,)
    ranks = (8, 16, 32, 64)
    reach = 0.7
    least = 0.25

    def __init__(self, generator: Generator) -> None:
        coordinates = Coordinates.of(generator, "principal", self.components)
        self._directions = torch.from_numpy(coordinates.directions.T * np.sqrt(coordinates.shares))
        self.key = f"noise:{self.components}"

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        return noise.double().cpu() @ self._directions


class Layout(View):
    """Where which colours are: pictures averaged down to 8 × 8."""

    name = key = "layout"
    components = 48

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(media, 8).flatten(1)


class Deep(View):
    """The discriminator's features, each medium's scaled to length 1."""

    name = "deep"

    def __init__(self, discriminator: Discriminator) -> None:
        self._discriminator = discriminator
        weights = getattr(discriminator, "weights", None)
        self.key = None if weights is None else f"deep:{weights}"

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        return F.normalize(self._discriminator.features(media).float(), dim=1)


class Convolutions(View):
    """What random filters answer, at three depths, averaged over 4 × 4 places, each depth's scaled to length 1."""

    name = "convolutions"
    _channels = (32, 64, 64)
    _size = 5
    key = f"convolutions:{_SEED}:{_channels}:{_size}"

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(_SEED)
        self._weights = []
        before = 3
        for channels in self._channels:
            weight = torch.randn(channels, before, self._size, self._size, generator=random)
            self._weights.append(2.0 * weight / (before * self._size**2) ** 0.5)
            before = channels

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        answers = 2.0 * media - 1.0
        described = []
        for weight in self._weights:
            answers = F.conv2d(answers, weight.to(answers), stride=2, padding=self._size // 2).tanh()
            described.append(F.normalize(F.adaptive_avg_pool2d(answers, 4).flatten(1), dim=1))
        return torch.cat(described, dim=1)


class Described(View):
    """What a similarity of `pbg_env` compares, or one of the user's own, such as "vit" or "module:function"; scaled to
    length 1 where it goes by angles.

    Args:
        name: of the similarity, as the environments take it.
        generator: whose media they are.
        discriminator: beside it.

    Raises:
        ValueError: there is no such similarity, or it describes nothing.
    """

    def __init__(self, name: str, generator: Generator, discriminator: Discriminator | None) -> None:
        self.name = name
        try:
            self._similarity = similarity_from(name, generator, lambda: discriminator)
        except ValueError as error:
            raise ValueError(f"view {name!r} is none of {', '.join(_VIEWS)}, and no similarity: {error}") from error
        if not self._similarity.describes:
            raise ValueError(f"view {name!r}: this similarity compares media without describing them; use 'values'")
        self.key = self._similarity.name

    def describe(self, media: Tensor, noise: Tensor) -> Tensor:
        described = self._similarity.describe(media).flatten(1)
        return F.normalize(described, dim=1) if isinstance(self._similarity, CosineSimilarity) else described


_VIEWS = (Values.name, Points.name, Layout.name, Convolutions.name, Deep.name)
