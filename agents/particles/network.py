"""A line and two residual layers: the network that features follow from noise by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_HIDDEN = 384
_EPOCHS = 30
_BATCH = 256
_RATE = 3e-3
_DECAY = 0.02
_WARMING = 0.1
_SEED = 0
# Of the last layer, to begin with: the line alone tells most.
_SMALL = 0.1


class Network(NamedTuple):
    """f(w) = line · (w, 1) + last · h₃, h₁ = a(first · (w, 1)), hᵢ = hᵢ₋₁ + a(middleᵢ · (hᵢ₋₁, 1)), a the SiLU.

    Attributes:
        line: (features, dimensions + 1).
        first: (hidden, dimensions + 1).
        middle: (2, hidden, hidden + 1).
        last: (features, hidden).
    """

    line: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (batch, dimensions) → (batch, features)."""
        hidden = functional.silu(_affine(inputs, self.first))
        for weights in self.middle:
            hidden = hidden + functional.silu(_affine(hidden, weights))
        return _affine(inputs, self.line) + hidden @ self.last.T

    def jacobian(self, place: Tensor) -> Tensor:
        """At a place (dimensions,), (features, dimensions)."""
        hidden, slopes = place.new_zeros(len(self.first)), place.new_zeros(len(self.first), len(place))
        steps = (self.first, *self.middle)
        for number, weights in enumerate(steps):
            inside = _affine(hidden if number else place, weights)
            gate = torch.sigmoid(inside)
            steepness = gate * (1 + inside * (1 - gate))
            by_place = weights[:, :-1] @ slopes if number else weights[:, :-1]
            hidden, slopes = hidden + inside * gate, slopes + steepness[:, None] * by_place
        return self.line[:, :-1] + self.last @ slopes

    def mirrored(self, signs: Tensor) -> Network:
        """With each feature (features,) times its sign."""
        return self._replace(line=self.line * signs[:, None], last=self.last * signs[:, None])

    @property
    def packed(self) -> Tensor:
        """All numbers, one after the other, in half precision."""
        return torch.cat([part.flatten() for part in self]).half()

    @classmethod
    def unpacked(cls, packed: Tensor, dimensions: int, features: int) -> Network:
        """From its numbers.

        Raises:
            ValueError: as many do not make a network of that size.
        """
        shapes = _shapes(dimensions, features)
        counts = [shape.numel() for shape in shapes]
        if packed.shape != (sum(counts),):
            raise ValueError(f"a network of this size has {sum(counts)} numbers, not {tuple(packed.shape)}")
        parts = packed.float().split(counts)
        return cls(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    @classmethod
    def trained(cls, inputs: Tensor, targets: Tensor) -> Network:
        """Fitted by AdamW (Loshchilov and Hutter 2019), to the mean square.

        Args:
            inputs: (samples, dimensions).
            targets: (samples, features).
        """
        random = torch.Generator().manual_seed(_SEED)
        ones = torch.ones(len(inputs), 1)
        line = torch.linalg.lstsq(torch.cat((inputs, ones), dim=1).double(), targets.double()).solution.T.float()
        shapes = _shapes(inputs.shape[1], targets.shape[1])
        parts = [torch.randn(shape, generator=random) / (shape[-1] ** 0.5) for shape in shapes]
        parts[0] = line
        parts[-1] *= _SMALL
        network = cls(*(part.clone().requires_grad_() for part in parts))
        steps = _EPOCHS * len(inputs) // _BATCH
        optimiser = torch.optim.AdamW(network, lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=_WARMING)
        with torch.enable_grad():
            for _ in range(steps):
                chosen = torch.randint(len(inputs), (_BATCH,), generator=random)
                loss = (network(inputs[chosen]) - targets[chosen]).square().sum(dim=1).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return cls(*(part.detach() for part in network))


def _affine(inputs: Tensor, weights: Tensor) -> Tensor:
    return inputs @ weights[:, :-1].T + weights[:, -1]


def _shapes(dimensions: int, features: int) -> list[torch.Size]:
    shapes = (
        (features, dimensions + 1),
        (_HIDDEN, dimensions + 1),
        (2, _HIDDEN, _HIDDEN + 1),
        (features, _HIDDEN),
    )
    return [torch.Size(shape) for shape in shapes]
