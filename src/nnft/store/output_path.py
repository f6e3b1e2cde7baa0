"""May a file be written under a name: refused before anything is computed or touched."""

from __future__ import annotations

import os
from pathlib import Path

from nnft.errors import UsageError, shorten

LONGEST_NAME = 255


def check_output_path(path: Path) -> bool:
    """Refuse a result file that cannot be written; return whether it exists.

    Raises
    ------
    UsageError
        An impossible name, no such folder, or not a regular file.
    """
    try:
        exists = path.exists()
        folder_exists = path.absolute().parent.is_dir()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"impossible result file: got {shorten(str(path))}; {reason}") from error
    if any(character < " " for character in str(path)):
        raise UsageError(f"control character in the name of the result file: got {shorten(str(path))}")
    if len(os.fsencode(path.name)) > LONGEST_NAME - 32:
        raise UsageError(f"name of the result file is too long: got {shorten(path.name)}; at most 220 bytes")
    if not folder_exists:
        folder = shorten(str(path.parent))
        raise UsageError(f"folder of the result file does not exist: got {folder}; make it first")
    if exists and not path.is_file():
        raise UsageError(f"result file is not a regular file: got {shorten(str(path))}; choose another name")
    return exists
