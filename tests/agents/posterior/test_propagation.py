"""The belief by expectation propagation, beside what sampling the prior gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from agents.posterior.ordinal import moments
from agents.posterior.propagation import Sites, believe


@pytest.mark.parametrize("mistake", [0.0, 0.2])
@pytest.mark.parametrize(("low", "high"), [(0.3, np.inf), (-np.inf, -0.3), (-0.3, 0.3), (6.0, np.inf), (5.0, 5.5)])
def test_moments_are_those_of_the_integral(mistake: float, low: float, high: float) -> None:
    variance = 1.7

    def between(mean: float, low: float, high: float) -> float:
        found, _ = quad(
            lambda x: (norm.cdf(high - x) - norm.cdf(low - x)) * norm.pdf(x, mean, variance**0.5), -15, 20, limit=200
        )
        return float(found)

    def log_probability(mean: float) -> float:
        inside, mirrored = (between(mean, *bounds) for bounds in ((low, high), (-high, -low)))
        return float(np.log((1 - mistake) * inside + mistake * mirrored))

    mean, step = 0.4, 1e-3
    below, at, above = (log_probability(mean + shift) for shift in (-step, 0.0, step))
    found = moments(*(np.array([value]) for value in (mean, variance, low, high)), mistake)
    assert found.log_evidence[0] == pytest.approx(at, abs=1e-6)
    assert found.slope[0] == pytest.approx((above - below) / (2 * step), abs=1e-4)
    assert found.curvature[0] == pytest.approx((above - 2 * at + below) / step**2, abs=1e-2)


def test_moments_keep_their_digits_far_out() -> None:
    found = moments(np.array([-40.0, 40.0]), np.ones(2), np.array([0.0, -np.inf]), np.array([np.inf, 0.0]), 0.0)
    assert np.isfinite(found.log_evidence).all()
    # By symmetry, and as the tail of a normal goes.
    assert found.slope[0] == pytest.approx(-found.slope[1]) == pytest.approx(40 / 2, rel=1e-2)


def test_the_belief_is_near_the_exact_posterior() -> None:
    rng = np.random.default_rng(0)
    slopes, offsets = 2 * rng.standard_normal((12, 2)), 0.3 * rng.standard_normal(12)
    felt = slopes @ rng.standard_normal(2) + offsets + rng.standard_normal(12)
    low = np.where(felt > 0.5, 0.5, np.where(felt < -0.5, -np.inf, -0.5))
    high = np.where(felt > 0.5, np.inf, np.where(felt < -0.5, -0.5, 0.5))
    belief = believe(slopes, offsets, low, high, 0.0, Sites.none(12), 50)
    drawn = rng.standard_normal((200_000, 2))
    forms = drawn @ slopes.T + offsets
    likelihood = (norm.cdf(high - forms) - norm.cdf(low - forms)).prod(axis=1)
    assert belief.log_evidence == pytest.approx(np.log(likelihood.mean()), abs=0.03)
    mean, covariance = belief.moments()
    np.testing.assert_allclose(mean, likelihood @ drawn / likelihood.sum(), atol=0.02)
    np.testing.assert_allclose(covariance, np.cov(drawn.T, aweights=likelihood), atol=0.01)


def test_it_is_the_same_among_answers_and_among_unknowns() -> None:
    rng = np.random.default_rng(2)
    slopes, offsets = 3 * rng.standard_normal((9, 4)), rng.standard_normal(9)
    told = (offsets, np.where(offsets > 0, 0.2, -np.inf), np.where(offsets > 0, np.inf, -0.2), 0.05, Sites.none(9), 50)
    few = believe(slopes, *told)
    # What no form is about leaves everything else as it was.
    many = believe(np.c_[slopes, np.zeros((9, 8))], *told)
    assert many.log_evidence == pytest.approx(few.log_evidence, rel=1e-9)
    mean, covariance = many.moments()
    np.testing.assert_allclose(mean[:4], few.moments()[0], rtol=1e-9)
    np.testing.assert_allclose(covariance[:4, :4], few.moments()[1], rtol=1e-9)
    np.testing.assert_array_equal(covariance[4:, 4:], np.eye(8))


def test_mistakes_keep_one_wrong_answer_from_ruling() -> None:
    slopes = 5 * np.ones((11, 1))
    above = np.r_[np.zeros(10), -np.inf]  # ten answers say that u > 0, one that it is far below
    offsets, high = np.r_[np.zeros(10), 10.0], np.r_[np.full(10, np.inf), 0.0]
    right = believe(slopes[:10], offsets[:10], above[:10], high[:10], 0.0, Sites.none(10), 50).moments()[0][0]
    strict, lenient = (
        believe(slopes, offsets, above, high, mistake, Sites.none(11), 50).moments()[0][0] for mistake in (0.0, 0.1)
    )
    assert strict < lenient < right
    assert right - lenient < 0.3 * (right - strict)


def test_no_answers_leave_the_prior_and_a_good_start_is_kept() -> None:
    nothing = believe(np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.zeros(0), 0.0, Sites.none(0), 5)
    mean, covariance = nothing.moments()
    np.testing.assert_array_equal(mean, np.zeros(3))
    np.testing.assert_array_equal(covariance, np.eye(3))
    assert nothing.log_evidence == 0
    rng = np.random.default_rng(1)
    slopes = rng.standard_normal((6, 3))
    told = (slopes, np.zeros(6), np.zeros(6), np.full(6, np.inf), 0.0)
    whole = believe(*told, Sites.none(6), 50)
    again = believe(*told, whole.sites, 1)
    np.testing.assert_allclose(again.moments()[0], whole.moments()[0], atol=1e-2)
