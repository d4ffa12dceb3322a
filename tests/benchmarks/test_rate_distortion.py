"""The reference curve against cases that can be worked out, and against a search for the best rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from benchmarks import rate_distortion
from benchmarks.rate_distortion import distortion, entropy, noise_spectrum, reference_scores, spectrum
from pbg_env import load_generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator


def test_distortion_of_one_component_falls_by_four_for_each_bit() -> None:
    np.testing.assert_allclose(distortion(np.array([8.0]), [0, 1, 2, 3]), [8, 2, 0.5, 0.125])


def test_equal_components_share_the_bits() -> None:
    np.testing.assert_allclose(distortion(np.full(10, 3.0), [0, 10, 20]), [30, 30 / 4, 30 / 16])


def test_water_filling_by_hand() -> None:
    """Of 16 and 1: two bits take the first down to 1; from there on both fall together."""
    found = distortion(np.array([16.0, 1.0, 0.0]), [0, 1, 2, 4, 6])
    np.testing.assert_allclose(found, [17, 4 + 1, 1 + 1, 2 / 4, 2 / 16])


def test_no_other_rates_do_better() -> None:
    variances = np.array([5.0, 2.0, 1.0, 0.3])
    for bits in (0.5, 2.0, 5.0):
        found = minimize(
            lambda rates: (variances * 4.0**-rates).sum(),
            np.full(4, bits / 4),
            bounds=[(0, None)] * 4,
            constraints={"type": "eq", "fun": lambda rates, bits=bits: rates.sum() - bits},
        )
        assert distortion(variances, bits) == pytest.approx(found.fun, rel=1e-5)


def test_reference_begins_with_the_mean_picture_and_ends_with_the_target() -> None:
    scores = reference_scores(np.array([2.0, 1.0, 0.5]), np.arange(40))
    assert scores[0] == pytest.approx(1 - np.sqrt(0.5))
    assert (np.diff(scores) > 0).all()
    assert scores[-1] == pytest.approx(1, abs=1e-3)
    assert reference_scores(np.array([4.0]), 1.0) == pytest.approx(1 - np.sqrt(0.5) / 2)


def test_spectrum_is_that_of_the_covariance(generator: StackGANGenerator) -> None:
    found = spectrum(generator, 40)
    noise = generator.sample_noise(40, np.random.default_rng(2048))
    pictures = generator.generate(noise).flatten(1).double().numpy()
    singular = np.linalg.svd(pictures - pictures.mean(axis=0), compute_uv=False)
    assert found.shape == (39,)
    np.testing.assert_allclose(found, singular[:39] ** 2 / 39 / pictures.shape[1], rtol=1e-3, atol=1e-9)
    assert found.sum() == pytest.approx(pictures.var(axis=0, ddof=1).mean(), rel=1e-5)


def test_score_of_the_mean_picture_is_that_of_no_bits() -> None:
    """Up to the difference between means of distances and roots of means of squares."""
    generator = load_generator("avatars", device="cpu")
    with torch.no_grad():
        pictures = generator.generate(generator.sample_noise(200, np.random.default_rng(1))).flatten(1)
    others = torch.cdist(pictures, pictures).sum(dim=1) / (len(pictures) - 1)
    from_mean = (pictures - pictures.mean(dim=0)).norm(dim=1)
    assert (1 - from_mean / others).mean().item() == pytest.approx(reference_scores(np.ones(3), 0), abs=0.01)


def test_the_spectrum_of_noise_is_what_errors_in_it_do() -> None:
    tones = load_generator("tones")
    rng = np.random.default_rng(0)
    found = noise_spectrum(tones)
    assert found.shape == (tones.noise_dim,)
    assert (np.diff(found) <= 0).all()
    noise = tones.sample_noise(400, rng)
    with torch.no_grad():
        before, after = (
            tones.media.features(tones.generate(at))
            for at in (noise, noise + 0.02 * torch.from_numpy(rng.standard_normal(noise.shape).astype(np.float32)))
        )
    # Of a step along each direction, the squared change of a feature is in sum the trace of M.
    assert (after - before).double().square().mean().item() / 0.02**2 == pytest.approx(found.sum(), rel=0.3)


def test_spectrum_is_made_once(generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    first = spectrum(generator, 20)

    def refuse(*_: object) -> None:
        raise AssertionError("pictures were made again")

    monkeypatch.setattr(rate_distortion, "_sample", refuse)
    np.testing.assert_array_equal(spectrum(generator, 20), first)
    with pytest.raises(AssertionError, match="made again"):
        spectrum(generator, 21)


class Nameless:
    """A generator without weights to name it by, whose pictures the noise is."""

    class media:
        shape = (3,)

    def sample_noise(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=(count, 3)))

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        return noise * torch.tensor([3.0, 2.0, 1.0])


def test_spectrum_of_what_has_no_name(cache_folder: object) -> None:
    found = spectrum(Nameless(), 1000)  # type: ignore[arg-type]
    np.testing.assert_allclose(found[:3], np.array([9, 4, 1]) / 3, rtol=0.2)
    assert found[3:].max() < 1e-5


def test_entropy_by_hand() -> None:
    assert entropy([5, 5, 0, 0]) == 1
    assert entropy([2, 2, 2, 2]) == 2
    assert entropy([1, 3]) == pytest.approx(2 - 0.75 * np.log2(3))
    assert entropy([7, 0, 0, 0]) == entropy([0, 0, 0, 0]) == 0


@pytest.mark.parametrize(
    ("eigenvalues", "bits", "message"),
    [
        (np.array([1.0, 2.0]), 1, "descending"),
        (np.array([1.0, -1.0]), 1, "at least 0"),
        (np.array([np.nan]), 1, r"eigenvalues \(components,\)"),
        (np.ones((2, 2)), 1, r"eigenvalues \(components,\)"),
        (np.zeros(3), 1, "all eigenvalues are 0"),
        (np.ones(3), -1, "bits are negative"),
        (np.ones(3), np.inf, "not finite"),
    ],
)
def test_what_is_no_spectrum_or_rate_is_refused(eigenvalues: np.ndarray, bits: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distortion(eigenvalues, bits)


def test_other_input_is_refused(generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match="covariance of 1 pictures was asked for; expected at least 2"):
        spectrum(generator, 1)
    for counts in ([[1, 2]], [-1, 2], [np.nan]):
        with pytest.raises(ValueError, match=r"counts are .* expected"):
            entropy(counts)
