"""A similarity that nobody shares: in its own order, but in no order that a person would dispute."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.similarities import RandomConvolutions, random_convolutions
from pbg_env import Preference, load_generator
from pbg_env.similarity import Pixels, similarity_from

NAME = "benchmarks.similarities:random_convolutions"


@pytest.fixture(scope="module")
def media() -> Tensor:
    """Portraits (64, 3, 64, 64) of the embedded generator."""
    generator = load_generator(device="cpu")
    with torch.no_grad():
        return generator.generate(generator.sample_noise(64, np.random.default_rng(0)))


def ranks(values: Tensor) -> Tensor:
    return values.argsort(dim=-1).argsort(dim=-1).double()


def test_what_is_nearer_and_nearer(media: Tensor) -> None:
    target, other = media[:1], media[1:2]
    path = torch.cat([(1 - share) * target + share * other for share in (0.0, 0.1, 0.4, 1.0)])
    values = random_convolutions(path, target)
    assert values[0] == pytest.approx(1.0)
    assert (values.diff() < 0).all(), values


def test_random_portraits_are_neither_all_alike_nor_as_pixels_have_it(media: Tensor) -> None:
    values = torch.stack([random_convolutions(media[8:], target[None]) for target in media[:8]])  # (8, 56)
    assert values.min() >= -1
    assert values.max() <= 1
    low, high = np.quantile(values.numpy(), [0.05, 0.95])
    assert low < 0 < 0.6 < high
    pixels = torch.stack([Pixels()(media[8:], target[None]) for target in media[:8]])
    correlations = [float(torch.corrcoef(torch.stack(pair))[0, 1])
                    for pair in zip(ranks(values), ranks(pixels), strict=True)]  # fmt: skip
    assert 0.4 < np.mean(correlations) < 0.8


def test_a_batch_is_what_its_parts_are_with_one_target_or_one_each(media: Tensor) -> None:
    target = media[4:5]
    parts = torch.cat([random_convolutions(part, target) for part in media[:4].split(1)])
    torch.testing.assert_close(random_convolutions(media[:4], target), parts)
    torch.testing.assert_close(random_convolutions(media[:4], target.expand(4, -1, -1, -1)), parts)


@pytest.mark.parametrize("size", [32, 48, 64, 256])
def test_sizes(size: int, media: Tensor) -> None:
    pictures = torch.nn.functional.interpolate(media[:3], (size, size), mode="bilinear", antialias=True)
    assert random_convolutions.describe(pictures).shape == random_convolutions.describe(media[:3]).shape
    values = random_convolutions(pictures, pictures[:1])
    assert values[0] == pytest.approx(1.0)
    assert (values[1:] < 0.95).all()


def test_a_step_along_the_gradient_comes_nearer(media: Tensor) -> None:
    start = media[:1].clone().requires_grad_(True)
    before = random_convolutions(start, media[1:2])
    (gradient,) = torch.autograd.grad(before.sum(), start)
    assert random_convolutions(start + 1e-2 * gradient / gradient.norm(), media[1:2]) > before


def test_weights_are_those_of_the_seed_and_named_by_it(media: Tensor) -> None:
    before = torch.get_rng_state()
    same, another = RandomConvolutions(), RandomConvolutions(seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(same.describe(media[:2]), random_convolutions.describe(media[:2]))
    assert same.name == random_convolutions.name
    assert not torch.allclose(another.describe(media[:2]), same.describe(media[:2]), atol=0.1)
    assert another.name != same.name


def test_an_environment_goes_by_it() -> None:
    assert similarity_from(NAME, load_generator(device="cpu")) is random_convolutions
    env = gym.make(
        "pbg_env:PBG-StackGANv2-Pairs-v0", goal=None, similarity=NAME, device="cpu", disable_env_checker=True
    )
    rng = np.random.default_rng(0)
    target, other = rng.standard_normal((2, env.unwrapped.noise_dim)).astype(np.float32)  # type: ignore[attr-defined]
    env.reset(seed=0, options={"target": target})
    info = env.step(np.stack((target, other))[None])[4]
    env.close()
    assert info["preference"].tolist() == [Preference.FIRST]


@pytest.mark.parametrize("shape", [(2, 3, 31, 31), (2, 1, 64, 64), (2, 4000)])
def test_other_media_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"compares pictures \(batch, 3, size, size\) of at least 32 px, but"):
        random_convolutions.describe(torch.rand(shape))
