"""The networks of StackGAN-v2 (Zhang et al. 2018, "StackGAN++", section 4) in its unconditional setting.

Modules are named and ordered so that `state_dict()` has the layout of the published code's checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BASE_SIZE = 64
"""Side in pixels of the coarsest scale; each further scale doubles it."""

MAX_SCALES = 4


def scale_size(scale: int) -> int:
    """Side in pixels of the pictures of a scale: 64, 128, 256, 512."""
    return BASE_SIZE * 2**scale


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)


def doubling_kernel(kernel: Tensor) -> Tensor:
    """The kernel (in, out, 4, 4) of a transposed convolution that doubles the side as nearest-neighbour upsampling and
    then convolving with `kernel` (out, in, 3, 3) does.

    Repeating pixels and then summing nine neighbours sums every pixel with a 3 × 3 kernel that is smeared by 2 × 2: the
    same sums with 4 multiplications a pixel where there were 9.
    """
    smeared = F.pad(kernel.flip(-1, -2), (1, 1, 1, 1))
    smeared = smeared[..., :-1, :] + smeared[..., 1:, :]
    smeared = smeared[..., :-1] + smeared[..., 1:]
    return smeared.transpose(0, 1)


class UpBlock(nn.Sequential):
    """Doubles the side: nearest-neighbour upsampling, a 3 × 3 convolution, normalisation, gate."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            conv3x3(channels_in, 2 * channels_out),
            nn.BatchNorm2d(2 * channels_out),
            nn.GLU(dim=1),
        )

    def forward(self, input: Tensor) -> Tensor:
        _, convolution, normalisation, gate = self
        assert isinstance(convolution, nn.Conv2d)
        kernel = doubling_kernel(convolution.weight)
        doubled = F.conv_transpose2d(input, kernel, stride=2, padding=1)
        return gate(normalisation(doubled))


