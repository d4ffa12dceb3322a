"""Preparations on fewer samples, which take a tenth of the time."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pytest

from agents.posterior import surroundings

POOL = 300


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_POOL", POOL)
    # What other tests have prepared has more.
    monkeypatch.setattr(surroundings, "_known", WeakKeyDictionary())
