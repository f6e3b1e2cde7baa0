"""How long this process has spent on compiling kernels; what comes out of the cache costs nothing here."""

from __future__ import annotations

from numba.core import event

_clock = event.TimingListener()
event.register("numba:compile", _clock)


def compile_seconds() -> float:
    """Return the seconds that this process has compiled since this module was imported."""
    return float(_clock.duration) if _clock.done else 0.0
