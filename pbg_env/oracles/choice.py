"""Finds the oracle that an environment's arguments describe."""

from __future__ import annotations

from pbg_env.importing import made_by
from pbg_env.oracles.base import Oracle
from pbg_env.oracles.human import HumanOracle
from pbg_env.oracles.random import RandomOracle

TARGET = "target"
HUMAN = "human"


def oracle_named(name: str) -> Oracle:
    """An oracle without a target: "human", "random", or one of the user's own as "module:function".

    Raises:
        ValueError: unknown name, or the function returns no oracle.
        ImportError: what a page for a person takes is not installed.
    """
    if name == HUMAN:
        return HumanOracle()
    if name == "random":
        return RandomOracle()
    module, colon, function = name.partition(":")
    if not (colon and module and function):
        raise ValueError(f"unknown oracle {name!r}; expected 'target', 'human', 'random' or 'module:function'")
    return made_by(name, "oracle", Oracle)
