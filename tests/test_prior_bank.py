"""The samples on which utilities are measured: made once, kept between processes, and never those of other weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pbg_env import PriorBank, Similarity, SoundMedium, as_perceived, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from pbg_env.prior_bank import BANK_SIZE
from pbg_env.similarity import similarity_from
from tests.conftest import CPU, small_generator_network


class Counting(StackGANGenerator):
    """Counts the media it makes."""

    made = 0

    def generate(self, noise: Tensor) -> Tensor:
        self.made += len(noise)
        return super().generate(noise)


def fresh(**sizes: Any) -> Counting:
    return Counting(small_generator_network(**sizes), -1, CPU)


def brightness(media: Tensor) -> Tensor:
    return media.flatten(1).mean(dim=1)


def test_utilities_are_those_of_512_samples_as_perceived() -> None:
    generator = fresh()
    noise = generator.sample_noise(BANK_SIZE, np.random.default_rng(BANK_SIZE))
    expected = brightness(as_perceived(generator.media, generator.generate(noise)))
    np.testing.assert_allclose(PriorBank(generator).utilities(brightness), expected.numpy(), atol=1e-5)


def test_environments_of_a_process_share_one() -> None:
    generator = fresh()
    assert PriorBank.of(generator) is PriorBank.of(generator)
    assert PriorBank.of(generator) is not PriorBank.of(fresh())


def test_it_survives_the_process_and_notices_changed_weights(cache_folder: Path) -> None:
    first, same, other = fresh(), fresh(), fresh(width=8)
    for _ in range(2):
        utilities = PriorBank.of(first).utilities(brightness)
    assert first.made == BANK_SIZE
    np.testing.assert_array_equal(PriorBank(same).utilities(brightness), utilities)
    assert same.made == 0
    assert not np.allclose(PriorBank(other).utilities(brightness), utilities)
    assert other.made == BANK_SIZE
    # In 8 bits: a fraction of the floats.
    assert max(file.stat().st_size for file in cache_folder.iterdir()) < BANK_SIZE * 3 * 64 * 64 + 1000


def test_without_named_weights_nothing_is_kept_on_disk(cache_folder: Path) -> None:
    generator = fresh()
    del generator.weights
    PriorBank(generator).utilities(brightness)
    assert list(cache_folder.iterdir()) == []


def test_sounds_keep_their_16_bits() -> None:
    generator = load_generator("tones")
    assert isinstance(generator.media, SoundMedium)
    noise = generator.sample_noise(BANK_SIZE, np.random.default_rng(BANK_SIZE))
    expected = as_perceived(generator.media, generator.generate(noise))[:, 1000]
    for bank in (PriorBank(generator), PriorBank(generator)):
        np.testing.assert_allclose(bank.utilities(lambda media: media[:, 1000]), expected.numpy(), atol=1e-6)


class TestDescriptions:
    class Counted(Similarity):
        """Halves of media, compared by their mean; counts what it described."""

        describes = True
        count = 0

        def __init__(self, name: str | None) -> None:
            self.name = name

        def describe(self, media: Tensor) -> Tensor:
            self.count += len(media)
            return media[:, :, :32]

        def between(self, described: Tensor, target: Tensor) -> Tensor:
            return -(described - target).abs().flatten(1).mean(dim=1)

    @pytest.mark.parametrize(("name", "described_again"), [("halves", 0), (None, BANK_SIZE)])
    def test_named_ones_are_described_once_for_all_targets(self, name: str | None, described_again: int) -> None:
        generator, similarity = fresh(), self.Counted(name)
        target = similarity.describe(torch.full((1, *generator.media.shape), 0.25))
        first = PriorBank.of(generator).similarities(similarity, target)
        similarity.count = 0
        np.testing.assert_array_equal(PriorBank.of(generator).similarities(similarity, target), first)
        assert similarity.count == described_again
        anew = self.Counted(name)
        np.testing.assert_array_equal(PriorBank(fresh()).similarities(anew, target), first)
        assert anew.count == described_again

    @pytest.mark.parametrize("name", ["pixels", "features", "ssim", "discriminator"])
    def test_they_give_the_similarities_of_the_media(self, name: str, discriminator: StackGANDiscriminator) -> None:
        generator = fresh()
        similarity = similarity_from(name, generator, lambda: discriminator)
        target = generator.generate(torch.zeros(1, 6))
        expected = PriorBank(generator).utilities(lambda media: similarity(media, target))
        found = PriorBank(generator).similarities(similarity, similarity.describe(target))
        np.testing.assert_allclose(found, expected, atol=1e-6)
