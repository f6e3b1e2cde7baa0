"""A sign of life where a command is silent for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

SECONDS = 2.0


@contextmanager
def patience(text: str, seconds: float = SECONDS) -> Iterator[None]:
    """Say on standard error what is being done, once it has taken a while."""
    timer = threading.Timer(seconds, lambda: click.echo(f"nnft: {text}", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
