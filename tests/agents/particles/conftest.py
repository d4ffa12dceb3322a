"""Preparations on fewer samples, which take a fraction of the time."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import pytest

from agents.particles import surrogate
from agents.posterior import surroundings

# What these tests have prepared, of the generators that they share.
_PREPARED = {module: WeakKeyDictionary[Any, Any]() for module in (surroundings, surrogate)}


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_POOL", 300)
    # What other tests have prepared has more.
    for module, known in _PREPARED.items():
        monkeypatch.setattr(module, "_known", known)
