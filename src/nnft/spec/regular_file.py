"""Reading a file that somebody else made: never blocking, never more than allowed, never half of a change."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from nnft.errors import NnftError, shorten

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_REASONS = {
    errno.EACCES: "not readable",
    errno.EPERM: "not readable",
    errno.ELOOP: "a loop of links",
    errno.ENAMETOOLONG: "a name too long for the file system",
    errno.ENXIO: "a socket",
}


def named(path: Path) -> str:
    """Return `path` quoted and cut at the front to 70 characters, so that the file name stays."""
    text = repr(str(path))
    return text if len(text) <= 70 else "'..." + text[-66:]


@contextmanager
def open_regular(path: Path, refusal: type[NnftError], what: str) -> Iterator[tuple[BufferedReader, int]]:
    """Open a regular file for reading and notice when it changes meanwhile.

    Parameters
    ----------
    path : Path
        The file; links are followed.
    refusal : type of NnftError
        Raised for everything that is wrong.
    what : str
        What the file is called in messages, such as ``"card"``.

    Yields
    ------
    file : binary file
        At its beginning.
    size : int
        Bytes of the file when it was opened.

    Raises
    ------
    NnftError
        Of the class `refusal`: the file is missing, not a regular file, unreadable, or changed while open.
    """
    try:
        # Opening a device can have effects, so look first; the second look, at what was opened, decides.
        _refuse_kind(os.stat(path).st_mode, path, refusal, what)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise refusal(
            f"no such {what}: got {named(path)}; working directory is {shorten(os.getcwd())}"
        ) from None
    except ValueError:
        raise refusal(f"impossible path of the {what}: got {named(path)}; give a file name") from None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0).lower())
        raise refusal(f"cannot read the {what} {named(path)}: got {reason}; give a readable file") from None
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        _refuse_kind(before.st_mode, path, refusal, what)
        yield file, before.st_size
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise refusal(
            f"{what} {named(path)} changed while it was read: got another size or time; read it again"
        )


def read_regular(path: Path, limit: int, refusal: type[NnftError], what: str) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes; larger ones are refused before reading.

    Raises
    ------
    NnftError
        Of the class `refusal`; see `open_regular`.
    """
    with open_regular(path, refusal, what) as (file, size):
        if size > limit:
            raise refusal(f"{what} {named(path)} too large: got {size} bytes; at most {limit} are read")
        data = file.read(limit + 1)
        if len(data) > limit:
            raise refusal(f"{what} {named(path)} too large: got more than {limit} bytes; make it smaller")
    return data


def _refuse_kind(mode: int, path: Path, refusal: type[NnftError], what: str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
        raise refusal(f"{what} {named(path)} is no regular file: got {kind}; give a file")
