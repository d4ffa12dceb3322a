"""Finds a generator or a discriminator by name, file or function."""

from __future__ import annotations

from pathlib import Path

import torch

from pbg_env.generators.base import Discriminator, Generator, resolve_device
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from pbg_env.generators.stackgan_v2.networks import scale_size
from pbg_env.generators.tones import ToneGenerator
from pbg_env.importing import made_by

_ASSETS = Path(__file__).resolve().parent.parent / "assets"
_FILES = (".pth", ".pt", ".safetensors")

EMBEDDED = {"avatars": 1}
"""The models in the package that have a discriminator of the same name, with the number of their scales."""

TONES = "tones"
"""The synthesiser in the package, which has no weights and no discriminator."""


def load_generator(
    source: str | Path = "avatars",
    *,
    config: str | Path | None = None,
    scale: int = -1,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Generator:
    """Loads a generator: one of the package, a StackGAN-v2 trained without conditions, or one of your own.

    Args:
        source: "avatars", "tones", a `netG_*.pth` of the published code, a `.safetensors` file, or "module:function",
            a function that is called without arguments and returns a `Generator`.
        config: the published YAML configuration, checked against the checkpoint; for checkpoints alone.
        scale: 0 to 3 for pictures of 64, 128, 256, 512 px; −1 for the largest the checkpoint has. What is no
            StackGAN-v2 has scale 0 alone, or −1.
        device: "auto" (CUDA where there is one), "cpu", "cuda", …; a function of your own chooses for itself.
        dtype: of the weights, the noise and the media; a function of your own chooses for itself.

    Raises:
        ValueError: unknown name, scale or device, the file is no such generator (`CheckpointError`), or the function
            cannot be imported or returns something else.
        FileNotFoundError: no such file.
    """
    if source == TONES:
        _no_stackgan(source, config, scale)
        return ToneGenerator(resolve_device(device), dtype)
    if _names_a_function(source):
        _no_stackgan(source, config, scale)
        return made_by(str(source), "generator", Generator)
    path = _ASSETS / f"{source}_generator.safetensors" if source in EMBEDDED else _file(source, "generator")
    return StackGANGenerator.load(path, _path(config), scale, resolve_device(device), dtype)


def load_discriminator(
    source: str | Path = "avatars",
    *,
    config: str | Path | None = None,
    scale: int = -1,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Discriminator:
    """Loads a discriminator: the embedded one, a StackGAN-v2 trained without conditions, or one of your own.

    Args:
        source: "avatars", a `netD*.pth` of the published code, a `.safetensors` file, or "module:function", a function
            that is called without arguments and returns a `Discriminator`.
        config: the published YAML configuration, checked against the checkpoint; for checkpoints alone.
        scale: of an embedded model, as for `load_generator`; of a file, which holds one scale, that scale or −1; of
            your own, 0 or −1.
        device: "auto" (CUDA where there is one), "cpu", "cuda", …; a function of your own chooses for itself.
        dtype: of the weights and the pictures; a function of your own chooses for itself.

    Raises:
        ValueError: unknown name, scale or device, the file is no such discriminator (`CheckpointError`), or the
            function cannot be imported or returns something else.
        FileNotFoundError: no such file.
    """
    if source == TONES:
        raise ValueError(f"{TONES!r} is a synthesiser and has no discriminator; leave the discriminator out")
    if _names_a_function(source):
        _no_stackgan(source, config, scale)
        return made_by(str(source), "discriminator", Discriminator)
    if source in EMBEDDED:
        scales = EMBEDDED[str(source)]
        if not -1 <= scale < scales:
            raise ValueError(f"scale {scale} asked for, but {source!r} has the scales 0 to {scales - 1}, or -1")
        path = _ASSETS / f"{source}_discriminator_{scale_size(scale % scales)}.safetensors"
    else:
        path = _file(source, "discriminator")
    return StackGANDiscriminator.load(path, _path(config), scale, resolve_device(device), dtype)


def _no_stackgan(source: str | Path, config: str | Path | None, scale: int) -> None:
    """Refuses what only a StackGAN-v2 has."""
    if scale not in (-1, 0):
        raise ValueError(f"scale {scale} asked for, but {str(source)!r} has the scale 0 alone, or -1")
    if config is not None:
        raise ValueError(f"config {str(config)!r} given, but {str(source)!r} is no checkpoint; leave it out")


def _names_a_function(source: str | Path) -> bool:
    """Whether this reads "module:function"; a file, such as one on a drive of Windows, is a file first."""
    if not isinstance(source, str) or Path(source).suffix.lower() in _FILES or Path(source).is_file():
        return False
    module, _, function = source.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), function))


def _file(source: str | Path, what: str) -> Path:
    path = Path(source)
    if path.suffix.lower() not in _FILES and not path.is_file():
        names = [*EMBEDDED, TONES] if what == "generator" else EMBEDDED
        raise ValueError(
            f"unknown {what} {str(source)!r}; expected the name of an embedded model ({', '.join(names)}), a file "
            f"({', '.join('*' + suffix for suffix in _FILES)}) or 'module:function'"
        )
    return path


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
