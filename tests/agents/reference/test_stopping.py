"""When the agent is done."""

from __future__ import annotations

import numpy as np
import pytest

from agents.reference.stopping import AfterRounds, NoMovement


def path(*places: float) -> list[np.ndarray]:
    return [np.array([place, 0.0], np.float32) for place in places]


def test_after_rounds() -> None:
    assert AfterRounds(2).reason(path(0, 1)) == ""
    assert AfterRounds(2).reason(path(0, 1, 2)) == "rounds"
    assert AfterRounds(None).reason(path(*range(1000))) == ""


def test_no_movement_in_the_last_rounds() -> None:
    stop = NoMovement(rounds=2, distance=0.1)
    assert stop.reason(path(0, 0)) == ""
    assert stop.reason(path(0, 1, 1, 1.05)) == "no movement"
    # One move that is long enough, and counting begins again.
    assert stop.reason(path(0, 1, 1, 1, 1.2)) == ""
    assert stop.reason(path(0, 1, 1, 1, 1.2, 1.2)) == ""
    # Small steps are no movement even where they add up.
    assert stop.reason(path(0, 0.09, 0.18)) == "no movement"


@pytest.mark.parametrize(("stop", "settings"), [(AfterRounds, {"rounds": 0}), (NoMovement, {"distance": 0.0})])
def test_mistakes(stop: type, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        stop(**settings)
