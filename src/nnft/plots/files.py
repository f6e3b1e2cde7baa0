"""Picture files: refused before anything is computed, written in one step."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nnft.errors import EnvironmentRefusal, UsageError, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
LONGEST_NAME = 255
DOTS_PER_INCH = 200
# No dates: the same numbers give the same bytes.
METADATA: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
}


def check_picture(path: str | os.PathLike[str]) -> Path:
    """Refuse a picture that cannot be drawn or written; to be called before anything is computed.

    Parameters
    ----------
    path : str or path
        Ends in .svg, .png or .pdf. A picture that stands there will be replaced.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        Another suffix, an impossible name, no such folder, or something there that is not a regular file.
    EnvironmentRefusal
        matplotlib is missing, or the folder may not be written to.
    """
    picture = check_written_file(path, SUFFIXES)
    require_matplotlib()
    return picture


def check_written_file(
    path: str | os.PathLike[str], suffixes: tuple[str, ...], what: str = "picture"
) -> Path:
    """Refuse a file that cannot be written; to be called before anything is computed.

    Parameters
    ----------
    path : str or path
    suffixes : tuple of str
        Allowed ends of the name.
    what : str
        What the file is, for the line of a refusal.

    Raises
    ------
    UsageError
        Another suffix, an impossible name, no such folder, or something there that is not a regular file.
    EnvironmentRefusal
        The folder may not be written to.
    """
    file = Path(path)
    text = str(file)
    if file.suffix.lower() not in suffixes:
        raise UsageError(f"unknown kind of {what}: got {shorten(text)}; allowed: {', '.join(suffixes)}")
    if any(character < " " for character in text):
        raise UsageError(f"control character in the name of the {what}: got {shorten(text)}")
    try:
        exists, folder_exists = file.exists(), file.absolute().parent.is_dir()
    except OSError as failure:
        raise UsageError(f"impossible {what}: got {shorten(text)}; {failure.strerror}") from failure
    if len(os.fsencode(file.name)) > LONGEST_NAME:
        raise UsageError(f"name of the {what} is too long: got {shorten(file.name)}; at most 255 bytes")
    if not folder_exists:
        folder = shorten(str(file.parent))
        raise UsageError(f"folder of the {what} does not exist: got {folder}; make it first")
    if exists and not file.is_file():
        raise UsageError(f"{what} is not a regular file: got {shorten(text)}; choose another name")
    if not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise _refusal(file, denied, what)
    return file


def require_matplotlib() -> None:
    """Refuse where matplotlib cannot be imported.

    Raises
    ------
    EnvironmentRefusal
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as failure:
        if failure.name != "matplotlib":
            raise _unusable(failure) from failure
        raise EnvironmentRefusal(
            'matplotlib is missing: got no module of that name; pip install "nnft[plots]"'
        ) from failure
    except ImportError as failure:
        raise _unusable(failure) from failure


def _unusable(failure: ImportError) -> EnvironmentRefusal:
    return EnvironmentRefusal(
        f'matplotlib cannot be imported: got {shorten(str(failure))}; pip install --upgrade "nnft[plots]"'
    )


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure; at its name stands either the old or the new picture, complete.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or path
        See `check_picture`. The same figure gives the same bytes.

    Returns
    -------
    Path

    Raises
    ------
    EnvironmentRefusal
        The disk, its quota or its permissions refuse; no part of a file is left.
    """
    picture = Path(path)
    suffix = picture.suffix.lower()
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=METADATA[suffix])
    publish_bytes(picture, content.getbuffer())
    return picture


def publish_bytes(path: Path, content: bytes | memoryview, what: str = "picture") -> None:
    """Write a file in one step: at its name stands either the old or the new one, complete.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    content : bytes or memoryview
    what : str
        What the file is, for the line of a refusal.

    Raises
    ------
    EnvironmentRefusal
        The disk, its quota or its permissions refuse; no part of a file is left.
    """
    with _environment_errors(path, what):
        temporary = path.with_name(f".nnft-{what}-{secrets.token_hex(6)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _environment_errors(path: Path, what: str) -> Iterator[None]:
    """Turn every `OSError` of the block into one `EnvironmentRefusal` line about `path`."""
    try:
        yield
    except OSError as failure:
        raise _refusal(path, failure, what) from failure


def _refusal(path: Path, failure: OSError, what: str = "picture") -> EnvironmentRefusal:
    name = errno.errorcode.get(failure.errno or 0, "unknown")
    return EnvironmentRefusal(
        f"cannot write {what} {shorten(str(path))}: got {failure.strerror or failure} ({name}); "
        f"{_advice(failure.errno)}"
    )


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free space or raise the limit"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a folder you may write to"
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "create the folder first"
    return "check the disk"
