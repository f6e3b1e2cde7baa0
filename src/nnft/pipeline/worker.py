"""Work in a thread of its own, so that the main thread can answer signals."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable
from typing import Any


class _Token:
    """Lives as long as the thread that it was given to."""


class Worker:
    """A thread at work.

    Where memory is short a thread may die before it runs a line of Python; `threading.Thread.start` waits for
    ever then, this class does not.

    Parameters
    ----------
    work : callable
        Without arguments.

    Raises
    ------
    MemoryError
        If no thread can be started.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._finished = threading.Event()
        self._outcome: dict[str, Any] = {}
        token = _Token()
        self._thread = weakref.ref(token)
        try:
            _thread.start_new_thread(self._run, (work, token))
        except RuntimeError as error:
            raise MemoryError("no thread can be started") from error

    def _run(self, work: Callable[[], Any], token: _Token) -> None:
        del token
        try:
            self._outcome["value"] = work()
        except BaseException as error:
            self._outcome["error"] = error
        finally:
            self._finished.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the work, up to some seconds; True once it has ended, or its thread is gone."""
        return self._finished.wait(seconds) or self._thread() is None

    def result(self) -> Any:
        """Return what the work returned; its error is raised.

        Raises
        ------
        MemoryError
            If the thread died before it began.
        """
        if "error" in self._outcome:
            raise self._outcome["error"]
        if "value" not in self._outcome:
            raise MemoryError("a thread died before it began")
        return self._outcome["value"]
