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
    picture = Path(path)
    text = str(picture)
    if picture.suffix.lower() not in SUFFIXES:
        raise UsageError(f"unknown kind of picture: got {shorten(text)}; allowed: {', '.join(SUFFIXES)}")
    if any(character < " " for character in text):
        raise UsageError(f"control character in the name of the picture: got {shorten(text)}")
    try:
        exists, folder_exists = picture.exists(), picture.absolute().parent.is_dir()
    except OSError as failure:
        raise UsageError(f"impossible picture: got {shorten(text)}; {failure.strerror}") from failure
    if len(os.fsencode(picture.name)) > LONGEST_NAME:
        raise UsageError(f"name of the picture is too long: got {shorten(picture.name)}; at most 255 bytes")
    if not folder_exists:
        folder = shorten(str(picture.parent))
        raise UsageError(f"folder of the picture does not exist: got {folder}; make it first")
    if exists and not picture.is_file():
        raise UsageError(f"picture is not a regular file: got {shorten(text)}; choose another name")
    if not os.access(picture.absolute().parent, os.W_OK | os.X_OK):
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise _refusal(picture, denied)
    require_matplotlib()
    return picture


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
    with _environment_errors(picture):
        temporary = picture.with_name(f".nnft-picture-{secrets.token_hex(6)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(descriptor)
            temporary.replace(picture)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return picture


@contextlib.contextmanager
def _environment_errors(path: Path) -> Iterator[None]:
    """Turn every `OSError` of the block into one `EnvironmentRefusal` line about `path`."""
    try:
        yield
    except OSError as failure:
        raise _refusal(path, failure) from failure


def _refusal(path: Path, failure: OSError) -> EnvironmentRefusal:
    name = errno.errorcode.get(failure.errno or 0, "unknown")
    return EnvironmentRefusal(
        f"cannot write picture {shorten(str(path))}: got {failure.strerror or failure} ({name}); "
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
