"""Objects of the user's own: named as "module:name", and checked before they are used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from inspect import signature
from typing import Any


def imported(source: str, what: str) -> Any:
    """The object that "module:name" names.

    Args:
        source: such as "my_package.my_module:my_function".
        what: it is to be, for the message.

    Raises:
        ValueError: it cannot be imported.
    """
    module, _, name = source.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} {source!r} cannot be imported: {error}") from error


def demand_function(function: Any, what: str, *arguments: str) -> Callable[..., Any]:
    """The function, if it can be called with as many arguments.

    Args:
        function: of the user's own.
        what: it is and does, for the message.
        arguments: their names, for the message.

    Raises:
        ValueError: it is no function, or takes other arguments.
    """
    wanted = f"called with {' and '.join(arguments)}" if arguments else "called without arguments"
    if not callable(function):
        raise ValueError(f"{what} is a {type(function).__name__}; expected a function, {wanted}")
    try:
        signature(function).bind(*arguments)
    except TypeError as error:
        raise ValueError(f"{what} takes other arguments ({error}); expected a function, {wanted}") from error
    except ValueError:
        # Some functions that are not written in Python tell nothing of their arguments.
        pass
    return function


def demand_members(candidate: Any, what: str, protocol: Any) -> Any:
    """The object, if it is an instance with the members of the protocol.

    Raises:
        ValueError: it lacks some, or is a class.
    """
    members = [member for member in vars(protocol) if not member.startswith("_")]
    if isinstance(candidate, type):
        raise ValueError(f"{what} is the class {candidate.__name__} itself; expected an instance of it")
    if missing := [member for member in members if not hasattr(candidate, member)]:
        raise ValueError(
            f"{what}, a {type(candidate).__name__}, lacks {', '.join(missing)}; expected an object with the members "
            f"{', '.join(members)}"
        )
    return candidate


def made_by(name: str, what: str, protocol: Any) -> Any:
    """What the user's own function "module:function", called without arguments, returns.

    Raises:
        ValueError: it cannot be imported or called so, or what it returns lacks members of the protocol.
    """
    function = demand_function(imported(name, what), f"{what} {name!r}")
    return demand_members(function(), f"what {what} {name!r} returned", protocol)
