"""The destination moves up the reward, and where it is told to, only as far as media stay real."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.reference.destination import GradientAscent
from pbg_env import NOISE_BOUND, Discriminator, Generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.reference.conftest import SumReward, numbered

START = np.zeros(3, np.float32)


def ascent(**settings: object) -> GradientAscent:
    mover = GradientAscent(**settings)  # type: ignore[arg-type]
    mover.reset(None, None)  # type: ignore[arg-type]
    return mover


def test_thirty_steps_of_adam() -> None:
    move = ascent(steps=30, learning_rate=1e-3).move(START, numbered(2), SumReward())
    # A constant gradient makes every step of Adam as long as the learning rate.
    np.testing.assert_allclose(move.destination, 0.03, rtol=1e-3)
    assert move.action_loss == pytest.approx(-0.09, rel=1e-3)


@pytest.mark.parametrize("starts", [1, 3])
def test_it_stays_within_the_bounds(starts: int) -> None:
    move = ascent(steps=100, learning_rate=1.0, starts=starts).move(START, numbered(3), SumReward())
    np.testing.assert_allclose(move.destination, NOISE_BOUND)


def test_the_prior_draws_back() -> None:
    move = ascent(steps=200, learning_rate=0.1, anneal=True, prior_weight=0.5).move(START, numbered(3), SumReward())
    # The top of Σ z − ½ · 0.5 · ‖z‖² is at 2.
    np.testing.assert_allclose(move.destination, 2, atol=0.01)


class Hills(SumReward):
    """A small hill around 0 and a high one around 3; and nothing to feel between them."""

    def rate(self, noise: torch.Tensor) -> torch.Tensor:
        near, far = noise.square().sum(dim=1), (noise - 3).square().sum(dim=1)
        return torch.exp(-4 * near) + 2 * torch.exp(-4 * far)


def test_several_starts_find_the_higher_hill() -> None:
    begin, actions = np.full(3, 0.2, np.float32), np.full((4, 3), 2.7, np.float32)
    for starts, top in ((1, 0.0), (2, 3.0)):
        move = ascent(steps=100, learning_rate=0.05, anneal=True, starts=starts).move(begin, actions, Hills())
        np.testing.assert_allclose(move.destination, top, atol=0.05)


def test_patience_saves_steps() -> None:
    calls = []

    class Counted(Hills):
        def rate(self, noise: torch.Tensor) -> torch.Tensor:
            calls.append(len(noise))
            return super().rate(noise)

    begin = np.full(3, 0.05, np.float32)
    places = []
    for patience in (None, 5):
        calls.clear()
        move = ascent(steps=300, learning_rate=0.05, patience=patience).move(begin, numbered(2), Counted())
        places.append(move.destination)
        assert (len(calls) > 300) == (patience is None)
    np.testing.assert_allclose(places[1], places[0], atol=0.02)


class Doubter:
    """A discriminator to whom dark pictures look real."""

    def score(self, media: torch.Tensor) -> torch.Tensor:
        return 1 - media.mean(dim=(1, 2, 3))

    def features(self, media: torch.Tensor) -> torch.Tensor:
        return media.flatten(1)


def test_realism_is_climbed_through_the_generator(generator: StackGANGenerator) -> None:
    discriminator: Discriminator = Doubter()
    begin = np.zeros(6, np.float32)
    places = []
    for weight in (0.0, 200.0):
        mover = GradientAscent(steps=40, learning_rate=0.05, realism_weight=weight)
        mover.reset(generator, discriminator)
        places.append(mover.move(begin, numbered(2), SumReward()).destination)
    plain, real = generator.generate(torch.from_numpy(np.stack(places))).mean(dim=(1, 2, 3))
    assert real < plain


def test_realism_needs_a_discriminator(generator: Generator) -> None:
    with pytest.raises(ValueError, match="realism_weight asks for a discriminator, and there is none"):
        GradientAscent(realism_weight=1.0).reset(generator, None)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"starts": 0}, {"patience": 0}, {"learning_rate": 0.0}, {"prior_weight": -1.0}]
)
def test_mistakes(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        GradientAscent(**settings)  # type: ignore[arg-type]
