"""Who answers: simulated users."""

from pbg_env.oracles.base import Oracle
from pbg_env.oracles.random import RandomOracle
from pbg_env.oracles.target import TargetOracle, UtilityOracle
from pbg_env.oracles.teacher import TEACHERS, Teacher

__all__ = ["TEACHERS", "Oracle", "RandomOracle", "TargetOracle", "Teacher", "UtilityOracle"]
