"""Tests that any generator, medium and oracle should pass, to be inherited in a test file of your own:

    class TestMine(GeneratorConformance):
        def make_generator(self):
            return MyGenerator()

Each method is one promise that the environments rely on; pytest collects them with the subclass.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pbg_env.generators.base import Generator
from pbg_env.media import Medium, as_perceived
from pbg_env.noise import NOISE_BOUND
from pbg_env.oracles.base import Oracle, OracleWithUtility
from pbg_env.preference import Preference

_SWAPPED = np.array([Preference.SECOND, Preference.FIRST, Preference.BOTH_GOOD, Preference.BOTH_BAD])


class GeneratorConformance(ABC):
    """What a `Generator` promises, and its medium with it."""

    tolerance = 1e-4
    """How far media may differ by the batch that they are made in."""

    @abstractmethod
    def make_generator(self) -> Generator:
        """The generator to be tested; called for every test."""

    def _made(self, count: int = 4) -> tuple[Generator, Tensor, Tensor]:
        """A generator, noise (count, noise_dim) from its prior, and the media (count, *shape)."""
        generator = self.make_generator()
        noise = generator.sample_noise(count, np.random.default_rng(0))
        with torch.no_grad():
            return generator, noise, generator.generate(noise)

    def test_it_has_the_members(self) -> None:
        generator = self.make_generator()
        assert isinstance(generator, Generator), "members are missing; see pbg_env.Generator"
        assert isinstance(generator.media, Medium), "media is no Medium; see pbg_env.Medium"
        assert generator.noise_dim >= 1
        hash(generator)

    def test_noise_comes_from_the_prior_and_the_given_stream_alone(self) -> None:
        generator = self.make_generator()
        noise = generator.sample_noise(5, np.random.default_rng(1))
        assert noise.shape == (5, generator.noise_dim)
        assert noise.device.type == generator.device.type
        assert noise.abs().max() <= NOISE_BOUND
        before = torch.get_rng_state()
        assert torch.equal(noise, generator.sample_noise(5, np.random.default_rng(1))), "one seed gave two samples"
        assert torch.equal(before, torch.get_rng_state()), "the global stream of torch was drawn from"
        many = generator.sample_noise(2000, np.random.default_rng(2)).float()
        # Six standard errors: by chance once in many millions.
        bound = 6 / many.numel() ** 0.5
        assert abs(float(many.mean())) < bound, "the noise has not the mean of the prior, 0"
        assert abs(float(many.std()) - 1) < bound, "the noise has not the spread of the prior, 1"

    def test_media_have_the_stated_shape_and_range(self) -> None:
        generator, _, media = self._made()
        assert media.shape == (4, *generator.media.shape)
        assert media.is_floating_point()
        assert media.device.type == generator.device.type
        assert torch.isfinite(media).all()
        assert media.min() >= 0, "values below 0; they are always within [0, 1]"
        assert media.max() <= 1, "values above 1; they are always within [0, 1]"

    def test_the_corners_of_the_noise_give_media_too(self) -> None:
        generator = self.make_generator()
        corners = NOISE_BOUND * torch.tensor([[-1.0], [1.0]]).expand(2, generator.noise_dim)
        media = generator.generate(corners.to(generator.device))
        assert torch.isfinite(media).all()
        assert media.min() >= 0
        assert media.max() <= 1

    def test_it_is_deterministic(self) -> None:
        generator, noise, media = self._made()
        assert torch.equal(generator.generate(noise), media), "the same noise gave other media"

    def test_each_medium_is_a_function_of_its_own_noise_alone(self) -> None:
        generator, noise, media = self._made()
        alone = torch.cat([generator.generate(part) for part in noise.split(1)])
        difference = float((alone - media).abs().max().detach())
        assert difference <= self.tolerance, f"a medium made alone differs by {difference} from that made in a batch"

    def test_different_noise_gives_different_media(self) -> None:
        _, _, media = self._made()
        assert (media[0] - media[1]).abs().max() > 0

    def test_it_is_differentiable(self) -> None:
        generator, noise, _ = self._made()
        noise = noise.clone().requires_grad_(True)
        media = generator.generate(noise)
        weights = torch.from_numpy(np.random.default_rng(3).standard_normal(media.shape)).to(media)
        (gradient,) = torch.autograd.grad((media * weights).sum(), noise)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs().sum(dim=1) > 0).all(), "the media do not depend on the noise, by the gradient"

    def test_frames_are_pictures_of_one_size(self) -> None:
        generator, _, media = self._made()
        frames = [generator.media.frame(medium) for medium in media]
        assert all(frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 for frame in frames)
        blank = generator.media.frame(torch.zeros(generator.media.shape))
        assert {frame.shape for frame in frames} == {blank.shape}

    def test_a_saved_medium_is_read_as_it_was_perceived(self) -> None:
        generator, _, media = self._made()
        shown = as_perceived(generator.media, media)[0].cpu()
        with tempfile.TemporaryDirectory() as folder:
            path = generator.media.save(shown, Path(folder) / "medium")
            assert path.is_file(), "save() returns where the file stands"
            read = generator.media.read(path)
        assert read.shape == generator.media.shape
        assert float((read - shown).abs().max()) <= 1 / generator.media.levels

    def test_an_array_is_read_as_a_medium(self) -> None:
        generator, _, media = self._made()
        read = generator.media.read(media[0].float().cpu().numpy())
        assert torch.allclose(read, media[0].float().cpu(), atol=1e-6)

    def test_features_describe_each_medium_and_are_differentiable(self) -> None:
        generator, noise, media = self._made()
        features = generator.media.features(media)
        assert features.ndim == 2
        assert len(features) == len(media)
        assert torch.isfinite(features).all()
        noise = noise.clone().requires_grad_(True)
        described = generator.media.features(generator.generate(noise))
        (gradient,) = torch.autograd.grad(described.square().sum(), noise)
        assert torch.isfinite(gradient).all()


class OracleConformance(ABC):
    """What an `Oracle` promises, with or without a utility."""

    repetitions = 400
    """How often each pair is asked where answers are left to chance."""

    @abstractmethod
    def make_oracle(self) -> Oracle:
        """The oracle to be tested; called for every test."""

    @abstractmethod
    def make_media(self, count: int, rng: np.random.Generator) -> Tensor:
        """Media (count, *shape) of the kind that the oracle is asked about."""

    def _pairs(self, count: int = 8) -> tuple[Oracle, Tensor, Tensor]:
        media = self.make_media(2 * count, np.random.default_rng(0))
        return self.make_oracle(), media[:count], media[count:]

    def test_answers_are_preferences(self) -> None:
        oracle, first, second = self._pairs()
        assert isinstance(oracle, Oracle), "it has no method compare; see pbg_env.Oracle"
        for count in (8, 1):
            answers = np.asarray(oracle.compare(first[:count], second[:count], np.random.default_rng(1)))
            assert answers.shape == (count,)
            assert np.issubdtype(answers.dtype, np.integer)
            assert np.isin(answers, list(Preference)).all(), "answers that are no Preference, 0 to 3"

    def test_chance_comes_from_the_given_stream_alone(self) -> None:
        oracle, first, second = self._pairs()
        before = torch.get_rng_state()
        one, other = (oracle.compare(first, second, np.random.default_rng(1)) for _ in range(2))
        assert np.array_equal(one, other), "one seed gave two sets of answers"
        assert torch.equal(before, torch.get_rng_state()), "the global stream of torch was drawn from"

    def test_media_are_left_as_they_are(self) -> None:
        oracle, first, second = self._pairs()
        copies = first.clone(), second.clone()
        oracle.compare(first, second, np.random.default_rng(1))
        assert torch.equal(first, copies[0])
        assert torch.equal(second, copies[1])

    def test_left_and_right_carry_no_information(self) -> None:
        oracle, first, second = self._pairs()
        rng = np.random.default_rng(1)
        straight, swapped = np.zeros((2, len(first), len(Preference)))
        for _ in range(self.repetitions):
            straight[np.arange(len(first)), oracle.compare(first, second, rng)] += 1
            swapped[np.arange(len(first)), _SWAPPED[oracle.compare(second, first, rng)]] += 1
        share = (straight + swapped) / (2 * self.repetitions)
        deviation = np.sqrt(2 * share * (1 - share) / self.repetitions)
        difference = np.abs(straight - swapped) / self.repetitions
        # Six standard deviations: by chance once in many millions.
        assert (difference <= 6 * deviation + 1e-9).all(), "exchanging the media of a pair changes what is preferred"

    def test_a_utility_is_noiseless_and_orders_the_answers(self) -> None:
        oracle, first, second = self._pairs()
        if not isinstance(oracle, OracleWithUtility):
            return
        media = torch.cat((first, second))
        with torch.no_grad():
            utilities = oracle.utility(media)
            again = oracle.utility(media)
        assert utilities.shape == (len(media),)
        assert torch.isfinite(utilities).all()
        assert torch.equal(utilities, again), "the same media have another utility when asked again"
        alone = torch.cat([oracle.utility(medium[None]).detach() for medium in media])
        assert torch.allclose(alone, utilities, atol=1e-4, rtol=1e-4), "a utility depends on the batch"
        rng = np.random.default_rng(2)
        answers = np.stack([oracle.compare(first, second, rng) for _ in range(self.repetitions)])
        towards = (answers == Preference.FIRST).mean(axis=0) - (answers == Preference.SECOND).mean(axis=0)
        better = np.sign((utilities[: len(first)] - utilities[len(first) :]).cpu().numpy())
        bound = 6 / np.sqrt(self.repetitions)
        assert (towards * better >= -bound).all(), "what has the lower utility is preferred"
