"""Ctrl-C that waits for the step in progress."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from tqdm import tqdm


class Interruption:
    """Within it the first Ctrl-C is remembered, so that no step is left half done; the second aborts at once.

    Args:
        at_once: whether the first, too, is to abort at once.
        hurry: called at the first, to end a step that may take long.
    """

    def __init__(self, at_once: Callable[[], bool], hurry: Callable[[], None] = lambda: None) -> None:
        self.wanted = False
        """Whether Ctrl-C was pressed."""
        self._at_once = at_once
        self._hurry = hurry
        self._before: Any = None

    def __enter__(self) -> Interruption:
        # Python lets no other thread handle signals.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.wanted or self._at_once():
            raise KeyboardInterrupt
        self.wanted = True
        self._hurry()
        tqdm.write("stopping at the end of this step; Ctrl-C again aborts at once", file=sys.stderr)
