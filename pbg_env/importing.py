"""Objects of the user's own, named as "module:name"."""

from __future__ import annotations

import importlib
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
