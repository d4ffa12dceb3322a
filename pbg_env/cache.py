"""Numbers that cost seconds to compute, kept on disk between processes."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cache_folder() -> Path:
    """`$PBG_CACHE`, or the user's cache folder by the custom of the system."""
    if "PBG_CACHE" in os.environ:
        return Path(os.environ["PBG_CACHE"])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pbg_env"


def _name(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(content).to_bytes(8, "little") + content)
    return f"{digest.hexdigest()[:40]}.npy"


def cached(*parts: str | bytes, shipped: Path | None = None) -> NDArray[Any] | None:
    """What was stored under these parts, or None; a damaged file counts as none.

    Args:
        parts: that name it.
        shipped: a cache's folder that comes with some code, and is looked in first.
    """
    name = _name(*parts)
    for folder in filter(None, (shipped, cache_folder())):
        with suppress(OSError, ValueError, EOFError):
            return np.load(folder / name, allow_pickle=False)
    return None


def store(value: NDArray[Any], *parts: str | bytes) -> None:
    """Stores under these parts; where nothing can be written, warns and goes on without."""
    path = cache_folder() / _name(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for every writer, threads of one process too.
        with NamedTemporaryFile(dir=path.parent, suffix=".unfinished", delete=False) as unfinished:
            np.save(unfinished, value, allow_pickle=False)
        # Temporary files are for their owner alone; the cache may be shared.
        mask = os.umask(0)
        os.umask(mask)
        Path(unfinished.name).chmod(0o666 & ~mask)
        Path(unfinished.name).replace(path)
    except OSError as error:
        warnings.warn(
            f"cannot write to the cache {path.parent} ({error}); set PBG_CACHE to another folder", stacklevel=2
        )
