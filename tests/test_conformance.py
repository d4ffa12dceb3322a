"""Every generator and oracle in the package keeps the promises that it asks of others, and breaches are noticed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pbg_env import (
    TEACHERS,
    Generator,
    ImageMedium,
    ModuleGenerator,
    Oracle,
    PriorBank,
    TargetOracle,
    Teacher,
    UtilityOracle,
    as_perceived,
    load_generator,
    sample_noise,
)
from pbg_env.conformance import GeneratorConformance, OracleConformance
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.oracles import RandomOracle
from pbg_env.similarity import similarity_from
from tests.conftest import CPU, small_generator_network


@cache
def avatars() -> Generator:
    return load_generator()


class TestAvatars(GeneratorConformance):
    def make_generator(self) -> Generator:
        return avatars()


class TestTones(GeneratorConformance):
    def make_generator(self) -> Generator:
        return load_generator("tones")


class TestTwoScales(GeneratorConformance):
    def make_generator(self) -> Generator:
        return StackGANGenerator(small_generator_network(blocks=(1,)), -1, CPU)


class TestAdapter(GeneratorConformance):
    def make_generator(self) -> Generator:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ModuleGenerator(nn.Sequential(nn.Linear(5, 3 * 16 * 16), nn.Unflatten(1, (3, 16, 16)), nn.Tanh()))


class _OfPictures(OracleConformance):
    def make_media(self, count: int, rng: np.random.Generator) -> Tensor:
        generator = avatars()
        with torch.no_grad():
            return as_perceived(generator.media, generator.generate(generator.sample_noise(count, rng)))


class TestRandomOracle(_OfPictures):
    def make_oracle(self) -> Oracle:
        return RandomOracle()


class TestUtilityOracle(_OfPictures):
    def make_oracle(self) -> Oracle:
        bank = PriorBank.of(avatars())
        return UtilityOracle(lambda media: media.flatten(1).mean(dim=1), Teacher(beta=1.0, equal="20%"), bank)


class _OfTarget(_OfPictures):
    teacher = "oracle"

    def make_oracle(self) -> Oracle:
        generator = avatars()
        target = self.make_media(1, np.random.default_rng(9))[0]
        return TargetOracle(
            target, similarity_from("pixels", generator), TEACHERS[self.teacher], PriorBank.of(generator)
        )


TEACHER_TESTS = {
    f"TestTeacher{name.title()}": type(f"TestTeacher{name.title()}", (_OfTarget,), {"teacher": name})
    for name in TEACHERS
}
globals().update(TEACHER_TESTS)


class Honest:
    """Flat colours from three numbers of noise."""

    noise_dim = 3
    media: Any = ImageMedium(8)
    device = CPU

    def generate(self, noise: Tensor) -> Tensor:
        return noise.sigmoid()[:, :, None, None].expand(-1, -1, 8, 8)

    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(sample_noise((count, 3), rng))


class TestHonest(GeneratorConformance):
    def make_generator(self) -> Generator:
        return Honest()


class OutOfRange(Honest):
    def generate(self, noise: Tensor) -> Tensor:
        return 2 * super().generate(noise)


class Restless(Honest):
    def generate(self, noise: Tensor) -> Tensor:
        return super().generate(noise + 0.01 * torch.randn_like(noise))


class Sociable(Honest):
    def generate(self, noise: Tensor) -> Tensor:
        return super().generate(noise - noise.mean(dim=0))


class Opaque(Honest):
    def generate(self, noise: Tensor) -> Tensor:
        return super().generate(noise.detach()) + 0 * noise.sum()


class Even(Honest):
    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.uniform(-4, 4, (count, 3)).astype(np.float32))


class Seedless(Honest):
    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        return torch.randn(count, 3).clamp(-4, 4)


@pytest.mark.parametrize(
    ("breach", "test", "message"),
    [
        (OutOfRange, "test_media_have_the_stated_shape_and_range", "always within"),
        (Restless, "test_it_is_deterministic", "other media"),
        (Sociable, "test_each_medium_is_a_function_of_its_own_noise_alone", "made alone differs"),
        (Opaque, "test_it_is_differentiable", "do not depend on the noise"),
        (Even, "test_noise_comes_from_the_prior_and_the_given_stream_alone", "spread of the prior"),
        (Seedless, "test_noise_comes_from_the_prior_and_the_given_stream_alone", "one seed gave two samples"),
    ],
)
def test_breaches_of_a_generator(breach: Callable[[], Generator], test: str, message: str) -> None:
    class Suite(GeneratorConformance):
        def make_generator(self) -> Generator:
            return breach()

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()


class Lefty:
    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random(len(first)) < 0.6, 0, 1)


class Contrary:
    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> np.ndarray:
        return np.where((self.utility(first) > self.utility(second)).numpy(), 1, 0)

    def utility(self, media: Tensor) -> Tensor:
        return media.flatten(1).mean(dim=1)


class Unsure(Contrary):
    def utility(self, media: Tensor) -> Tensor:
        return super().utility(media) + torch.rand(len(media))


class Verbose:
    def compare(self, first: Tensor, second: Tensor, rng: np.random.Generator) -> np.ndarray:
        return np.full(len(first), 7)


@pytest.mark.parametrize(
    ("breach", "test", "message"),
    [
        (Lefty, "test_left_and_right_carry_no_information", "exchanging the media"),
        (Contrary, "test_a_utility_is_noiseless_and_orders_the_answers", "lower utility is preferred"),
        (Unsure, "test_a_utility_is_noiseless_and_orders_the_answers", "another utility when asked again"),
        (Verbose, "test_answers_are_preferences", "no Preference"),
        (Unsure, "test_chance_comes_from_the_given_stream_alone", "one seed gave two sets"),
    ],
)
def test_breaches_of_an_oracle(breach: Callable[[], Oracle], test: str, message: str) -> None:
    class Suite(_OfPictures):
        def make_oracle(self) -> Oracle:
            return breach()

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()
