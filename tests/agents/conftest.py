from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.reference.__main__ import parser
from agents.reference.agent import ReferenceAgent

CONFIGS = Path(__file__).parents[2] / "configs" / "agents"


@pytest.fixture(params=["original", "reference"])
def config(request: pytest.FixtureRequest) -> str:
    """The name of each configuration we ship."""
    return str(request.param)


def agent_from(name: str, *overrides: str) -> ReferenceAgent:
    line = parser()
    arguments: Any = line.parse_args(["--config", str(CONFIGS / f"{name}.yaml"), *overrides])
    return line.instantiate(arguments).agent