class GatedBlock(nn.Sequential):
    """A 3 × 3 convolution, normalisation and gate that keep the side."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            conv3x3(channels_in, 2 * channels_out),
            nn.BatchNorm2d(2 * channels_out),
            nn.GLU(dim=1),
        )


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv3x3(channels, 2 * channels),
            nn.BatchNorm2d(2 * channels),
            nn.GLU(dim=1),
            conv3x3(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class FirstStage(nn.Module):
    """Noise (batch, noise_dim) → hidden (batch, channels // 16, 64, 64)."""

    def __init__(self, noise_dim: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.fc = nn.Sequential(
            nn.Linear(noise_dim, channels * 4 * 4 * 2, bias=False),
            nn.BatchNorm1d(channels * 4 * 4 * 2),
            nn.GLU(dim=1),
        )
        self.upsample1 = UpBlock(channels, channels // 2)
        self.upsample2 = UpBlock(channels // 2, channels // 4)
        self.upsample3 = UpBlock(channels // 4, channels // 8)
        self.upsample4 = UpBlock(channels // 8, channels // 16)

    def forward(self, noise: Tensor) -> Tensor:
        hidden = self.fc(noise).view(-1, self.channels, 4, 4)
        hidden = self.upsample1(hidden)  # (B, C / 2, 8, 8)
        hidden = self.upsample2(hidden)  # (B, C / 4, 16, 16)
        hidden = self.upsample3(hidden)  # (B, C / 8, 32, 32)
        return self.upsample4(hidden)  # (B, C / 16, 64, 64)


class NextStage(nn.Module):
    """Hidden (batch, channels, s, s) and the noise → hidden (batch, channels // 2, 2s, 2s)."""

    def __init__(self, noise_dim: int, channels: int, residual_blocks: int) -> None:
        super().__init__()
        self.jointConv = GatedBlock(channels + noise_dim, channels)
        self.residual = nn.Sequential(*(ResidualBlock(channels) for _ in range(residual_blocks)))
        self.upsample = UpBlock(channels, channels // 2)

    def forward(self, hidden: Tensor, noise: Tensor) -> Tensor:
        everywhere = noise[:, :, None, None].expand(-1, -1, *hidden.shape[-2:])
        joint = torch.cat((everywhere, hidden), dim=1)  # (B, Z + C, s, s)
        return self.upsample(self.residual(self.jointConv(joint)))


class ToPicture(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.img = nn.Sequential(conv3x3(channels, 3), nn.Tanh())

    def forward(self, hidden: Tensor) -> Tensor:
        return self.img(hidden)


class GeneratorNetwork(nn.Module):
    """Noise → one picture a scale, each in [-1, 1].

    Args:
        noise_dim: `Z_DIM` of the published configuration.
        width: `GF_DIM`; must be divisible by 2 to the power of (scales − 1).
        residual_blocks: blocks of stage 2, 3, …; its length + 1 is the number of scales, 1 to 4.
    """

    def __init__(self, noise_dim: int, width: int, residual_blocks: Sequence[int] = ()) -> None:
        super().__init__()
        scales = len(residual_blocks) + 1
        if scales > MAX_SCALES:
            raise ValueError(f"{scales} scales asked for, StackGAN-v2 has 1 to {MAX_SCALES}")
        if noise_dim < 1:
            raise ValueError(f"noise_dim is {noise_dim}, expected at least 1")
        if width < 1 or width % 2 ** (scales - 1):
            raise ValueError(
                f"width is {width}, expected a multiple of {2 ** (scales - 1)}: each of the {scales} scales halves it"
            )
        self.noise_dim = noise_dim
        self.width = width
        self.residual_blocks = tuple(residual_blocks)
        self.h_net1 = FirstStage(noise_dim, 16 * width)
        self.img_net1 = ToPicture(width)
        for number, blocks in enumerate(residual_blocks, start=2):
            channels = width // 2 ** (number - 2)
            self.add_module(f"h_net{number}", NextStage(noise_dim, channels, blocks))
            self.add_module(f"img_net{number}", ToPicture(channels // 2))

    @property
    def scales(self) -> int:
        return len(self.residual_blocks) + 1

    def forward(self, noise: Tensor) -> list[Tensor]:
        """Noise (batch, noise_dim) → pictures (batch, 3, 64 · 2^i, 64 · 2^i) of every scale i."""
        hidden = self.h_net1(noise)
        pictures = [self.img_net1(hidden)]
        for number in range(2, self.scales + 1):
            hidden = self.get_submodule(f"h_net{number}")(hidden, noise)
            pictures.append(self.get_submodule(f"img_net{number}")(hidden))
        return pictures

    def picture(self, noise: Tensor, scale: int) -> Tensor:
        """Noise (batch, noise_dim) → the pictures of one scale, without drawing the others."""
        hidden = self.h_net1(noise)
        for number in range(2, scale + 2):
            hidden = self.get_submodule(f"h_net{number}")(hidden, noise)
        return self.get_submodule(f"img_net{scale + 1}")(hidden)


def _leaky(channels_in: int, channels_out: int, *, kernel: int, normalised: bool = True) -> list[nn.Module]:
    """Kernel 4 halves the side, kernel 3 keeps it."""
    stride = 2 if kernel == 4 else 1
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, kernel, stride, padding=1, bias=False)]
    if normalised:
        layers.append(nn.BatchNorm2d(channels_out))
    return [*layers, nn.LeakyReLU(0.2)]


class DiscriminatorNetwork(nn.Module):
    """Pictures of one scale in [-1, 1] → logits of being real.

    Args:
        width: `DF_DIM` of the published configuration.
        scale: 0 to 3 for pictures of 64, 128, 256, 512 px.
    """

    def __init__(self, width: int, scale: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width is {width}, expected at least 1")
        if not 0 <= scale < MAX_SCALES:
            raise ValueError(f"scale is {scale}, expected 0 to {MAX_SCALES - 1}")
        self.width = width
        self.scale = scale
        self.img_code_s16 = nn.Sequential(
            *_leaky(3, width, kernel=4, normalised=False),
            *_leaky(width, 2 * width, kernel=4),
            *_leaky(2 * width, 4 * width, kernel=4),
            *_leaky(4 * width, 8 * width, kernel=4),
        )
        self._encoder = ["img_code_s16"]
        for halving in range(1, scale + 1):
            channels = 8 * width * 2 ** (halving - 1)
            self._append(f"img_code_s{16 * 2**halving}", channels, 2 * channels, kernel=4)
        for narrowing in range(1, scale + 1):
            channels = 8 * width * 2 ** (scale - narrowing)
            self._append(f"img_code_s{16 * 2**scale}_{narrowing}", 2 * channels, channels, kernel=3)
        self.logits = nn.Sequential(nn.Conv2d(8 * width, 1, kernel_size=4, stride=4), nn.Sigmoid())

    def _append(self, name: str, channels_in: int, channels_out: int, *, kernel: int) -> None:
        self.add_module(name, nn.Sequential(*_leaky(channels_in, channels_out, kernel=kernel)))
        self._encoder.append(name)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (batch, 3, s, s) → codes (batch, 8 · width, 4, 4)."""
        for name in self._encoder:
            pictures = self.get_submodule(name)(pictures)
        return pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (batch, 3, s, s) in [-1, 1] → logits (batch,); the score is their sigmoid."""
        convolution = self.logits[0]
        return convolution(self.encode(pictures)).flatten()
