"""The published unconditional losses (Zhang et al. 2018, sections 4.1 and 4.3)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN_WEIGHT = 50.0
COVARIANCE_WEIGHT = 250.0


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy of telling real (1) from generated (0), eq. (6); logits of shape (batch,)."""
    # In logits, so that a sure discriminator still has a gradient: softplus(−x) = −log σ(x).
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """−log D of the generated pictures, eq. (7) in its non-saturating form; logits of shape (batch,)."""
    return F.softplus(-fake_logits).mean()


def colour_statistics(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (batch, 3) and covariance (batch, 3, 3) of the colours of pictures (batch, 3, height, width)."""
    colours = pictures.flatten(2)  # (B, 3, P)
    mean = colours.mean(dim=2)
    centred = colours - mean[:, :, None]
    return mean, centred @ centred.transpose(1, 2) / colours.shape[2]


def colour_consistency(pictures: Sequence[Tensor]) -> Tensor:
    """Draws the colours of each finer scale to those of the coarser one below it, eq. (9).

    Args:
        pictures: of every scale, coarse to fine, (batch, 3, 64 · 2^i, 64 · 2^i).

    Returns:
        A scalar: 50 × the squared error of the means plus 250 × that of the covariances; 0 for a single scale.
        The coarser scale receives no gradient.
    """
    loss = torch.zeros((), device=pictures[0].device)
    for coarse, fine in itertools.pairwise(pictures):
        coarse_mean, coarse_covariance = colour_statistics(coarse.detach().float())
        fine_mean, fine_covariance = colour_statistics(fine.float())
        loss = loss + MEAN_WEIGHT * F.mse_loss(fine_mean, coarse_mean)
        loss = loss + COVARIANCE_WEIGHT * F.mse_loss(fine_covariance, coarse_covariance)
    return loss


def real_gradient_penalty(real_logits: Tensor, real_pictures: Tensor) -> Tensor:
    """R1: the mean squared norm of the logits' gradient on real pictures (Mescheder et al. 2018, eq. 9), unweighted.

    Args:
        real_logits: (batch,), computed from `real_pictures`.
        real_pictures: (batch, 3, side, side) that require a gradient.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_pictures, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()
