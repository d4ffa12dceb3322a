from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import to_tensor

from pbg_env.generators.avatars.dataset import AvatarDataset
from pbg_env.generators.avatars.drawing import draw_portrait, sample_portrait
from pbg_env.generators.avatars.factors import BEARDS, COLLARS, EARRINGS, GLASSES, HATS, Factors, sample_factors
from pbg_env.generators.avatars.figures import density_and_coverage, mean_pairwise_rmse, principal_components


def many_factors(count: int) -> list[Factors]:
    rng = np.random.default_rng(0)
    return [sample_factors(rng) for _ in range(count)]


def test_one_seed_one_portrait_of_any_size() -> None:
    for size in (1, 33, 64, 200):
        portrait = sample_portrait(np.random.default_rng(3), size)
        assert portrait.size == (size, size)
        assert portrait.mode == "RGB"
        assert portrait.tobytes() == sample_portrait(np.random.default_rng(3), size).tobytes()
    with pytest.raises(ValueError, match="size is 0"):
        sample_portrait(np.random.default_rng(3), 0)


def test_factors_are_independent() -> None:
    factors = many_factors(4000)
    numbers = np.array([[value for value in one if isinstance(value, float)] for one in factors])
    assert numbers.shape[1] >= 18
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    correlation = np.corrcoef(numbers.T) - np.eye(numbers.shape[1])
    # 1/√4000 is the standard error of a correlation; five of them for the largest of some hundred.
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("name", "options"),
    [("collar", COLLARS), ("glasses", GLASSES), ("beard", BEARDS), ("hat", HATS), ("earrings", EARRINGS)],
)
def test_every_option_occurs(name: str, options: tuple[str, ...]) -> None:
    counts = {option: sum(getattr(one, name) == option for one in many_factors(2000)) for option in options}
    assert min(counts.values()) > 100, counts


@pytest.mark.parametrize("name", Factors._fields)
def test_every_factor_shows(name: str) -> None:
    """Two portraits that differ in one factor alone differ visibly."""
    base = many_factors(1)[0]._replace(hat="none", beard="none", glasses="none", hair_length=0.1, collar="crew")
    base = base._replace(skin=(232, 188, 154), hair=(40, 30, 28))
    values = {
        "collar": COLLARS,
        "glasses": GLASSES,
        "beard": BEARDS,
        "hat": HATS,
        "earrings": EARRINGS,
    }.get(name, (0.0, 1.0) if isinstance(getattr(base, name), float) else ((20, 30, 40), (200, 150, 100)))
    pictures = [np.asarray(draw_portrait(base._replace(**{name: value}), 64), dtype=float) for value in values]
    for one, other in itertools.pairwise(pictures):
        assert np.abs(one - other).max() > 20


def test_edges_are_smooth() -> None:
    portrait = np.asarray(draw_portrait(many_factors(1)[0], 64))
    assert len(np.unique(portrait.reshape(-1, 3), axis=0)) > 150


def test_dataset_is_torchvisions_style() -> None:
    dataset = AvatarDataset(10, 64, seed=4, transform=to_tensor)
    assert len(dataset) == 10
    assert dataset[3].shape == (3, 64, 64)
    torch.testing.assert_close(dataset[3], AvatarDataset(5, 64, seed=4, transform=to_tensor)[3])
    assert not torch.equal(dataset[3], dataset[4])
    assert not torch.equal(dataset[3], AvatarDataset(10, 64, seed=5, transform=to_tensor)[3])
    with pytest.raises(IndexError, match="portrait 10 of a dataset of 10"):
        dataset[10]


def test_drawing_is_quick_enough_to_feed_a_training() -> None:
    rng = np.random.default_rng(0)
    began = time.process_time()
    for _ in range(200):
        sample_portrait(rng, 64)
    # 500 a second on one core, with room for a busy machine.
    assert time.process_time() - began < 200 / 250


class TestFigures:
    def test_pairwise_rmse_by_hand(self) -> None:
        media = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
        assert mean_pairwise_rmse(media) == pytest.approx(2 * (5 / 2**0.5) / 3)

    def test_density_and_coverage_by_hand(self) -> None:
        # On a line, k = 1: the balls reach to the nearest other real, at 1, 1 and 9.
        real = torch.tensor([[0.0], [1.0], [10.0]])
        fake = torch.tensor([[0.5], [0.6], [100.0]])
        density, coverage = density_and_coverage(real, fake, neighbours=1)
        # The first two fakes lie in the balls of 0 and 1; 10's ball ends at 1, exclusive.
        assert density == pytest.approx((2 + 2 + 0) / 3)
        assert coverage == pytest.approx(2 / 3)

    def test_samples_of_one_distribution_have_density_1(self) -> None:
        real, fake = torch.randn(2, 1000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        density, coverage = density_and_coverage(real, fake, neighbours=5)
        assert density == pytest.approx(1, abs=0.1)
        assert coverage > 0.93

    def test_principal_components_are_those_of_the_singular_values(self) -> None:
        media = torch.randn(50, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        mean, directions = principal_components(media, 5)
        _, _, expected = torch.linalg.svd(media.flatten(1).double() - mean, full_matrices=False)
        torch.testing.assert_close((directions @ expected[:5].T).abs(), torch.eye(5, dtype=torch.float64))
