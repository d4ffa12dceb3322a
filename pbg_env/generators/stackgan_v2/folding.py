"""Folds what is constant in evaluation into the weights: the same function, with less work for every picture."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from pbg_env.generators.stackgan_v2.networks import NextStage, UpBlock, conv3x3, doubling_kernel

Network = TypeVar("Network", bound=nn.Module)

LARGE_KERNEL = 512
"""Channels from which a doubling is done by matrix products. A transposed convolution on the CPU reorders its kernel at
every call, which takes longer than the convolution where the kernel outweighs the pictures."""


def folded(network: Network) -> Network:
    """A copy of a network in evaluation mode whose normalisations are part of the layers before them.

    The copy gives the same outputs and gradients up to rounding; its `state_dict` has another layout.
    """
    network = copy.deepcopy(network).eval()
    _fold(network)
    return network.requires_grad_(False)


def _fold(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, UpBlock):
            setattr(module, name, _doubling(child))
            continue
        _fold(child)
        if isinstance(child, nn.Sequential):
            setattr(module, name, nn.Sequential(*_fused(list(child))))
        elif isinstance(child, NextStage):
            setattr(module, name, FoldedNextStage(child))


def _fused(layers: list[nn.Module]) -> list[nn.Module]:
    fused: list[nn.Module] = []
    for layer in layers:
        before = fused[-1] if fused else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            fused[-1] = fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            fused[-1] = fuse_linear_bn_eval(before, layer)
        else:
            fused.append(layer)
    return fused


def _doubling(block: UpBlock) -> nn.Sequential:
    _, convolution, normalisation, gate = block
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(normalisation, nn.BatchNorm2d)
    convolution = fuse_conv_bn_eval(convolution, normalisation)
    assert convolution.bias is not None
    kernel, bias = doubling_kernel(convolution.weight).detach(), convolution.bias.detach()
    if convolution.in_channels >= LARGE_KERNEL:
        return nn.Sequential(DoublingByProducts(kernel, bias), gate)
    doubling = nn.ConvTranspose2d(convolution.in_channels, convolution.out_channels, 4, stride=2, padding=1)
    doubling.weight.data, doubling.bias = kernel, nn.Parameter(bias)
    return nn.Sequential(doubling, gate)


class DoublingByProducts(nn.Module):
    """The transposed convolution of `doubling_kernel` as four matrix products, one for each pixel of a 2 × 2 square.

    Args:
        kernel: (in, out, 4, 4).
        bias: (out,).
    """

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        super().__init__()
        # An even row of the result sees the row above its own and its own, an odd row its own and the one below.
        taps = [
            torch.cat([kernel[:, :, i, j] for i in (3 - row, 1 - row) for j in (3 - column, 1 - column)])
            for row in (0, 1)
            for column in (0, 1)
        ]
        self.weight = nn.Parameter(torch.stack(taps))  # (4, 4 · in, out)
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, s, s) → (batch, out, 2s, 2s)."""
        batch, _, side, _ = x.shape
        padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)  # (B, s + 2, s + 2, in)
        seen = [
            torch.cat([padded[:, i : i + side, j : j + side] for i in (row, row + 1) for j in (column, column + 1)], -1)
            for row in (0, 1)
            for column in (0, 1)
        ]
        squares = torch.baddbmm(self.bias, torch.stack(seen).flatten(1, 3), self.weight)  # (4, B · s², out)
        squares = squares.view(2, 2, batch, side, side, len(self.bias)).permute(2, 5, 3, 0, 4, 1)
        return squares.reshape(batch, len(self.bias), 2 * side, 2 * side)


class FoldedNextStage(nn.Module):
    """A `NextStage` that multiplies the noise once for a picture, where it was once for each of its pixels.

    The noise is the same at every pixel, so what it adds to the joint convolution is constant too, but for the border,
    where the outer taps of the kernel see none: nine values a channel, of the corners, the edges and the inside.

    Args:
        stage: with folded children.
    """

    def __init__(self, stage: NextStage) -> None:
        super().__init__()
        joint, self.gate = stage.jointConv
        assert isinstance(joint, nn.Conv2d)
        assert joint.bias is not None
        channels = joint.out_channels // 2
        noise_dim = joint.in_channels - channels
        of_noise, of_hidden = joint.weight.detach().split((noise_dim, channels), dim=1)
        self.convolution = conv3x3(channels, 2 * channels)
        self.convolution.weight.data = of_hidden
        rows = torch.stack((of_noise[:, :, 1:].sum(2), of_noise.sum(2), of_noise[:, :, :2].sum(2)))  # (3, 2C, Z, 3)
        nine = torch.stack((rows[..., 1:].sum(-1), rows.sum(-1), rows[..., :2].sum(-1)), dim=1)  # (3, 3, 2C, Z)
        self.nine = nn.Linear(noise_dim, 9 * 2 * channels)
        self.nine.weight.data, self.nine.bias.data = nine.flatten(0, 2), joint.bias.detach().repeat(9)
        self.residual, self.upsample = stage.residual, stage.upsample

    def forward(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """Hidden (batch, channels, s, s) and noise (batch, noise_dim) → (batch, channels // 2, 2s, 2s)."""
        inside = hidden.shape[-1] - 2
        nine = self.nine(noise).view(len(noise), 3, 3, self.convolution.out_channels)  # (B, 3, 3, 2C)
        rows = torch.cat((nine[:, :1], nine[:, 1:2].expand(-1, inside, -1, -1), nine[:, 2:]), dim=1)  # (B, s, 3, 2C)
        of_noise = torch.cat((rows[:, :, :1], rows[:, :, 1:2].expand(-1, -1, inside, -1), rows[:, :, 2:]), dim=2)
        joint = self.convolution(hidden) + of_noise.permute(0, 3, 1, 2)  # (B, 2C, s, s)
        return self.upsample(self.residual(self.gate(joint)))
