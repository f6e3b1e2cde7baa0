"""The folder of a scan: may it be used, its index on the disk, and the files of its members."""

from __future__ import annotations

import os
from pathlib import Path

from nnft.analysis.scan_index import INDEX_NAME, ScanIndex, ScanMember, open_scan
from nnft.errors import DataFileError, EnvironmentRefusal, UsageError, shorten
from nnft.pipeline.sample import remove_outputs
from nnft.pipeline.target import outputs_folder
from nnft.store.atomic import PREVIOUS_SUFFIX, environment_errors, sync_path, temporary_name
from nnft.store.lock import LOCK_SUFFIX, RunLock
from nnft.store.reader import read_run

LONGEST_PATH = 3500


def check_folder(folder: Path, overwrite: bool, resume: bool) -> None:
    """Refuse a folder that must not be used, before anything is touched.

    Raises
    ------
    UsageError
        Holds a scan and neither overwrite nor resume; holds other files; no folder; nowhere to make it.
    DataFileError
        Resume without a scan.
    """
    if overwrite and resume:
        raise UsageError("contradiction: got both --overwrite and --resume; give one of them")
    text = str(folder)
    if any(character < " " for character in text) or len(os.fsencode(text)) > LONGEST_PATH:
        raise UsageError(f"impossible folder of the scan: got {shorten(text)}; choose another name")
    try:
        exists, parent_exists = folder.exists(), folder.absolute().parent.is_dir()
        if exists and not folder.is_dir():
            raise UsageError(f"output of a scan is no folder: got {shorten(text)}; choose another name")
        names = {entry.name for entry in folder.iterdir()} if exists else set()
    except OSError as error:
        raise UsageError(f"impossible folder of the scan: got {shorten(text)}; {error.strerror}") from error
    if not exists and not parent_exists:
        raise UsageError(f"folder around the scan does not exist: got {shorten(text)}; make it first")
    if resume and INDEX_NAME not in names:
        raise DataFileError(f"nothing to resume: got no scan in {shorten(text)}; leave out --resume")
    if INDEX_NAME in names and not overwrite and not resume:
        raise UsageError(f"folder holds a scan: got {shorten(text)}; add --overwrite or --resume")
    others = {name for name in names if not name.startswith((f".{INDEX_NAME}", INDEX_NAME + LOCK_SUFFIX))}
    if others and INDEX_NAME not in names:
        raise UsageError(f"folder holds other files: got {shorten(text)}; choose an empty or a new one")


def publish_index(index: ScanIndex, lock: RunLock) -> None:
    """Write the index: temporary name, sync, rename.

    Raises
    ------
    EnvironmentRefusal
        The disk refuses, or the lock is gone; the last index stands.
    """
    if not lock.still_held():
        raise EnvironmentRefusal(
            f"lock of the scan {shorten(str(index.folder), 40)} is gone: got no lock of this process; "
            "another scan may be writing"
        )
    draft = temporary_name(index.path)
    with environment_errors(index.path):
        try:
            with open(draft, "xb") as file:
                file.write(index.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(index.path)
        finally:
            draft.unlink(missing_ok=True)
    sync_path(index.folder)


def remove_members(folder: Path) -> None:
    """Remove the run files that the index in `folder` names.

    Raises
    ------
    DataFileError
        The index cannot be read.
    EnvironmentRefusal
        A run file is being written, or the disk refuses.
    """
    index = open_scan(folder)
    for member in index.members:
        path = index.member_path(member)
        with RunLock(path), environment_errors(path):
            for name in (path, path.with_name(path.name + PREVIOUS_SUFFIX)):
                name.unlink(missing_ok=True)
            if outputs_folder(path).is_dir():
                remove_outputs(outputs_folder(path))


def check_member_file(path: Path, member: ScanMember) -> None:
    """Compare a run file with what the index says about it; data of a finished one with their checksums.

    Raises
    ------
    DataFileError
        Damaged, or the file of another run.
    """
    with read_run(path) as stored:
        if stored.text("digest") != member.digest:
            raise DataFileError(
                f"another run in {shorten(path.name)}: got digest {stored.text('digest')[:12]}, "
                f"the index has {member.digest[:12]}; move the file away and resume"
            )
        if member.state == "done":
            for name in stored.forms:
                stored.verify(name)
            if stored.text("result_digest") != member.result_digest:
                raise DataFileError(
                    f"other results in {shorten(path.name)}: got {stored.text('result_digest')[:12]}, "
                    f"the index has {member.result_digest[:12]}; move the file away and resume"
                )
