"""Which view is followed, after what views foretold and whose recommendations were preferred."""

from __future__ import annotations

import pytest

from agents.posterior.contest import Contest

FIRST, SECOND, TIE = {"noise": 1.0, "values": 0.0}, {"noise": 0.0, "values": 1.0}, {"noise": 0.5, "values": 0.5}


def heard(contest: Contest, **foretold: float) -> int:
    """Answers until a comparison is due, at most 200."""
    for number in range(200):
        if contest.challenger is not None:
            return number
        contest.hear(foretold)
    return 200


def test_the_first_view_is_followed_and_compared_after_a_while() -> None:
    contest = Contest(["noise", "values"])
    assert contest.followed == "noise"
    assert heard(contest, noise=0.0, values=-0.1) == 20
    assert contest.challenger == "values"


def test_a_view_that_foretells_what_the_followed_one_cannot_is_compared_sooner() -> None:
    contest = Contest(["noise", "values"])
    assert heard(contest, noise=9.0, values=0.6) == 4
    contest = Contest(["noise", "values"])
    assert heard(contest, noise=9.0, values=0.1) == 6
    # Where it has lost there is more to make up for: 1.1, and 0.6 - 1.1 to begin with.
    contest.decide(FIRST)
    assert contest.ahead["values"] == pytest.approx(-0.5)
    assert heard(contest, noise=9.0, values=0.1) == 11


def test_of_several_the_one_that_is_most_ahead_is_compared() -> None:
    contest = Contest(["noise", "values", "deep"])
    heard(contest, noise=0.5, values=-0.02, deep=-0.01)
    assert contest.challenger == "deep"
    assert contest.ahead.keys() == {"values", "deep"}


def test_what_was_foretold_wrongly_is_forgotten_in_time() -> None:
    contest = Contest(["noise", "values"])
    for _ in range(50):
        contest.hear({"noise": 0.0, "values": -1.0})
    assert contest.ahead == {"values": -2.0}
    # Two comparisons are enough in any case.
    contest.decide(SECOND)
    assert contest.followed == "noise"
    contest.decide(SECOND)
    assert contest.followed == "values"


def test_who_is_preferred_is_followed_and_has_to_defend_itself_soon() -> None:
    contest = Contest(["noise", "values"])
    contest.hear({"noise": 0.0, "values": -0.1})
    contest.decide(SECOND)
    assert contest.followed == "values"
    assert contest.ahead == {"noise": pytest.approx(-1.0)}
    assert contest.challenger is None
    assert heard(contest, noise=0.0, values=0.0) == 8


def test_odds_of_others_are_those_to_the_view_that_is_followed() -> None:
    contest = Contest(["noise", "values", "deep"])
    contest.hear({"noise": 0.0, "values": 0.2, "deep": 0.1})
    contest.decide(SECOND)
    assert contest.ahead == {"noise": pytest.approx(-1.3), "deep": pytest.approx(-1.2)}


def test_every_comparison_won_doubles_the_time_to_the_next_up_to_three() -> None:
    contest = Contest(["noise", "values"])
    waited = []
    for _ in range(5):
        waited.append(heard(contest, noise=0.0, values=0.0))
        contest.decide(FIRST)
    assert waited == [20, 40, 80, 160, 160]


def test_what_lost_before_has_to_win_more_often() -> None:
    contest = Contest(["noise", "values"])
    contest.decide(FIRST)
    contest.decide(SECOND)
    assert contest.followed == "noise"
    # It is asked again soon.
    assert heard(contest, noise=0.0, values=0.0) == 20
    contest.decide(SECOND)
    assert contest.followed == "values"


def test_where_neither_is_preferred_all_stays_but_the_time() -> None:
    contest = Contest(["noise", "values"])
    heard(contest, noise=0.0, values=0.0)
    contest.decide(TIE)
    assert contest.followed == "noise"
    assert contest.challenger is None
    assert heard(contest, noise=0.0, values=0.0) == 20


def test_one_view_is_never_compared() -> None:
    contest = Contest(["values"])
    assert heard(contest, values=5.0) == 200
