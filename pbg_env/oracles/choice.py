"""Finds the oracle that an environment's arguments describe."""

from __future__ import annotations

import importlib
from typing import Any

from pbg_env.oracles.base import Oracle
from pbg_env.oracles.random import RandomOracle

TARGET = "target"


def oracle_named(name: str) -> Oracle:
    """An oracle without a target: "random", or one of the user's own as "module:function".

    Raises:
        ValueError: unknown name, or the function returns no oracle.
    """
    if name == "random":
        return RandomOracle()
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise ValueError(f"unknown oracle {name!r}; expected 'target', 'random' or 'module:function'")
    try:
        function: Any = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"oracle {name!r} cannot be imported: {error}") from error
    oracle = function()
    if not isinstance(oracle, Oracle):
        raise ValueError(f"oracle {name!r} returned a {type(oracle).__name__}, which has no method compare")
    return oracle
