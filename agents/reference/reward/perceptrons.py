"""Multilayer perceptrons side by side, and the loss that preferences are fitted by."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Perceptrons(nn.Module):
    """Perceptrons of one shape and different weights, evaluated together.

    Args:
        members: how many.
        widths: of input and hidden layers; the output is one number.
        generator: draws the weights, as `torch.nn.Linear` does.
    """

    def __init__(self, members: int, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for width_in, width_out in itertools.pairwise([*widths, 1]):
            bound = width_in**-0.5
            weight, bias = (
                (2 * torch.rand((members, rows, width_out), generator=generator) - 1) * bound for rows in (width_in, 1)
            )
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(bias))

    def forward(self, inputs: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """As `perceptron_outputs`."""
        return perceptron_outputs(list(self.weights), list(self.biases), inputs, masks)

    @property
    def hidden_widths(self) -> list[int]:
        return [weight.shape[2] for weight in list(self.weights)[:-1]]


def perceptron_outputs(
    weights: Sequence[Tensor], biases: Sequence[Tensor], inputs: Tensor, masks: Sequence[Tensor] | None = None
) -> Tensor:
    """What perceptrons with these weights make of inputs.

    Args:
        weights: of each layer, (members, width in, width out).
        biases: of each layer, (members, 1, width out).
        inputs: (members, batch, width).
        masks: factors on the hidden layers' outputs, each of a shape that (members, batch, width) takes in.

    Returns:
        (members, batch).
    """
    hidden = inputs
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        hidden = torch.baddbmm(bias, hidden, weight)
        if layer < len(weights) - 1:
            hidden = F.leaky_relu(hidden)
            if masks is not None:
                hidden = hidden * masks[layer]
    return hidden.squeeze(-1)


def bradley_terry_loss(rewards: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of P(first) = σ(r₁ − r₂) (Bradley & Terry 1952; Christiano et al. 2017, eq. 1).

    Args:
        rewards: (…, 2), of first and second.
        labels: (…, 2), weights on first and second; a pair of zeros adds nothing.

    Returns:
        The mean over all pairs.
    """
    difference = rewards[..., 0] - rewards[..., 1]
    # log σ stays finite where the logarithm of a probability rounded to 0 would not.
    return -(labels[..., 0] * F.logsigmoid(difference) + labels[..., 1] * F.logsigmoid(-difference)).mean()


def threshold_loss(rewards: Tensor, labels: Tensor, bad: Tensor, threshold: Tensor) -> Tensor:
    """Cross-entropy of what both-bad says: both lie below a threshold, and of any other pair one lies above it.

    Args:
        rewards: (…, 2), of first and second.
        labels: (…, 2), weights on first and second.
        bad: (…), weights of both-bad answers, 0 for others.
        threshold: what (…) takes in.

    Returns:
        The mean over all pairs.
    """
    above = rewards - threshold[..., None]
    of_bad = F.logsigmoid(-above).sum(dim=-1)
    of_others = F.logsigmoid(above.amax(dim=-1))
    return -(bad * of_bad + labels.sum(dim=-1) * of_others).mean()
