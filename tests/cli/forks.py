"""Commands in processes that are forked off one that has imported the libraries: start-up costs nothing.

A command that is given no environment, no prefix and no streams of its own runs in such a process: its own
process number, folder, variables, standard streams and exit code, as a command that is started anew has, but
without the second that imports take. All others are started anew.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LEFT_OUT = ("nnft.plots", "nnft.__main__")
"""Modules whose libraries a command imports where it needs them."""

MESSAGE = 1 << 17


class Forks:
    """A process from which commands are forked.

    Parameters
    ----------
    script : Path
        What commands see as their name.
    variables : mapping of str to str
        Its environment.
    """

    def __init__(self, script: Path, variables: Mapping[str, str]) -> None:
        self._script = script
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(there.fileno())],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
        )
        there.close()

    def run(
        self, words: Sequence[str], folder: Path, variables: Mapping[str, str], patience: float
    ) -> tuple[int, str, str]:
        """Run a command to its end; returns exit code, standard output and standard error.

        Raises
        ------
        subprocess.TimeoutExpired
            It took longer than `patience` seconds, and was killed.
        """
        request = {"words": [str(self._script), *words], "folder": str(folder), "variables": dict(variables)}
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, here:
            with there:
                streams = [there.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(self._here, [json.dumps(request).encode()], streams)
            here.settimeout(patience)
            process = int(here.recv(64))
            try:
                code = int(here.recv(64))
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, patience) from None
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode("utf-8", "surrogateescape"))
        return code, *texts

    def close(self) -> None:
        """End the process."""
        self._here.close()
        self._process.wait()


def serve(number: int) -> None:
    """Fork a process for each request that comes over a socket."""
    import nnft

    for module in pkgutil.walk_packages(nnft.__path__, "nnft."):
        if not module.name.startswith(LEFT_OUT):
            importlib.import_module(module.name)
    with socket.socket(fileno=number) as requests:
        while True:
            message, streams, _, _ = socket.recv_fds(requests, MESSAGE, 3)
            if not message:
                return
            if os.fork() == 0:
                requests.close()
                watch(json.loads(message), streams)
            for stream in streams:
                os.close(stream)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def watch(request: dict[str, object], streams: Sequence[int]) -> None:
    """Fork the command of a request, say its number and how it ends; does not return."""
    process = os.fork()
    if process == 0:
        os.close(streams[0])
        become(request, streams[1:])
    with socket.socket(fileno=streams[0]) as answers:
        answers.send(str(process).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with contextlib.suppress(OSError):
            answers.send(str(code).encode())
    os._exit(0)


def become(request: dict[str, object], streams: Sequence[int]) -> None:
    """Be the command of a request; does not return."""
    try:
        for place, stream in enumerate(streams, start=1):
            os.dup2(stream, place)
            os.close(stream)
        os.chdir(str(request["folder"]))
        os.environ.clear()
        os.environ.update(request["variables"])  # type: ignore[call-overload]
        sys.argv = list(request["words"])  # type: ignore[call-overload]
        from nnft.cli.main import run

        run()
    except BaseException:
        import traceback

        traceback.print_exc()
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    for signal_number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_DFL)
    serve(int(sys.argv[1]))
