"""Progress of a run: a bar on a terminal, one plain line every half minute elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Protocol, TextIO

from nnft._kernels.compile_time import compile_seconds
from nnft.spec.plan_text import time_text

LINE_SECONDS = 30.0


class Progress(Protocol):
    """What a run tells about itself while it works."""

    def update(self, done: float, relative_error: float | None) -> None:
        """Note the networks done and the relative error of the connected four-point function.

        Networks on their way count by the share of their way that is done.
        """

    def note(self, text: str) -> None:
        """Show one line."""

    def close(self) -> None:
        """End the display."""


class Silent:
    """Shows nothing."""

    def update(self, done: float, relative_error: float | None) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """Writes one line every 30 s."""

    def __init__(self, total: int, done: float, stream: TextIO) -> None:
        self._total, self._start_done, self._stream = total, done, stream
        self._start = self._last = time.monotonic()
        self._compiling = compile_seconds()

    def update(self, done: float, relative_error: float | None) -> None:
        """Write a line if the last one is old; what was spent on compiling says nothing about the rest."""
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        working = now - self._start - (compile_seconds() - self._compiling)
        rate = (done - self._start_done) / max(working, 1e-9)
        speed = ""
        if rate > 0.0:
            left = (self._total - done) / rate
            speed = f", {rate:.3g} networks/s, about {time_text(left)} left"
        share = "" if done == int(done) else f" ({done / self._total:.1%})"
        error = "" if relative_error is None else f", relative error of connected G4 {relative_error:.2g}"
        self.note(f"{int(done)} of {self._total} networks{share}{speed}{error}")

    def note(self, text: str) -> None:
        """Write one line."""
        self._stream.write(f"nnft: {text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing."""


class Bar:
    """A tqdm bar."""

    def __init__(self, total: int, done: float, stream: TextIO) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=total, initial=done, unit=" networks", unit_scale=True, file=stream, dynamic_ncols=True
        )

    def update(self, done: float, relative_error: float | None) -> None:
        """Move the bar."""
        if relative_error is not None:
            self._bar.set_postfix_str(f"G4 error {relative_error:.1%}", refresh=False)
        self._bar.update(done - self._bar.n)

    def note(self, text: str) -> None:
        """Write one line above the bar."""
        self._bar.write(f"nnft: {text}", file=self._bar.fp)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


def make_progress(total: int, done: float, show: bool) -> Progress:
    """Return the display that suits standard error."""
    stream = sys.stderr
    if not show or stream is None:
        return Silent()
    try:
        terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        terminal = terminal and min(os.get_terminal_size(stream.fileno())) > 0
    except (OSError, ValueError):
        terminal = False
    return Bar(total, done, stream) if terminal else Lines(total, done, stream)
