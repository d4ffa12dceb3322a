"""The dueling bandit."""

from __future__ import annotations

import numpy as np
import pytest

from agents.dueling_bandit import DuelingBandit
from pbg_env import Preference, PreferencePairsEnv, sample_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import ask, searched, take_back

FIRST, SECOND, GOOD, BAD = Preference


@pytest.mark.parametrize("seed", range(3))
def test_an_exact_teacher_is_led_to_the_best_arm(generator: StackGANGenerator, seed: int) -> None:
    agent = DuelingBandit(arms=12)
    agent.reset(generator, None, seed)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=seed)
    ask(agent, env, 100)
    # Media are compared in 8 bits, where others may be rounded as the best is.
    assert env.evaluate(agent.destination) == pytest.approx(env.evaluate(agent._noise).max(), abs=1e-3)


def test_the_best_arm_is_found_in_spite_of_mistakes(generator: StackGANGenerator) -> None:
    """Arm k wins over arm l with probability 0.8 where k < l."""
    agent = DuelingBandit(arms=8)
    agent.reset(generator, None, 1)
    rng = np.random.default_rng(2)
    for number in range(1000):
        better = FIRST if agent._first < agent._second else SECOND
        worse = SECOND if better == FIRST else FIRST
        agent.observe(agent.act(None), np.array([better if rng.random() < 0.8 else worse]), [number])
    np.testing.assert_array_equal(agent.destination, agent._noise[0])


def test_questions_concentrate_on_good_arms(generator: StackGANGenerator) -> None:
    env, given = searched(DuelingBandit(arms=12), generator, 150)
    asked = [np.mean([env.evaluate(action[0]).mean() for action, _ in part]) for part in (given[:50], given[-50:])]
    assert asked[1] > asked[0] + 0.05


def test_what_answers_count(generator: StackGANGenerator) -> None:
    agent = DuelingBandit(arms=3)
    agent.reset(generator, None, 0)
    one, other, _ = agent._noise
    for number, answer in enumerate((FIRST, SECOND, SECOND, GOOD, BAD)):
        agent.observe(np.stack((one, other))[None], np.array([answer]), [number])
    np.testing.assert_array_equal(agent._wins, [[0, 1.5, 0], [2.5, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(agent.destination, other)
    stranger = sample_noise((2, 6), np.random.default_rng(9))
    agent.observe(stranger[None], np.array([FIRST]), [5])
    assert agent._wins.sum() == 4


def test_copeland_comes_before_borda(generator: StackGANGenerator) -> None:
    agent = DuelingBandit(arms=4)
    agent.reset(generator, None, 0)
    # The first beats all three narrowly; the second beats two of them by far.
    agent._wins = np.array([[0, 2, 2, 2], [1, 0, 9, 9], [1, 0, 0, 0], [1, 0, 0, 0.0]])
    np.testing.assert_array_equal(agent.destination, agent._noise[0])
    # Without its narrow win they are even, and the margins count.
    agent._wins[0, 3] = 1
    np.testing.assert_array_equal(agent.destination, agent._noise[1])


def test_an_arm_never_meets_itself_and_settled_pairs_rest(generator: StackGANGenerator) -> None:
    agent = DuelingBandit(arms=12)
    _, given = searched(agent, generator, 150, 0)
    pairs = [tuple(sorted(agent._arm(noise) for noise in action[0])) for action, _ in given]  # type: ignore[type-var]
    assert all(one != other for one, other in pairs)
    assert len(set(pairs)) > 20


def test_the_same_seed_gives_the_same_search(generator: StackGANGenerator) -> None:
    one, same, other = (DuelingBandit(arms=12) for _ in range(3))
    (_, given), (_, again), _ = (
        searched(agent, generator, 60, seed, teacher="human") for agent, seed in ((one, 3), (same, 3), (other, 4))
    )
    np.testing.assert_array_equal([action for action, _ in given], [action for action, _ in again])
    np.testing.assert_array_equal(one.destination, same.destination)
    assert not np.array_equal(one.act(None), other.act(None))


def test_taking_back_is_never_having_observed(generator: StackGANGenerator) -> None:
    used, fresh = DuelingBandit(arms=12), DuelingBandit(arms=12)
    _, given = searched(used, generator, 60, teacher="human")
    fresh.reset(generator, None, 3)
    take_back(used, fresh, given, [1, 20])


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="arms is 1 and exploration"):
        DuelingBandit(arms=1)
    with pytest.raises(ValueError, match="expected at least 2 and above 0"):
        DuelingBandit(exploration=0.0)
