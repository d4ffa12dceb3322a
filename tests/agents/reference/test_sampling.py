from __future__ import annotations

import numpy as np
import pytest

from agents.reference.sampling import AroundIncumbent, EpsilonGreedy, FromPrior, PriorAndDestination, Sampling
from pbg_env import NOISE_BOUND

ORIGIN = np.zeros(50, np.float32)


@pytest.mark.parametrize(
    "sampling",
    [FromPrior(20), EpsilonGreedy(20, 0.5, spread=3.0), AroundIncumbent(20, 3.0), PriorAndDestination(10, 9, 0.9)],
    ids=lambda sampling: type(sampling).__name__,
)
def test_every_strategy_stays_within_the_bounds_and_repeats_with_its_rng(sampling: Sampling) -> None:
    edge = np.full(50, NOISE_BOUND, np.float32)
    actions = sampling.sample(edge, -edge, 1, np.random.default_rng(3))
    assert actions.shape == (20, 50)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= NOISE_BOUND
    np.testing.assert_array_equal(sampling.sample(edge, -edge, 1, np.random.default_rng(3)), actions)
    assert not np.array_equal(sampling.sample(edge, -edge, 1, np.random.default_rng(4)), actions)
    np.testing.assert_array_equal(edge, NOISE_BOUND)


def test_from_prior(rng: np.random.Generator) -> None:
    actions = FromPrior(200).sample(ORIGIN + 3, ORIGIN - 3, 0, rng)
    assert actions.shape == (200, 50)
    assert actions.mean() == pytest.approx(0, abs=0.05)
    assert actions.std() == pytest.approx(1, abs=0.03)


class TestEpsilonGreedy:
    def near(self, sampling: EpsilonGreedy, round: int) -> list[bool]:
        destination = ORIGIN + 2
        actions = sampling.sample(destination, None, round, np.random.default_rng(round))
        return list(np.abs(actions - destination).max(axis=1) < 0.1)

    def test_the_share_from_the_prior_decays_to_its_floor(self) -> None:
        sampling = EpsilonGreedy(200, share=0.8, decay=0.5, floor=0.1, spread=0.01)
        for round, prior in enumerate((160, 80, 40, 20, 20)):
            assert self.near(sampling, round) == [True] * (200 - prior) + [False] * prior

    def test_counts_are_rounded(self) -> None:
        assert sum(self.near(EpsilonGreedy(10, share=0.26, decay=1.0, floor=0.0, spread=0.01), 0)) == 7
        assert sum(self.near(EpsilonGreedy(10, share=0.24, decay=1.0, floor=0.0, spread=0.01), 0)) == 8

    @pytest.mark.parametrize(("share", "near"), [(0.0, 10), (1.0, 0)])
    def test_all_of_one_kind(self, share: float, near: int) -> None:
        assert sum(self.near(EpsilonGreedy(10, share=share, decay=1.0, floor=0.0, spread=0.01), 5)) == near

    def test_the_rest_is_normal_around_the_destination(self, rng: np.random.Generator) -> None:
        actions = EpsilonGreedy(400, share=0.0, floor=0.0, spread=0.3).sample(ORIGIN + 1, ORIGIN - 1, 0, rng)
        assert actions.mean() == pytest.approx(1, abs=0.02)
        assert actions.std() == pytest.approx(0.3, abs=0.01)


class TestAroundIncumbent:
    def test_normal_around_the_incumbent(self, rng: np.random.Generator) -> None:
        actions = AroundIncumbent(400, spread=0.3).sample(ORIGIN + 1, ORIGIN - 1, 0, rng)
        assert actions.mean() == pytest.approx(-1, abs=0.02)
        assert actions.std() == pytest.approx(0.3, abs=0.01)

    def test_around_the_destination_while_there_is_no_incumbent(self, rng: np.random.Generator) -> None:
        actions = AroundIncumbent(400, spread=0.3).sample(ORIGIN + 1, None, 0, rng)
        assert actions.mean() == pytest.approx(1, abs=0.02)


def test_the_destination_comes_first_and_its_neighbours_keep_the_priors_length(rng: np.random.Generator) -> None:
    destination = rng.standard_normal(400).astype(np.float32)
    actions = PriorAndDestination(count=50, near=50, spread=0.4).sample(destination, None, 0, rng)
    assert actions.shape == (101, 400)
    np.testing.assert_array_equal(actions[0], destination)
    cosine = actions @ destination / np.linalg.norm(actions, axis=1) / np.linalg.norm(destination)
    assert cosine[1:51] == pytest.approx(np.sqrt(1 - 0.16), abs=0.1)
    assert cosine[51:] == pytest.approx(0, abs=0.25)
    np.testing.assert_allclose(np.linalg.norm(actions, axis=1), 20, atol=3)


@pytest.mark.parametrize(
    ("strategy", "arguments", "message"),
    [
        (FromPrior, {"count": 1}, "count is 1, expected at least 2"),
        (EpsilonGreedy, {"count": 0}, "count is 0, expected at least 2"),
        (EpsilonGreedy, {"share": 1.5}, "share is 1.5, expected a share from 0 to 1"),
        (EpsilonGreedy, {"floor": -0.1}, "floor is -0.1, expected a share from 0 to 1"),
        (EpsilonGreedy, {"decay": 0.0}, "decay is 0.0, expected above 0 and at most 1"),
        (EpsilonGreedy, {"spread": 0.0}, "spread is 0.0, expected a standard deviation above 0"),
        (AroundIncumbent, {"count": 1}, "count is 1, expected at least 2"),
        (AroundIncumbent, {"spread": float("nan")}, "spread is nan, expected a standard deviation above 0"),
        (PriorAndDestination, {"count": 1}, "count is 1, expected at least 2"),
        (PriorAndDestination, {"near": -1}, "near is -1, expected at least 0"),
        (PriorAndDestination, {"spread": 1.1}, "spread is 1.1, expected above 0 and at most 1"),
    ],
)
def test_bad_arguments(strategy: type[Sampling], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strategy(**arguments)
