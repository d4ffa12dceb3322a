"""What of code and files the result of a search depends on, as hashes."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pbg_env

_LENGTH = 24
_WEIGHTS = "*.safetensors"
_PACKAGE = Path(str(pbg_env.__file__)).parent
# What no search with a simulated user runs.
_APART = ("conformance.py", "generators/stackgan_v2/training/", "web/")


def sources(settings: Any) -> str:
    """Hash of the code that a search runs and of the weights beside it, as this process first saw them.

    That is `pbg_env` with its embedded weights (but for training, the person's page and the conformance tests), the
    search itself, and the modules that the settings name by import path ("module.Class", "module:function"), with all
    of the project's and the user's own that these import. What changes elsewhere leaves results valid.

    Args:
        settings: plain data, nested.
    """
    # Named without the folder of the checkout, of which there may be several.
    paths = [path for pattern in ("*.py", _WEIGHTS) for path in _PACKAGE.rglob(pattern)]
    named = {path.relative_to(_PACKAGE).as_posix(): path for path in paths}
    files = {name: path for name, path in named.items() if not name.startswith(_APART)}
    for root in {"benchmarks.cell", *_named_modules(settings)}:
        for module, path in _reached(root).items():
            files[module] = path
            files |= {f"beside {module}: {weights.name}": weights for weights in _weights_beside(path)}
    text = "".join(f"{name} {_seen_hash(path)}\n" for name, path in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def named_files(settings: Any) -> dict[str, str]:
    """Hashes of the files and folders that settings name, as in "vit:FOLDER"."""
    found = {}
    for text in _texts(settings):
        paths = [Path(name) for name in (text, text.partition(":")[2]) if name]
        found.update({str(path): file_hash(path) for path in paths if path.exists()})
    return found


def file_hash(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        named = "".join(f"{file.relative_to(path).as_posix()} {file_hash(file)}\n" for file in inside)
        return hashlib.sha256(named.encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


_seen_hash = cache(file_hash)


def _texts(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _texts(value)
    elif isinstance(settings, str):
        yield settings


def _named_modules(settings: Any) -> Iterator[str]:
    for text in _texts(settings):
        for name in (text.partition(":")[0], text.rpartition(".")[0]):
            if _module_file(name) is not None:
                yield name


@cache
def _reached(module: str) -> dict[str, Path]:
    """A module and all that it imports, directly or not, with their files, but for libraries and `pbg_env`."""
    found: dict[str, Path] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name in found or (path := _module_file(name)) is None:
            continue
        found[name] = path
        ahead += [name.rpartition(".")[0], *_imports(name, path)]
    return found


def _imports(module: str, path: Path) -> Iterator[str]:
    """Names that may be modules, wherever in the code they are imported."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _module_file(name: str) -> Path | None:
    """The source of a module that is neither a library's nor of `pbg_env`."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        return None
    if name.partition(".")[0] in {"pbg_env", *sys.stdlib_module_names}:
        return None
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    return None if {"site-packages", "dist-packages"} & set(path.parts) else path


def _weights_beside(path: Path) -> Iterator[Path]:
    """In the folder of a module, and in folders below it that hold no code."""
    yield from path.parent.glob(_WEIGHTS)
    for folder in path.parent.iterdir():
        if folder.is_dir() and not any(folder.glob("*.py")):
            yield from folder.glob(_WEIGHTS)
