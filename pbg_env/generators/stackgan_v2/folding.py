"""Folds what is constant in evaluation into the weights: the same function, with less work for every picture."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from pbg_env.generators.stackgan_v2.networks import UpBlock, doubling_kernel

Network = TypeVar("Network", bound=nn.Module)


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
    doubling = nn.ConvTranspose2d(convolution.in_channels, convolution.out_channels, 4, stride=2, padding=1)
    doubling.weight.data = doubling_kernel(convolution.weight).detach()
    doubling.bias = nn.Parameter(convolution.bias.detach())
    return nn.Sequential(doubling, gate)
