"""Tastes: by name, each variant another one, answered as the teacher says, and with a slope to climb."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import tastes
from benchmarks.factor_regressor import FACTORS
from benchmarks.tastes import PAIRS, taste
from pbg_env import Generator, Preference, PreferencePairsEnv, ascend, load_generator

NAMES = ["warm_colours", "smile_and_glasses", "linear_in_features", "quadratic_in_features"]


@pytest.fixture(scope="module")
def avatars() -> Generator:
    return load_generator("avatars", device="cpu")


@pytest.fixture(scope="module")
def media(avatars: Generator) -> Tensor:
    """Portraits (64, 3, 64, 64) of the embedded generator."""
    with torch.no_grad():
        return avatars.generate(avatars.sample_noise(64, np.random.default_rng(0)))


def plain(colour: tuple[float, float, float], size: int = 8) -> Tensor:
    """A picture of one colour, (1, 3, size, size)."""
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, size, size)


@pytest.mark.parametrize("name", NAMES)
class TestEveryTaste:
    def test_a_batch_is_what_its_parts_are(self, name: str, media: Tensor) -> None:
        values = taste(name)(media[:4])
        assert values.shape == (4,)
        torch.testing.assert_close(
            values, torch.cat([taste(name)(one) for one in media[:4].split(1)]), atol=1e-4, rtol=1e-4
        )

    def test_variants_want_other_things(self, name: str, media: Tensor) -> None:
        values = torch.stack([taste(name, number)(media) for number in range(10)])  # (10, 64)
        assert (values.std(dim=1) > 0.05).all()
        alike = torch.corrcoef(values) - torch.eye(10)
        assert alike.max() < 0.95

    def test_the_best_is_found_by_climbing_through_the_generator(
        self, name: str, avatars: Generator, media: Tensor
    ) -> None:
        starts = avatars.sample_noise(2, np.random.default_rng(1))
        utility = taste(name, 2)
        before = utility(avatars.generate(starts))
        _, after = ascend(lambda noise: utility(avatars.generate(noise)), starts, steps=12, learning_rate=0.1)
        assert (after - before > utility(media).std()).all()

    def test_its_name_is_that_of_a_variant(self, name: str) -> None:
        assert getattr(tastes, f"{name}_0") is taste(name, 0)
        assert getattr(tastes, f"{name}_0") is not getattr(tastes, f"{name}_1")
        assert taste(name, 0).name != taste(name, 1).name  # type: ignore[attr-defined]


def test_the_best_is_looked_for_once(generator: Generator, capsys: pytest.CaptureFixture[str]) -> None:
    scores = []
    for _ in range(2):
        env = PreferencePairsEnv(
            generator=generator, similarity="benchmarks.tastes:warm_colours_2", target=None, goal=None
        )
        env.reset(seed=0)
        scores.append(env.evaluate(np.zeros(generator.noise_dim)))
    assert scores[0] == scores[1]
    assert capsys.readouterr().err.count("looking for the best") == 1


def test_a_taste_goes_with_any_generator_and_teacher(generator: Generator, rng: np.random.Generator) -> None:
    wish = "benchmarks.tastes:warm_colours_4"
    pairs = rng.standard_normal((20, 2, generator.noise_dim)).astype(np.float32)
    utility = taste("warm_colours", 4)(generator.generate(torch.from_numpy(pairs.reshape(40, -1)))).reshape(20, 2)
    env = PreferencePairsEnv(
        generator=generator, similarity=wish, target=None, teacher={"equal": "50%"}, goal=None, pairs_per_step=20
    )
    env.reset(seed=0)
    answers = env.step(pairs)[4]["preference"]
    difference = utility.diff(dim=1)[:, 0].numpy()
    tie = answers == Preference.BOTH_GOOD
    assert 4 < tie.sum() < 16
    assert np.abs(difference[tie]).max() < np.abs(difference[~tie]).min()
    np.testing.assert_array_equal(answers[~tie] == Preference.SECOND, difference[~tie] > 0)


class TestWarmColours:
    def test_the_wanted_hue_is_better_than_grey_and_grey_than_its_opposite(self) -> None:
        orange, grey, azure = (plain(colour) for colour in ((1.0, 0.5, 0.0), (0.5, 0.5, 0.5), (0.0, 0.5, 1.0)))
        values = taste("warm_colours")(torch.cat((orange, grey, azure)))
        assert (values.diff() < 0).all()
        assert values[0] > 0.95
        assert values[2] < 0.01

    def test_it_is_the_share_of_a_picture(self) -> None:
        half = torch.cat((plain((1.0, 0.5, 0.0)), plain((0.0, 0.5, 1.0))), dim=3)
        assert taste("warm_colours")(half).item() == pytest.approx(0.5, abs=0.01)

    def test_hues_are_a_tenth_of_the_circle_apart(self) -> None:
        hues = sorted(tastes.WarmColours(number).hue for number in range(10))
        np.testing.assert_allclose(np.diff(hues), 36.0)
        assert tastes.WarmColours(0).hue == 30.0


class TestSmileAndGlasses:
    def test_pairs_are_factors_and_all_different(self) -> None:
        assert len({frozenset(pair.items()) for pair in PAIRS}) == len(PAIRS) == 10
        assert all(len(pair) == 2 and set(pair) <= set(FACTORS) for pair in PAIRS)
        assert {value for pair in PAIRS for value in pair.values()} == {0.0, 1.0}

    def test_drawn_portraits_are_liked_for_what_they_wear(self) -> None:
        from torchvision.transforms.functional import to_tensor

        from pbg_env.generators.avatars.drawing import draw_portrait
        from pbg_env.generators.avatars.factors import sample_factors

        for seed in range(4):
            factors = sample_factors(np.random.default_rng(seed))._replace(beard="none", hat="none")
            variants = [(0.1, "none"), (0.9, "none"), (0.9, "round")]
            drawn = [draw_portrait(factors._replace(smile=smile, glasses=glasses)) for smile, glasses in variants]  # type: ignore[arg-type]
            values = taste("smile_and_glasses")(torch.stack([to_tensor(one) for one in drawn]))
            assert (values.diff() > 0.2).all(), values


class TestFeatures:
    def test_linear_is_in_units_of_the_prior(self, media: Tensor) -> None:
        values = torch.stack([taste("linear_in_features", number)(media) for number in range(10)])
        assert values.mean().abs() < 0.15
        assert values.std() == pytest.approx(1.0, abs=0.15)

    def test_quadratic_is_best_at_a_point(self, media: Tensor) -> None:
        assert taste("quadratic_in_features")(media).max() < 0

    def test_a_number_is_always_the_same(self, media: Tensor) -> None:
        for make in (tastes.LinearInFeatures, tastes.QuadraticInFeatures):
            assert torch.equal(make(12)(media[:2]), make(12)(media[:2]))
            assert not torch.allclose(make(12)(media[:2]), make(13)(media[:2]), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linear_x", "no taste 'linear_x'; expected warm_colours, smile_and_glasses, .* as in 'warm_colours_3'"),
        ("linear_in_features_x", "no taste 'linear_in_features_x'"),
        ("warm_colours_03", "no taste 'warm_colours_03'"),
        ("kind_warm_colours", "no taste 'kind_warm_colours'.*as in 'warm_colours_3'"),
        ("warm_colours_10", "warm_colours has the numbers 0 to 9, but 10 was asked for"),
        ("warm_colours", "no taste 'warm_colours'.*, with the number of the variant after it"),
        ("smile_and_glasses_10", "smile_and_glasses has the numbers 0 to 9, but 10 was asked for"),
    ],
)
def test_mistakes(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"similarity 'benchmarks.tastes:{name}' cannot be imported: {message}"):
        PreferencePairsEnv(similarity=f"benchmarks.tastes:{name}", target=None)


def test_mistakes_in_numbers() -> None:
    with pytest.raises(ValueError, match=r"no taste 'warm_colours' with number -1; expected .* a number from 0"):
        taste("warm_colours", -1)


@pytest.mark.parametrize("name", ["warm_colours", "smile_and_glasses"])
def test_other_media_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"tastes are about pictures .*, but the media are \(2, 4000\)"):
        taste(name)(torch.rand(2, 4000))
