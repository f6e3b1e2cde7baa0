"""The command line: a command parses, calls one function, prints."""

from __future__ import annotations


def main() -> None:
    """Run the ``nnft`` command."""
    from nnft.cli.main import run

    run()
