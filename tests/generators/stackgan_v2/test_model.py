import numpy as np
import pytest
import torch

from pbg_env import Discriminator, Generator
from pbg_env.generators.base import weights_hash
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.conftest import small_generator_network


def test_members_of_the_protocols(generator: StackGANGenerator, discriminator: StackGANDiscriminator) -> None:
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)


def test_media_are_within_0_and_1_and_functions_of_their_own_noise(generator: StackGANGenerator) -> None:
    noise = generator.sample_noise(5, np.random.default_rng(0))
    media = generator.generate(noise)
    assert media.shape == (5, *generator.media.shape)
    assert 0 <= media.min() < media.max() <= 1
    torch.testing.assert_close(media, torch.cat([generator.generate(one[None]) for one in noise]), atol=1e-6, rtol=0)
    assert (media[0] - media[1]).abs().max() > 0.01


def test_noise_of_the_wrong_shape_is_refused(generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match=r"noise of shape \(6,\), expected \(batch, 6\)"):
        generator.generate(torch.zeros(6))


def test_gradient_reaches_the_noise(generator: StackGANGenerator) -> None:
    noise = torch.zeros(1, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(generator.generate(noise).mean(), noise)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("count", [0, 1, 5])
def test_pictures_of_a_batch_are_those_of_its_parts(
    generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    noise = generator.sample_noise(count, np.random.default_rng(0)).requires_grad_(True)
    together = generator.generate(noise)
    monkeypatch.setattr(generator, "_pictures_at_once", 2)
    in_parts = generator.generate(noise)
    torch.testing.assert_close(in_parts, together, rtol=0, atol=1e-6)
    gradients = [torch.autograd.grad(media.square().sum(), noise)[0] for media in (together, in_parts)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)


def test_discriminator_scores_and_features(discriminator: StackGANDiscriminator) -> None:
    media = torch.rand(3, 3, 64, 64)
    assert ((discriminator.score(media) > 0) & (discriminator.score(media) < 1)).all()
    assert discriminator.features(media).shape == (3, 128 * 4)
    with pytest.raises(ValueError, match=r"expected \(batch, 3, 64, 64\)"):
        discriminator.score(torch.rand(3, 3, 32, 32))


def test_hash_notices_a_changed_weight() -> None:
    network = small_generator_network()
    before = weights_hash(network)
    assert before == weights_hash(small_generator_network())
    network.img_net1.img[0].weight.data[0, 0, 0, 0] += 1e-6  # type: ignore[union-attr,index,operator]
    assert weights_hash(network) != before
