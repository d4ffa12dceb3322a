"""The frequencies of answers are those of the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from pbg_env import TEACHERS, Preference, Teacher
from pbg_env.oracles.teacher import teacher_from

FIRST, SECOND, GOOD, BAD = Preference
COUNT = 20_000


def answers(teacher: Teacher, pairs: list[tuple[float, float]]) -> list[int]:
    first, second = np.array(pairs).T
    return teacher.answer(first, second, np.random.default_rng(0)).tolist()


def asked(teacher: Teacher, first: float, second: float) -> NDArray[np.int64]:
    """How often each answer was given to one pair asked 20,000 times."""
    given = teacher.answer(np.full(COUNT, first), np.full(COUNT, second), np.random.default_rng(1))
    return np.bincount(given, minlength=4)


def held(count: int, probability: float, of: int = COUNT) -> bool:
    return bool(binomtest(int(count), of, probability).pvalue > 1e-6)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class TestExact:
    def test_the_better_is_named(self) -> None:
        assert answers(Teacher(), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (-9.0, -8.0)]) == [FIRST, SECOND, GOOD, SECOND]

    def test_close_ones_are_both_good(self) -> None:
        pairs = [(0.0, 0.09), (0.09, 0.0), (0.0, 0.11), (0.11, 0.0)]
        assert answers(Teacher(equal=0.1), pairs) == [GOOD, GOOD, SECOND, FIRST]

    def test_both_bad_takes_two_bad_ones(self) -> None:
        assert answers(Teacher(bad=-1.0), [(-2.0, -3.0), (-2.0, 0.0), (0.0, -2.0)]) == [BAD, SECOND, FIRST]

    def test_nothing_is_drawn(self) -> None:
        rng = np.random.default_rng(0)
        Teacher(equal=0.1, bad=-1.0).answer(np.zeros(3), np.ones(3), rng)
        assert rng.random() == np.random.default_rng(0).random()


class TestFrequencies:
    @pytest.mark.parametrize("beta", [0.5, 4.0])
    @pytest.mark.parametrize("difference", [0.0, 0.3, -0.3, 2.0])
    def test_rationality(self, beta: float, difference: float) -> None:
        counts = asked(Teacher(beta=beta), 0.7 + difference, 0.7)
        assert held(counts[FIRST], sigmoid(beta * difference))
        assert counts[GOOD] == counts[BAD] == 0

    @pytest.mark.parametrize("difference", [1.0, -1.0])
    def test_mistakes_reverse_an_exact_choice(self, difference: float) -> None:
        counts = asked(Teacher(mistake=0.1), difference, 0.0)
        assert held(counts[SECOND if difference > 0 else FIRST], 0.1)
        assert counts[GOOD] == counts[BAD] == 0

    def test_mistakes_come_after_the_rational_choice(self) -> None:
        right = sigmoid(2.0 * 0.4)
        counts = asked(Teacher(beta=2.0, mistake=0.2), 0.4, 0.0)
        assert held(counts[FIRST], right * 0.8 + (1 - right) * 0.2)

    def test_ties_come_before_choice_and_mistake(self) -> None:
        teacher = Teacher(beta=2.0, mistake=0.2, equal=0.5)
        assert asked(teacher, 0.4, 0.0)[GOOD] == COUNT
        assert asked(teacher, 0.6, 0.0)[GOOD] == 0

    def test_both_bad_comes_before_ties(self) -> None:
        teacher = Teacher(beta=2.0, mistake=0.2, equal=0.5, bad=-1.0)
        assert asked(teacher, -1.1, -1.2)[BAD] == COUNT
        assert asked(teacher, -0.9, -1.2)[GOOD] == COUNT
        assert asked(teacher, 1.0, -1.2)[BAD] == asked(teacher, 1.0, -1.2)[GOOD] == 0

    @pytest.mark.parametrize("name", sorted(TEACHERS))
    def test_presets_on_random_pairs(self, name: str) -> None:
        """Utilities of random media as a standard normal: the share of every answer by its formula."""
        prior = norm.ppf((np.arange(512) + 0.5) / 512)
        teacher = TEACHERS[name].with_numbers(prior)
        first, second = np.random.default_rng(2).standard_normal((2, COUNT))
        given = teacher.answer(first, second, np.random.default_rng(3))
        bad = (first < teacher.bad) & (second < teacher.bad)
        good = ~bad & (np.abs(first - second) < teacher.equal)
        np.testing.assert_array_equal(given == BAD, bad)
        np.testing.assert_array_equal(given == GOOD, good)
        chosen = ~bad & ~good
        right = np.array([sigmoid(teacher.beta * x) if teacher.beta else float(x > 0) for x in first - second])
        expected = right * (1 - teacher.mistake) + (1 - right) * teacher.mistake
        total, variance = expected[chosen].sum(), (expected * (1 - expected))[chosen].sum()
        # A sum of unlike coins: five standard deviations are a chance of less than 1e-6.
        assert abs((given[chosen] == FIRST).sum() - total) <= 5 * math.sqrt(variance) + 1e-9

    @pytest.mark.parametrize("name", sorted(TEACHERS))
    def test_swapping_swaps_the_distribution(self, name: str) -> None:
        teacher = TEACHERS[name].with_numbers(np.random.default_rng(0).standard_normal(512))
        for first, second in ((0.4, 0.0), (0.05, 0.0), (-2.0, -2.4), (0.0, 0.0)):
            straight, swapped = asked(teacher, first, second), asked(teacher, second, first)
            assert straight[GOOD] == swapped[GOOD]
            assert straight[BAD] == swapped[BAD]
            both = straight[FIRST] + swapped[SECOND]
            if both:
                assert held(straight[FIRST], 0.5, of=both)

    def test_pairs_asked_one_by_one_draw_what_they_draw_at_once(self) -> None:
        teacher = Teacher(beta=1.0, mistake=0.3)
        first, second = np.random.default_rng(2).standard_normal((2, 100))
        rng = np.random.default_rng(3)
        singly = [teacher.answer(first[i : i + 1], second[i : i + 1], rng)[0] for i in range(100)]
        assert singly == teacher.answer(first, second, np.random.default_rng(3)).tolist()


class TestSharesOfThePrior:
    prior = np.random.default_rng(5).standard_normal(512)

    def test_a_tie_for_the_closest_share_of_random_pairs(self) -> None:
        teacher = Teacher(equal="5%").with_numbers(self.prior)
        assert isinstance(teacher.equal, float)
        one, other = np.triu_indices(512, k=1)
        share = (np.abs(self.prior[one] - self.prior[other]) < teacher.equal).mean()
        assert share == pytest.approx(0.05, abs=1e-4)

    def test_bad_for_the_worst_share_of_random_media(self) -> None:
        teacher = Teacher(bad="20%").with_numbers(self.prior)
        assert isinstance(teacher.bad, float)
        assert (self.prior < teacher.bad).mean() == pytest.approx(0.2, abs=2e-3)

    def test_numbers_stay_as_they_are(self) -> None:
        teacher = Teacher(beta=2.0, equal=0.3, bad=-1.0)
        assert teacher.with_numbers(self.prior) == teacher

    def test_shares_have_to_be_turned_into_numbers_first(self) -> None:
        with pytest.raises(TypeError, match="with_numbers"):
            Teacher(equal="5%").answer(np.zeros(1), np.zeros(1), np.random.default_rng(0))


def test_presets_and_parameters() -> None:
    assert teacher_from("oracle") == Teacher()
    assert teacher_from({"equal": 0.2, "bad": -1}) == Teacher(equal=0.2, bad=-1)
    assert teacher_from({"beta": 4.0, "mistake": 0.1, "equal": "5%"}) == Teacher(beta=4.0, mistake=0.1, equal="5%")
    assert teacher_from("noisy").beta == 4
    assert teacher_from("mistaken").mistake == 0.1


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("orakel", "unknown teacher 'orakel'; expected one of 'oracle', 'noisy', 'mistaken', 'hesitant', 'harsh', "),
        ({"equals": 0.1}, "teacher: unknown parameters equals; expected some of bad, beta, equal, mistake"),
        ({"equal": -0.1}, "equal is -0.1, expected a finite number of at least 0, or '5%'"),
        ({"equal": "wide"}, "equal is 'wide', expected a number, or a share of the prior such as '5%'"),
        ({"bad": "120%"}, "bad is '120%', expected a number, or a share"),
        ({"bad": float("nan")}, "bad is nan"),
        ({"beta": 0.0}, "beta is 0.0, expected a finite number above 0, or None"),
        ({"mistake": 1.0}, "mistake is 1.0, expected a probability from 0 to below 1"),
        ({"mistake": "often"}, "mistake is 'often'"),
        (3, "teacher is 3, expected a preset's name or parameters by name"),
    ],
)  # fmt: skip
def test_mistakes(description: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        teacher_from(description)  # type: ignore[arg-type]
