"""The Bayesian ideal point: its geometry, its posterior, and what an answer would tell it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.reference.memory import Dataset
from agents.reference.reward import IdealPoint
from agents.reference.reward.features import PrincipalComponents
from agents.reference.reward.logistic import elliptical_slices, laplace
from pbg_env import ImageMedium, sample_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator


def answered(pairs: np.ndarray, labels: np.ndarray) -> Dataset:
    return Dataset(pairs, labels, np.zeros(len(pairs), np.float32))


class TestIdealPoint:
    def test_components_measure_the_error_of_media(self, generator: StackGANGenerator) -> None:
        """With all directions kept, lengths among components are root mean squared errors among media."""
        components = PrincipalComponents.of(generator, 1000)
        noise = generator.sample_noise(20, np.random.default_rng(1))
        found = torch.cdist(components.of_noise(noise), components.of_noise(noise)).square()
        media = generator.generate(noise).flatten(1)
        expected = torch.cdist(media, media).square() / media.shape[1]
        assert float((found - expected).abs().max() / expected.max()) < 0.05

    def test_posterior_agrees_with_brute_force_in_one_dimension(self) -> None:
        slopes, offsets = np.array([[2.0], [-1.0], [0.5]]), np.array([0.3, 0.0, -0.2])
        weights = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
        variances = np.array([0.7])
        grid = np.linspace(-6, 6, 200_001)
        logits = slopes @ grid[None] + offsets[:, None]
        log = -(weights[:, :1] * np.logaddexp(0, -logits) + weights[:, 1:] * np.logaddexp(0, logits)).sum(axis=0)
        density = np.exp(log - grid**2 / (2 * 0.7)) / np.sqrt(2 * np.pi * 0.7)
        mode, evidence = laplace(slopes, offsets, weights, variances, np.zeros(1))
        assert mode[0] == pytest.approx(grid[density.argmax()], abs=1e-3)
        # Laplace's approximation is near, not exact; the samples are, up to their number.
        assert evidence == pytest.approx(np.log(density.sum() * (grid[1] - grid[0])), abs=0.05)
        samples = elliptical_slices(slopes, offsets, weights, variances, mode, 4000, np.random.default_rng(0))
        mean = (grid * density).sum() / density.sum()
        deviation = np.sqrt((density * (grid - mean) ** 2).sum() / density.sum())
        assert samples.shape == (4000, 1)
        assert samples.mean() == pytest.approx(mean, abs=0.05)
        assert samples.std() == pytest.approx(deviation, rel=0.05)

    def test_learns_where_the_target_is(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        target = generator.sample_noise(1, rng)
        noise = generator.sample_noise(200, rng)
        distance = (generator.generate(noise) - generator.generate(target)).square().flatten(1).mean(dim=1).view(100, 2)
        labels = np.eye(2, dtype=np.float32)[distance.argmin(dim=1).numpy()]
        assert model.fit(answered(noise.view(100, 2, 6).numpy(), labels), noise[0].numpy())["preference_loss"] < 0.3
        fresh = generator.sample_noise(400, rng)
        wanted = -(generator.generate(fresh) - generator.generate(target)).square().flatten(1).mean(dim=1)
        assert np.corrcoef(model.rate(fresh).numpy(), wanted.numpy())[0, 1] > 0.9

    def test_both_bad_says_nothing_about_the_order(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=4)
        model.reset(generator, rng)
        noise = generator.sample_noise(20, rng).view(10, 2, 6).numpy()
        assert model.fit(answered(noise, np.zeros((10, 2), np.float32)), noise[0, 0]) == {}

    def test_information_is_within_a_bit_and_falls_with_answers(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        noise = generator.sample_noise(40, rng)
        first, second = np.arange(0, 40, 2), np.arange(1, 40, 2)
        before = model.information(noise, first, second)
        assert (before > 0).all()
        assert (before < 1).all()
        np.testing.assert_allclose(model.information(noise, second, first), before, atol=1e-9)
        labels = np.eye(2, dtype=np.float32)[np.zeros(20, int)]
        model.fit(answered(noise.view(20, 2, 6).numpy(), labels), noise[0].numpy())
        assert model.information(noise, first, second).mean() < before.mean()

    def test_rating_without_gradients_is_the_same_rating(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        noise = generator.sample_noise(5, rng)
        with torch.no_grad():
            remembered = model.rate(noise)
        torch.testing.assert_close(remembered, model.rate(noise), rtol=1e-4, atol=1e-5)

    def test_both_bad_may_mean_worse_than_the_incumbent(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        noise = generator.sample_noise(21, rng).numpy()
        pairs, incumbent = noise[:20].reshape(10, 2, 6), noise[20]
        data = Dataset(pairs, np.zeros((10, 2), np.float32), np.ones(10, np.float32))
        model = IdealPoint(components=6, both_bad="incumbent")
        model.reset(generator, rng)
        assert model.fit(data, incumbent)["preference_loss"] < 0.5
        rated = model.rate(torch.from_numpy(noise))
        assert (rated[20] > rated[:20]).float().mean() > 0.8

    def test_media_of_few_directions_have_few_components(self, rng: np.random.Generator) -> None:
        """What lies beyond their rank is rounding, in which no answer can be told from another."""
        components = PrincipalComponents.of(generator := Flat(), 600)
        assert components.width == 2
        model = IdealPoint(components=600)
        model.reset(generator, rng)
        noise = generator.sample_noise(40, rng).view(20, 2, 3).numpy()
        labels = np.eye(2, dtype=np.float32)[noise[..., 0].argmax(axis=1)]
        assert model.fit(answered(noise, labels), None)["preference_loss"] < 0.5


class Flat:
    """Noise of three values, of which media show two."""

    noise_dim = 3
    media = ImageMedium(4)
    device = torch.device("cpu")

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        low, high = torch.sigmoid(noise[:, 0]), torch.sigmoid(noise[:, 1])
        shade = torch.stack((low, high), dim=1).repeat_interleave(8, dim=1).view(-1, 1, 4, 4)
        return shade.expand(-1, 3, -1, -1)

    def sample_noise(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(sample_noise((count, 3), rng))
