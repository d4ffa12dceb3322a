"""Generators and discriminators that the environments of a process share."""

from __future__ import annotations

from functools import lru_cache

from pbg_env.generators.base import Discriminator, Generator
from pbg_env.generators.loading import load_discriminator, load_generator


@lru_cache(maxsize=8)
def _loaded_generator(source: str, scale: int, device: str) -> Generator:
    return load_generator(source, scale=scale, device=device)


@lru_cache(maxsize=8)
def shared_discriminator(source: str, scale: int, device: str) -> Discriminator:
    """The discriminator of a source, loaded once; as `load_discriminator`."""
    return load_discriminator(source, scale=scale, device=device)


def shared_generator(source: str | Generator, scale: int, device: str) -> Generator:
    """The generator of a source, loaded once, or one of the user's own as it is.

    Raises:
        ValueError: as `load_generator`, or the object is no generator.
        FileNotFoundError: no such checkpoint.
    """
    if isinstance(source, str):
        return _loaded_generator(source, scale, device)
    members = ("noise_dim", "media", "device", "generate", "sample_noise")
    missing = [name for name in members if not hasattr(source, name)]
    if missing:
        raise ValueError(
            f"the generator, a {type(source).__name__}, lacks {', '.join(missing)}; expected a name, a file, or an "
            f"object with the members of pbg_env.Generator"
        )
    if type(source).__hash__ is None:
        raise ValueError(
            f"the generator, a {type(source).__name__}, cannot be hashed; make a dataclass of it with eq=False"
        )
    return source
