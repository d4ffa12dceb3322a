"""Who answers: simulated users."""

from pbg_env.oracles.base import Oracle
from pbg_env.oracles.random import RandomOracle
from pbg_env.oracles.target import TargetOracle
from pbg_env.oracles.teacher import Teacher

__all__ = ["Oracle", "RandomOracle", "TargetOracle", "Teacher"]
