"""Who answers: simulated users, or a person."""

from pbg_env.oracles.base import Oracle
from pbg_env.oracles.human import HumanOracle
from pbg_env.oracles.person import NoAnswer, Person, Reply
from pbg_env.oracles.random import RandomOracle
from pbg_env.oracles.target import TargetOracle, UtilityOracle
from pbg_env.oracles.teacher import TEACHERS, Teacher

__all__ = [
    "TEACHERS",
    "HumanOracle",
    "NoAnswer",
    "Oracle",
    "Person",
    "RandomOracle",
    "Reply",
    "TargetOracle",
    "Teacher",
    "UtilityOracle",
]
