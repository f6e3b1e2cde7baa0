"""The command line: a command parses, calls one function, prints."""

from __future__ import annotations

import os


def main() -> None:
    """Run the ``nnft`` command."""
    try:
        from nnft.cli.main import run
    except KeyboardInterrupt:
        os.write(2, b"nnft: error: interrupted\n")
        os._exit(130)
    run()
