"""A measure of nearness that no strategy goes by unless told to: nobody trained it, and no model of pictures has it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbg_env.generators.base import weights_hash
from pbg_env.similarity import CosineSimilarity

_SEED = 2**31 + 5
_CHANNELS = (16, 32, 64)
_GAIN = 2.0
_LARGEST = 64
_SMALLEST = 32
_PLACES = 4


class RandomConvolutions(CosineSimilarity):
    """Cosine of the angle between the answers of random filters, within [-1, 1].

    Three convolutions of stride 2 with Gaussian weights follow one another; the answers at each depth, averaged over
    4 × 4 places, count alike. Of random pairs of portraits half have a similarity from 0.04 to 0.57.

    Args:
        seed: of the weights.
    """

    def __init__(self, seed: int = _SEED) -> None:
        random = torch.Generator().manual_seed(seed)
        self._weights = []
        before = 3
        for channels in _CHANNELS:
            weight = torch.randn(channels, before, 3, 3, generator=random)
            self._weights.append(_GAIN * weight / (before * 9) ** 0.5)
            before = channels
        self.name = f"random_convolutions:{weights_hash(nn.ParameterList(self._weights))}"

    def describe(self, media: Tensor) -> Tensor:
        """Pictures (batch, 3, size, size) in [0, 1], of at least 32 px → (batch, 1,792).

        Raises:
            ValueError: media of another shape.
        """
        if media.ndim != 4 or media.shape[1] != 3 or min(media.shape[2:]) < _SMALLEST:
            raise ValueError(
                f"similarity 'random_convolutions' compares pictures (batch, 3, size, size) of at least {_SMALLEST} "
                f"px, but the media have the shape {tuple(media.shape)}; use 'features' or a function of your own"
            )
        if min(media.shape[2:]) > _LARGEST:
            media = F.adaptive_avg_pool2d(media, _LARGEST)
        # Without biases and with an odd function grey is answered by nothing: pictures do not look alike for what all
        # of them have in common.
        answers = 2.0 * media - 1.0
        described = []
        for weight in self._weights:
            answers = F.conv2d(answers, weight.to(answers), stride=2, padding=1).tanh()
            described.append(F.normalize(F.adaptive_avg_pool2d(answers, _PLACES).flatten(1), dim=1))
        return torch.cat(described, dim=1)


random_convolutions = RandomConvolutions()
"""As `similarity="benchmarks.similarities:random_convolutions"`."""
