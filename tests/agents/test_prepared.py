"""What comes with the code of the embedded generator, so that nobody waits for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents import subspace
from agents.subspace import effective_directions
from pbg_env import load_generator


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_directions_of_the_embedded_generator_are_there(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_generator("avatars", device="cpu")
    monkeypatch.setattr(type(generator), "generate", lambda *_: pytest.fail("it looks at media"))
    effective_directions(generator, 64)
    assert not names(cache_folder)


def test_they_are_those_that_would_be_computed(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = effective_directions(load_generator("avatars", device="cpu"), 16)
    folder = subspace._SHIPPED
    monkeypatch.setattr(subspace, "_SHIPPED", tmp_path)
    here = effective_directions(load_generator("avatars", device="cpu"), 16)
    assert names(cache_folder) == names(folder), "other weights: move what is in the cache to agents/prepared"
    np.testing.assert_allclose(here.eigenvalues, shipped.eigenvalues, rtol=1e-3)
    np.testing.assert_allclose(here.directions, shipped.directions, atol=0.01)
