"""Requests to stop a run or to commit it now, from signals or from a host program."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAME_SECONDS = 0.15
"""Interrupts this close are one: a terminal, a shell and ``timeout`` may all pass it on."""

TWICE_SECONDS = 2.0
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")
COMMIT_SIGNALS = ("SIGUSR1",)


class StopFlag:
    """Asks a running `sample` to stop, or to commit; safe from any thread.

    A host program passes one to `nnft.sample` and calls `request` when it wants the run to end with
    a checkpoint. nnft installs no signal handlers in a host program.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line for the stop that was asked for; 0 if none was.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._commit = threading.Event()
        self.exit_code = 0

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def request(self, exit_code: int = 75) -> None:
        """Ask the run to commit and end."""
        self.exit_code = self.exit_code or exit_code
        self._stop.set()

    def request_commit(self) -> None:
        """Ask the run to commit now and go on."""
        self._commit.set()

    def take_commit(self) -> bool:
        """Return whether a commit was asked for, and forget it."""
        asked = self._commit.is_set()
        self._commit.clear()
        return asked


@contextmanager
def signals_to(flag: StopFlag) -> Iterator[None]:
    """Turn signals into requests: SIGINT, SIGTERM, SIGHUP, SIGXCPU stop, SIGUSR1 commits.

    A second SIGINT within two seconds leaves at once; what was committed stays. One that follows at once is
    the same one, which came by two ways. A SIGHUP that is ignored stays ignored, so that a run under
    ``nohup`` outlives its terminal.

    Parameters
    ----------
    flag : StopFlag
    """
    last = [float("-inf")]

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if number == signal.SIGINT and SAME_SECONDS < now - last[0] < TWICE_SECONDS:
            os._exit(128 + number)
        if number == signal.SIGINT and now - last[0] >= TWICE_SECONDS:
            last[0] = now
        flag.request(128 + number)

    def commit(number: int, frame: FrameType | None) -> None:
        del number, frame
        flag.request_commit()

    wanted = dict.fromkeys(STOP_SIGNALS, stop) | dict.fromkeys(COMMIT_SIGNALS, commit)
    numbers = {getattr(signal, name): handler for name, handler in wanted.items() if hasattr(signal, name)}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        del numbers[signal.SIGHUP]
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
