from __future__ import annotations

import numpy as np
import pytest
import torch

from pbg_env import Oracle, Preference, PriorBank, TargetOracle, Teacher, as_perceived
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.oracles import RandomOracle
from pbg_env.oracles.choice import oracle_named
from pbg_env.prior_bank import BANK_SIZE
from pbg_env.similarity import Pixels

FIRST, SECOND, GOOD, BAD = Preference


class TestTargetOracle:
    @pytest.fixture
    def target(self, generator: StackGANGenerator) -> torch.Tensor:
        return as_perceived(generator.media, generator.generate(torch.ones(1, 6)))[0]

    def oracle(self, generator: StackGANGenerator, target: torch.Tensor, **teacher: float | str) -> TargetOracle:
        return TargetOracle(target, Pixels(), Teacher(**teacher), PriorBank.of(generator))

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
        media = as_perceived(generator.media, generator.generate(generator.sample_noise(400, rng)))
        first, second = media[:200], media[200:]
        exact = self.oracle(generator, target)
        utilities = exact.utility(media).numpy()
        bank = PriorBank.of(generator).utilities(exact.utility)
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
            def similarities(self, *_: object) -> np.ndarray:
                raise AssertionError("not asked for")

        oracle = TargetOracle(target, Pixels(), Teacher(), NoBank())  # type: ignore[arg-type]
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
        ("nobody", "unknown oracle 'nobody'; expected 'target', 'human', 'random' or 'module:function'"),
        ("tests.nowhere:oracle", "cannot be imported"),
        (f"{__name__}:absent", "cannot be imported"),
        (f"{__name__}:no_oracle", "what oracle '.*:no_oracle' returned, a int, lacks compare"),
    ],
)
def test_unknown_oracles(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oracle_named(name)


def test_an_own_oracle_by_import_path() -> None:
    assert isinstance(oracle_named(f"{__name__}:own_oracle"), RandomOracle)
