"""The directions of noise that matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents import subspace
from agents.subspace import effective_directions
from pbg_env import ModuleGenerator, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator


class Linear(torch.nn.Module):
    """Pictures whose values are a known linear function of noise."""

    def __init__(self) -> None:
        super().__init__()
        lengths = torch.tensor([0.01, 0.04, 0.0, 0.02])
        rows = torch.zeros(3 * 4 * 4, 4)
        rows[:4] = torch.diag(lengths)
        self.register_buffer("matrix", rows)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return (0.5 + noise @ self.matrix.T).reshape(-1, 3, 4, 4)


def test_a_linear_generator_has_the_directions_it_was_given() -> None:
    generator = ModuleGenerator(Linear(), noise_dim=4, output_range=(0.0, 1.0), device="cpu")
    found = effective_directions(generator, 3)
    torch.testing.assert_close(found.directions, torch.eye(4)[[1, 3, 0]], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.eigenvalues * 48, torch.tensor([0.04, 0.02, 0.01]) ** 2, atol=1e-7, rtol=1e-3)


def test_directions_are_orthonormal_and_sorted(generator: StackGANGenerator) -> None:
    found = effective_directions(generator, 6)
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(6), atol=1e-5, rtol=0)
    assert (found.eigenvalues.diff() <= 0).all()
    torch.testing.assert_close(effective_directions(generator, 2).directions, found.directions[:2])
    with pytest.raises(ValueError, match="count is 7, expected 1 to 6, the generator's noise_dim"):
        effective_directions(generator, 7)


def test_it_is_computed_once(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.subspace._known", {})
    before = effective_directions(generator, 6)
    monkeypatch.setattr("agents.subspace._known", {})
    monkeypatch.setattr("agents.subspace._features", None)
    np.testing.assert_array_equal(effective_directions(generator, 6).directions, before.directions)


def test_few_directions_hold_most_of_a_trained_generator() -> None:
    found = effective_directions(load_generator("avatars", device="cpu"), 100)
    shares = found.eigenvalues.cumsum(0) / found.eigenvalues.sum()
    assert shares[9] > 0.7
    assert shares[29] > 0.98


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
