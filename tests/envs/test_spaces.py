from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector.utils import batch_space

from pbg_env.envs.spaces import NoiseSpace, action_space, noise_of_action


def test_samples_come_from_the_prior_single_and_batched() -> None:
    space = NoiseSpace((100,), seed=1)
    batched = batch_space(space, 50)
    assert isinstance(batched, NoiseSpace)
    for sample in (np.stack([space.sample() for _ in range(50)]), batched.sample()):
        assert sample.shape == (50, 100)
        assert sample.dtype == np.float32
        # The norm of the prior in 100 dimensions; an even draw from the box would have 23.
        assert abs(np.linalg.norm(sample, axis=1).mean() - 10) < 0.3
    assert space.contains(space.sample())


def test_a_seed_repeats_the_samples() -> None:
    np.testing.assert_array_equal(NoiseSpace((4,), seed=2).sample(), NoiseSpace((4,), seed=2).sample())


def test_actions_out_of_range_are_clipped() -> None:
    space = action_space("noise", (3,))
    np.testing.assert_array_equal(noise_of_action([9.0, -9.0, 1.0], space, "noise"), np.float32([4, -4, 1]))
    space = action_space("unit", (3,))
    np.testing.assert_allclose(noise_of_action([2.0, -1.0, 0.0], space, "unit"), [4, -4, 0])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0.0, float("nan"), 0.0], "NaN or infinite"),
        ([0.0, float("inf"), 0.0], "NaN or infinite"),
        ([0.0, 1.0], r"an action of shape \(2,\), expected \(3,\)"),
        ("left", "the action, a str of type <U4, is not an array of numbers"),
        (None, "expected|not an array|NaN"),
    ],
)
def test_actions_that_are_none(action: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise_of_action(action, action_space("noise", (3,)), "noise")


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown action 'pixels'; expected 'noise' or 'unit'"):
        action_space("pixels", (3,))  # type: ignore[arg-type]
