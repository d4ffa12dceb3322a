import numpy as np
import torch

from pbg_env import NOISE_BOUND, noise_to_unit, sample_noise, unit_to_noise
from pbg_env.noise import sample_noise_tensor


def test_unit_maps_to_the_truncated_normal_and_back() -> None:
    unit = np.linspace(-1, 1, 2001)
    noise = unit_to_noise(unit)
    assert noise.dtype == np.float32
    assert noise[0] == -NOISE_BOUND
    assert noise[-1] == NOISE_BOUND
    assert noise[1000] == 0
    assert (np.diff(noise) > 0).all()
    np.testing.assert_allclose(noise_to_unit(noise), unit, atol=1e-6)


def test_even_draws_become_draws_from_the_prior(rng: np.random.Generator) -> None:
    noise = unit_to_noise(rng.uniform(-1, 1, 200_000))
    # The truncated normal's standard deviation is 0.9995; three standard errors.
    assert abs(noise.std() - 0.9995) < 3 / np.sqrt(2 * 200_000)
    assert abs(noise.mean()) < 3 / np.sqrt(200_000)


def test_prior_stays_within_its_bound_and_follows_its_seed() -> None:
    noise = sample_noise((1000, 100), np.random.default_rng(5))
    assert noise.shape == (1000, 100)
    assert np.abs(noise).max() <= NOISE_BOUND
    np.testing.assert_array_equal(noise, sample_noise((1000, 100), np.random.default_rng(5)))
    assert abs(np.linalg.norm(noise, axis=1).mean() - 10) < 0.1


def test_tensor_draws_have_the_same_distribution() -> None:
    noise = sample_noise_tensor(2000, 100, torch.Generator().manual_seed(1))
    assert noise.dtype == torch.float32
    assert noise.abs().max() <= NOISE_BOUND
    assert abs(float(noise.std()) - 0.9995) < 3 / np.sqrt(2 * 200_000)
