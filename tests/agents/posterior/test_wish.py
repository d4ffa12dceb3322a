"""The belief about a wish, in features that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from agents.posterior.surroundings import Line
from agents.posterior.views import Layout
from agents.posterior.wish import Asked, Wish
from pbg_env import Preference


def told(
    wanted: np.ndarray,
    count: int,
    rng: np.random.Generator,
    mistakes: float = 0.0,
    ties: float = 0.0,
    apart: float = 0.6,
) -> tuple[Asked, np.ndarray]:
    """Answers of somebody who wants a point, and how much farther each second was."""
    asked, farther = Asked(len(wanted)), np.zeros(count)
    for number in range(count):
        first, second = rng.standard_normal((2, len(wanted))) * apart
        farther[number] = np.linalg.norm(second - wanted) - np.linalg.norm(first - wanted)
        nearer = (farther[number] > 0) ^ (rng.random() < mistakes)
        answer = Preference.FIRST if nearer else Preference.SECOND
        asked.add(first, second, Preference.BOTH_GOOD if abs(farther[number]) < ties else answer)
    return asked, farther


def line(rng: np.random.Generator, residual: float) -> Line:
    return Line(0.5 * rng.standard_normal((6, 3)), 0.2 * rng.standard_normal(6), np.full(6, residual))


def test_what_the_line_leaves_out_is_learned() -> None:
    rng = np.random.default_rng(0)
    of_features = line(rng, 0.09)
    rest = 0.3 * rng.standard_normal(6)
    wanted = of_features.at(rng.standard_normal((1, 3)))[0] + rest
    wish = Wish(Layout(), of_features)
    asked, _ = told(wanted, 150, rng)
    wish.learn(asked, manner_too=True)
    expected = wish._by_unknown(np.eye(6)) @ wish._unknown + of_features.offset
    assert np.linalg.norm(expected - wanted) < 0.4 * np.linalg.norm(rest)
    # The spread says how far off that is.
    assert 0.2 < np.linalg.norm(expected - wanted) / wish.spread**0.5 < 3


@pytest.mark.parametrize("of_manner", ["tie", "mistake"])
def test_the_manner_is_found(of_manner: str) -> None:
    rng = np.random.default_rng(1)
    of_features = line(rng, 1e-6)
    wanted = of_features.at(rng.standard_normal((1, 3)))[0]
    asked, _ = told(wanted, 200, rng, **{"tie": {"ties": 0.2}, "mistake": {"mistakes": 0.1}}[of_manner])
    wish = Wish(Layout(), of_features)
    for _ in range(8):
        wish.learn(asked, manner_too=True)
    if of_manner == "tie":
        assert 0.12 < wish.manner.tie < 0.33
        assert wish.manner.mistake == 0.0
    else:
        assert wish.manner.mistake in (0.05, 0.1)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_power_of_the_distance_is_found(power: float) -> None:
    rng = np.random.default_rng(4)
    of_features = line(rng, 1e-6)
    wanted = of_features.at(rng.standard_normal((1, 3)))[0]
    asked = Asked(len(wanted))
    # Near what is wanted and far from it: the same noise of what is felt blurs distances more here than there.
    for scale in np.tile([0.1, 1.5], 200):
        first, second = wanted + scale * rng.standard_normal((2, len(wanted)))
        one, other = (float(np.linalg.norm(side - wanted)) ** power / power for side in (first, second))
        nearer = other - one + 0.1 * rng.standard_normal() > 0
        asked.add(first, second, Preference.FIRST if nearer else Preference.SECOND)
    wish = Wish(Layout(), of_features)
    for _ in range(8):
        wish.learn(asked, manner_too=True)
    assert wish.manner.power == power


def test_answers_about_what_is_nearly_alike_are_told_exact() -> None:
    rng = np.random.default_rng(3)
    of_features = line(rng, 1e-6)
    asked, farther = told(of_features.at(rng.standard_normal((1, 3)))[0], 200, rng, apart=0.05)
    wish = Wish(Layout(), of_features)
    for _ in range(8):
        wish.learn(asked, manner_too=True)
    assert np.mean(np.abs(farther) < 0.02) > 0.2
    assert wish.manner.noise < 0.03


def test_the_next_question_is_worth_more_where_less_is_known() -> None:
    rng = np.random.default_rng(2)
    of_features = line(rng, 1e-4)
    wish = Wish(Layout(), of_features)
    asked, _ = told(of_features.at(rng.standard_normal((1, 3)))[0], 40, rng)
    wish.learn(asked, manner_too=False)
    again = wish.worth(asked.first, asked.second)
    values, directions = np.linalg.eigh(wish.covariance)
    steps = directions.T[[0, -1]] * np.sqrt(values[[0, -1]])[:, None]
    known, unknown = wish.worth(of_features.at(wish.mean + steps), of_features.at(wish.mean - steps))
    assert unknown > known
    assert unknown > np.median(again)
    assert 0 <= again.min() <= again.max() <= 1


def test_what_is_foretold_is_the_chance_of_an_answer() -> None:
    rng = np.random.default_rng(3)
    of_features = line(rng, 0.01)
    wanted = of_features.at(rng.standard_normal((1, 3)))[0]
    wish = Wish(Layout(), of_features)
    asked, _ = told(wanted, 60, rng)
    before = wish.chance(asked.first, asked.second)
    wish.learn(asked, manner_too=True)
    others, farther = told(wanted, 400, rng)
    chance = wish.chance(others.first, others.second)
    np.testing.assert_allclose(chance + wish.chance(others.second, others.first), 1.0)
    # Never sure, right where it is nearly so, and surer than before any answer.
    assert chance.min() > 0.1 - 1e-12
    assert chance.max() < 0.9 + 1e-12
    assert (farther[chance > 0.85] > 0).mean() > 0.95
    assert np.abs(chance - 0.5).mean() > 1.2 * np.abs(before - 0.5).mean()
    for place in range(3):
        pair = others.first[place], others.second[place]
        assert wish.foretold(*pair, Preference.FIRST) == pytest.approx(np.log(2 * chance[place]))
        assert wish.foretold(*pair, Preference.SECOND) == pytest.approx(np.log(2 * (1 - chance[place])))
        tie = 0.5 * np.log(4 * chance[place] * (1 - chance[place]))
        assert wish.foretold(*pair, Preference.BOTH_GOOD) == pytest.approx(tie)
        assert wish.foretold(*pair, Preference.BOTH_BAD) == 0.0


class Doubtful(Layout):
    mismatches = (0.1,)
    least = 0.25


def test_a_view_may_never_claim_to_tell_all() -> None:
    rng = np.random.default_rng(3)
    of_features = line(rng, 0.01)
    wanted = of_features.at(rng.standard_normal((1, 3)))[0]
    asked, _ = told(wanted, 60, rng)
    sure, doubtful = Wish(Layout(), of_features), Wish(Doubtful(), of_features)
    for wish in (sure, doubtful):
        wish.learn(asked, manner_too=True)
        wish.learn(asked, manner_too=True)
    assert (sure.manner.mismatch, doubtful.manner.mismatch) == (0.0, 0.1)
    # Answers that fit are explained less well, and what is believed stays wider.
    assert doubtful.plausibility < sure.plausibility
    assert doubtful.spread > sure.spread
    others, _ = told(wanted, 400, rng)
    chance = doubtful.chance(others.first, others.second)
    assert 0.25 <= chance.min() < 0.3
    assert 0.7 < chance.max() <= 0.75
