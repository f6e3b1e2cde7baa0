"""Driving the real ``nnft`` command in processes of its own, and comparing what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
from forks import Forks

SEED = 20240601
SCRIPT = Path(sys.executable).with_name("nnft")
VOLATILE = ("/provenance", "/runtime", "/config")
PATIENCE = 180.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        """Lines on standard error."""
        return self.err.splitlines()


def default_signals() -> None:
    """Undo what the tests' own parent may have ignored: a background job, nohup."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Nnft:
    """Runs ``nnft`` in a folder; no traceback, no signal of its own, no long line is ever accepted."""

    forks: ClassVar[tuple[str, Forks] | None] = None
    """A folder of compiled kernels, and the process from which commands that use it are forked."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str | None] = {"NNFT_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": None}

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Return the environment with some variables set anew, or removed (None)."""
        wanted: dict[str, str | None] = {**os.environ, **self.variables, **changes}
        return {name: value for name, value in wanted.items() if value is not None}

    def start(
        self,
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        prefix: Sequence[str | Path] = (SCRIPT,),
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        streams: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "preexec_fn": default_signals,
        }
        return subprocess.Popen(
            [*prefix, *words],
            cwd=self.folder,
            env=self.environment(env or {}),
            text=True,
            errors="surrogateescape",
            **(streams | options),
        )

    def __call__(self, *words: str | Path, **options: Any) -> Outcome:
        """Run a command to its end; in a process that was started anew if `options` say how to start it."""
        begun = time.monotonic()
        if options or self.forks is None or self.forks[0] != self.variables["NNFT_CACHE_DIR"]:
            return finish(self.start(*words, **options), begun)
        texts, variables = [str(word) for word in words], self.environment({})
        code, out, err = self.forks[1].run(texts, self.folder, variables, PATIENCE)
        return seen(Outcome(code, out, err, time.monotonic() - begun))

    def card(self, name: str = "card.toml", **keys: Any) -> Path:
        """Write a card; keys as in `card_text`."""
        path = self.folder / name
        path.write_text(card_text(**keys), encoding="utf-8")
        return path


def finish(process: subprocess.Popen[str], begun: float | None = None) -> Outcome:
    """Wait for a process and look at what every ending must be like."""
    begun = time.monotonic() if begun is None else begun
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return seen(Outcome(process.returncode, out or "", err or "", time.monotonic() - begun))


def seen(outcome: Outcome) -> Outcome:
    """Return how a command ended; no ending may show a traceback."""
    assert "Traceback" not in outcome.err + outcome.out, outcome.err
    return outcome


def card_text(
    widths: str = "[8, 8]",
    activation: str = "tanh",
    points: str = "points = [[1.0, 0.5], [0.2, -1.0]]",
    networks: int = 400,
    seed: int | None = SEED,
    correlators: str = "[2, 4]",
    fields: str = "0",
    checkpoint_seconds: float = 30.0,
    network: str = "",
    ensemble: str = "",
) -> str:
    """Return a card; `network` and `ensemble` are further lines of those tables."""
    return f"""
[network]
widths = {widths}
activation = "{activation}"
{network}
[inputs]
{points}
[ensemble]
networks = {networks}
{"" if seed is None else f"seed = {seed}"}
{ensemble}
[estimate]
correlators = {correlators}
[store]
fields = {fields}
checkpoint_seconds = {checkpoint_seconds}
"""


def refused(outcome: Outcome, code: int, *words: str, lines: int = 1) -> None:
    """Assert that a command ended with `code` and with `lines` clear lines that hold all `words`."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert len(outcome.lines) == lines, outcome.err
    for line in outcome.lines:
        assert line.startswith("nnft: error: "), line
        assert len(line) <= 200, line
        assert line.isprintable(), line
    for word in words:
        assert word in outcome.err, outcome.err


def results(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return type, shape and bytes of every data set of a run file that must not depend on the machine."""
    found: dict[str, tuple[str, tuple[int, ...], bytes]] = {}

    def visit(name: str, member: object) -> None:
        if isinstance(member, h5py.Dataset) and not f"/{name}".startswith(VOLATILE):
            found[name] = (str(member.dtype), member.shape, member[()].tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        found["result_digest"] = ("text", (), str(file.attrs["result_digest"]).encode())
    return found


def fields_bytes(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file in the folder of the stored fields."""
    folder = path.with_name(path.name + ".fields")
    return {entry.name: entry.read_bytes() for entry in sorted(folder.iterdir())} if folder.is_dir() else {}


def everything(path: Path) -> tuple[object, object]:
    """Return all that must be equal between two runs of one card."""
    return results(path), fields_bytes(path)


def networks_done(path: Path) -> int:
    """Return the commit counter of a run file."""
    with h5py.File(path, "r") as file:
        return int(file.attrs["networks_done"])


def wait_for(path: Path, process: subprocess.Popen[str], at_least: int = 0) -> None:
    """Wait until a run has committed so many networks."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if path.exists() and networks_done(path) >= at_least:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise TimeoutError(f"no checkpoint of {at_least} networks")
