from __future__ import annotations

import numpy as np
import pytest
import torch

from pbg_env import Oracle, Preference, TargetOracle, Teacher
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.oracles import RandomOracle
from pbg_env.oracles.choice import oracle_named
from pbg_env.oracles.teacher import teacher_from
from pbg_env.prior_bank import BANK_SIZE, PriorBank
from pbg_env.similarity import pixels

FIRST, SECOND, GOOD, BAD = Preference


def answers(teacher: Teacher, pairs: list[tuple[float, float]]) -> list[int]:
    first, second = np.array(pairs).T
    return teacher.answer(first, second).tolist()


class TestTeacher:
    def test_the_exact_teacher_names_the_better(self) -> None:
        assert answers(Teacher(), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (-9.0, -8.0)]) == [FIRST, SECOND, GOOD, SECOND]

    def test_close_ones_are_both_good(self) -> None:
        pairs = [(0.0, 0.09), (0.09, 0.0), (0.0, 0.11), (0.11, 0.0)]
        assert answers(Teacher(equal=0.1), pairs) == [GOOD, GOOD, SECOND, FIRST]

    def test_both_bad_takes_two_bad_ones(self) -> None:
        assert answers(Teacher(bad=-1.0), [(-2.0, -3.0), (-2.0, 0.0), (0.0, -2.0)]) == [BAD, SECOND, FIRST]

    def test_both_bad_goes_before_both_good(self) -> None:
        assert answers(Teacher(equal=0.5, bad=0.0), [(-1.0, -1.1), (1.0, 1.1)]) == [BAD, GOOD]

    def test_presets_and_parameters(self) -> None:
        assert teacher_from("oracle") == Teacher()
        assert teacher_from({"equal": 0.2, "bad": -1}) == Teacher(equal=0.2, bad=-1)

    @pytest.mark.parametrize(
        ("description", "message"),
        [
            ("orakel", "unknown teacher 'orakel'; expected one of 'oracle'"),
            ({"equals": 0.1}, "teacher: unknown parameters equals; expected some of bad, equal"),
            ({"equal": -0.1}, "equal is -0.1, expected a finite number of at least 0"),
            ({"bad": float("nan")}, "bad is NaN"),
        ],
    )
    def test_mistakes(self, description: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            teacher_from(description)  # type: ignore[arg-type]


class TestTargetOracle:
    @pytest.fixture
    def target(self, generator: StackGANGenerator) -> torch.Tensor:
        return generator.media.as_perceived(generator.generate(torch.ones(1, 6)))[0]

    def oracle(self, generator: StackGANGenerator, target: torch.Tensor, **teacher: float) -> TargetOracle:
        return TargetOracle(target, pixels, Teacher(**teacher), PriorBank.of(generator))

    def test_the_nearer_one_is_preferred(
        self, generator: StackGANGenerator, target: torch.Tensor, rng: np.random.Generator
    ) -> None:
        oracle = self.oracle(generator, target)
        assert isinstance(oracle, Oracle)
        near, far = (target + 0.1).clamp(0, 1), (target + 0.3).clamp(0, 1)
        first, second = torch.stack((near, far, near)), torch.stack((far, near, near))
        assert oracle.compare(first, second, rng).tolist() == [FIRST, SECOND, GOOD]

    def test_thresholds_are_in_units_of_the_prior(
        self, generator: StackGANGenerator, target: torch.Tensor, rng: np.random.Generator
    ) -> None:
        media = generator.media.as_perceived(generator.generate(generator.sample_noise(400, rng)))
        first, second = media[:200], media[200:]
        exact = self.oracle(generator, target)
        utilities = exact.utility(media).numpy()
        bank = PriorBank.of(generator).utilities(exact.utility).numpy()
        assert bank.shape == (BANK_SIZE,)
        standard = (utilities - bank.mean()) / bank.std()
        found = self.oracle(generator, target, equal=0.3, bad=-0.5).compare(first, second, rng)
        both_bad = (standard[:200] < -0.5) & (standard[200:] < -0.5)
        close = np.abs(standard[:200] - standard[200:]) < 0.3
        np.testing.assert_array_equal(found == BAD, both_bad)
        np.testing.assert_array_equal(found == GOOD, close & ~both_bad)
        assert 0 < both_bad.sum() < 200
        assert 0 < (close & ~both_bad).sum() < 200

    def test_an_exact_teacher_never_looks_at_the_bank(self, target: torch.Tensor, rng: np.random.Generator) -> None:
        class NoBank:
            def units(self, utility: object) -> tuple[float, float]:
                raise AssertionError("not asked for")

        oracle = TargetOracle(target, pixels, Teacher(), NoBank())  # type: ignore[arg-type]
        assert oracle.compare(target[None], 1 - target[None], rng).tolist() == [FIRST]


def test_the_random_oracle_prefers_nothing(rng: np.random.Generator) -> None:
    media = torch.zeros(4000, 1)
    counts = np.bincount(RandomOracle().compare(media, media, rng), minlength=4)
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


def own_oracle() -> RandomOracle:
    return RandomOracle()


def no_oracle() -> int:
    return 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "unknown oracle 'nobody'; expected 'target', 'random' or 'module:function'"),
        ("tests.nowhere:oracle", "cannot be imported"),
        (f"{__name__}:absent", "cannot be imported"),
        (f"{__name__}:no_oracle", "returned a int, which has no method compare"),
    ],
)
def test_unknown_oracles(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oracle_named(name)


def test_an_own_oracle_by_import_path() -> None:
    assert isinstance(oracle_named(f"{__name__}:own_oracle"), RandomOracle)
