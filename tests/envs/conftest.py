"""Every id of the registry, and arguments that make its environments small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import pbg_env  # noqa: F401  # registers the ids

IDS = sorted(name for name in gym.registry if name.startswith("PBG-"))
Arguments = Callable[[str], dict[str, Any]]


def is_pairs(name: str) -> bool:
    return "-Pairs-" in name


@pytest.fixture(scope="session")
def of_id(checkpoint: Callable[..., Path]) -> Arguments:
    """Arguments by id, of plain data: pictures come from a small generator's checkpoint."""
    small = {"generator": str(checkpoint())}
    return lambda name: dict(small) if "StackGANv2" in name else {}
