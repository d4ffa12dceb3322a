"""Generators and discriminators that the environments of a process share."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path

from pbg_env.generators.base import Discriminator, Generator
from pbg_env.generators.loading import load_discriminator, load_generator
from pbg_env.importing import demand_members


@lru_cache(maxsize=8)
def _loaded_generator(source: str, scale: int, device: str, version: Hashable) -> Generator:
    del version
    return load_generator(source, scale=scale, device=device)


@lru_cache(maxsize=8)
def _loaded_discriminator(source: str, scale: int, device: str, version: Hashable) -> Discriminator:
    del version
    return load_discriminator(source, scale=scale, device=device)


def _version(source: str) -> Hashable:
    """Tells a file from one that is written in its place, or that has its name in another folder."""
    path = Path(source)
    if not path.is_file():
        return None
    state = path.stat()
    return path.resolve(), state.st_mtime_ns, state.st_size


def shared_discriminator(source: str | Path, scale: int, device: str) -> Discriminator:
    """The discriminator of a source, loaded once; raises as `load_discriminator`."""
    return _loaded_discriminator(str(source), scale, device, _version(str(source)))


def shared_generator(source: str | Path | Generator, scale: int, device: str) -> Generator:
    """The generator of a source, loaded once, or one of the user's own as it is.

    Raises:
        ValueError: as `load_generator`, or the object is no generator.
        FileNotFoundError: no such checkpoint.
    """
    if isinstance(source, (str, Path)):
        return _loaded_generator(str(source), scale, device, _version(str(source)))
    if scale != -1 or device != "auto":
        raise ValueError(
            f"scale is {scale} and device {device!r}, but the generator, a {type(source).__name__}, has its own; "
            f"leave both out"
        )
    demand_members(source, "the generator", Generator)
    if type(source).__hash__ is None:
        raise ValueError(
            f"the generator, a {type(source).__name__}, cannot be hashed; make a dataclass of it with eq=False"
        )
    return source
