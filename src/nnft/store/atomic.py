"""Publication of HDF5 files: a final name only ever carries a complete, synced file.

A new file is written under a temporary name in the same folder, synced, and renamed over the old one. HDF5
ends the process with a segmentation fault when a write fails (full disk, quota, input/output error), so its
bytes go through an own file object that remembers the first failure and reports success from then on; the
failure is raised once the HDF5 file is closed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
from h5py import h5f, h5fd, h5p

from nnft.errors import EnvironmentRefusal, shorten

PREVIOUS_SUFFIX = ".previous"
_TEMPORARY_MARK = ".nnft-partial-"
_PAGE = 4096
_KEPT_WRITE = 1 << 17


@dataclass(frozen=True)
class FileIdentity:
    """Device and inode of a published file: tells whether it was replaced, moved or deleted since."""

    device: int
    inode: int


class _RecordingFile:
    """File object for HDF5 that never fails: it keeps the first failure and reports success from then on.

    After a failure HDF5 must still find the metadata that it wrote, or it crashes: pages written from then on
    are kept in memory. Large writes (array data, which HDF5 does not read back) are dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._end = 0
        self._pages: dict[int, bytearray] = {}
        self.failure: BaseException | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, buffer: memoryview) -> int:
        data = memoryview(buffer).cast("B")
        if self.failure is None:
            try:
                _write_all(self._descriptor, data, self._position)
            except BaseException as failure:
                self.failure = failure
        if self.failure is not None and len(data) <= _KEPT_WRITE:
            for page, inside, part in _split_pages(self._position, data):
                self._page(page)[inside : inside + len(part)] = part
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def readinto(self, buffer: memoryview) -> int:
        data = memoryview(buffer).cast("B")
        for page, inside, part in _split_pages(self._position, data):
            part[:] = (self._pages.get(page) or self._stored(page))[inside : inside + len(part)]
        self._position += len(data)
        return len(data)

    def truncate(self, size: int) -> int:
        if self.failure is None:
            try:
                os.ftruncate(self._descriptor, size)
            except BaseException as failure:
                self.failure = failure
        self._end = size
        return size

    def flush(self) -> None:
        """HDF5 asks for it; the sync happens once, after the file is closed."""

    def _page(self, page: int) -> bytearray:
        """Return the kept page, starting from what is on disk."""
        if page not in self._pages:
            self._pages[page] = self._stored(page)
        return self._pages[page]

    def _stored(self, page: int) -> bytearray:
        try:
            stored = os.pread(self._descriptor, _PAGE, page * _PAGE)
        except BaseException as failure:
            self.failure = self.failure or failure
            stored = b""
        return bytearray(stored.ljust(_PAGE, b"\0"))


def _split_pages(offset: int, data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Cut `data` at page borders: yield page number, position inside the page, and the piece."""
    while len(data) > 0:
        page, inside = divmod(offset, _PAGE)
        piece = data[: _PAGE - inside]
        yield page, inside, piece
        data = data[len(piece) :]
        offset += len(piece)


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, continuing after short writes."""
    while len(data) > 0:
        written = os.pwrite(descriptor, data, offset)
        data = data[written:]
        offset += written


def publish(
    path: str | os.PathLike[str],
    fill: Callable[[h5py.File], None],
    *,
    keep_previous: bool = True,
    sync: bool = True,
    expected: FileIdentity | None = None,
) -> FileIdentity:
    """Write a new HDF5 file and give it its final name in one step.

    Parameters
    ----------
    path : str or path
        Final name. A reader finds there either the old or the new file, complete.
    fill : callable
        Receives the empty, open `h5py.File` and writes the content.
    keep_previous : bool
        Keep the file that is replaced as ``<path>.previous``.
    sync : bool
        Return only when the file survives a loss of power. Without, the caller syncs file and folder later
        (`sync_path`); a file that is replaced must always be followed by a synced one.
    expected : FileIdentity, optional
        Identity of the file that must still stand at `path`, as the last call returned it.

    Returns
    -------
    FileIdentity
        Identity of the published file.

    Raises
    ------
    EnvironmentRefusal
        The disk, its quota or its permissions refuse, or `path` was replaced, moved or deleted since
        `expected` was taken. The old file is intact and no temporary file is left.
    """
    final = Path(path)
    with environment_errors(final):
        _require_unchanged(final, expected)
        temporary = temporary_name(final)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                _write_hdf5(descriptor, fill)
                if sync:
                    os.fsync(descriptor)
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if keep_previous and final.exists():
                _keep_previous(final)
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync:
            sync_path(final.parent)
    return FileIdentity(status.st_dev, status.st_ino)


def _write_hdf5(descriptor: int, fill: Callable[[h5py.File], None]) -> None:
    """Create an HDF5 file in an open descriptor, let `fill` write it, and raise what went wrong."""
    recording = _RecordingFile(descriptor)
    try:
        with h5py.File(_create(recording)) as file:
            fill(file)
    except Exception as failure:
        # A failed write may surface as any HDF5 error later on; its cause is the recorded one.
        if recording.failure is None:
            raise
        raise recording.failure from failure
    if recording.failure is not None:
        raise recording.failure


def _create(recording: _RecordingFile) -> h5f.FileID:
    """Create the HDF5 file with checksummed metadata (format bounds 1.8) and without time stamps."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5f.LIBVER_V18, h5f.LIBVER_V18)
    access.set_fileobj_driver(h5fd.fileobj_driver, recording)
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5f.create(b"nnft", h5f.ACC_TRUNC, fcpl=creation, fapl=access)


def _require_unchanged(final: Path, expected: FileIdentity | None) -> None:
    if expected is None:
        return
    try:
        status = final.stat()
    except FileNotFoundError:
        found = "nothing"
    else:
        if FileIdentity(status.st_dev, status.st_ino) == expected:
            return
        found = "another file"
    raise EnvironmentRefusal(
        f"result file was deleted, moved or replaced during the run in {shorten(final.name)}: got {found}; "
        "restore the file and resume"
    )


def _keep_previous(final: Path) -> None:
    """Give the current file the second name ``<path>.previous`` (a copy where hard links do not exist)."""
    previous = final.with_name(final.name + PREVIOUS_SUFFIX)
    spare = temporary_name(final)
    try:
        try:
            os.link(final, spare)
        except OSError as failure:
            if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            shutil.copyfile(final, spare)
        spare.replace(previous)
    finally:
        # Renaming one hard link of a file over another one of the same file leaves both names.
        spare.unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Sync a file, or a folder so that a rename in it survives a loss of power.

    Raises
    ------
    EnvironmentRefusal
        The disk refuses.
    """
    with environment_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as failure:
            # Some file systems cannot sync a folder and say so; a file must be synced.
            if not path.is_dir() or failure.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(descriptor)


def temporary_name(final: Path) -> Path:
    """Return a new name in the folder of `final` that `remove_leftovers` recognises."""
    return final.with_name(f".{final.name}{_TEMPORARY_MARK}{secrets.token_hex(6)}")


def remove_leftovers(path: str | os.PathLike[str]) -> list[str]:
    """Remove temporary files that killed writers of `path` left behind; return their names.

    Only the holder of the run's lock may call this.
    """
    final = Path(path)
    mark = f".{final.name}{_TEMPORARY_MARK}"
    leftovers = [entry for entry in final.parent.iterdir() if entry.name.startswith(mark)]
    for entry in leftovers:
        entry.unlink(missing_ok=True)
    return sorted(entry.name for entry in leftovers)


def require_space(folder: str | os.PathLike[str], needed: int) -> None:
    """Refuse when fewer than `needed` bytes are free in `folder`.

    Raises
    ------
    EnvironmentRefusal
        Names needed and free bytes.
    """
    with environment_errors(Path(folder)):
        status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        raise EnvironmentRefusal(
            f"not enough disk space in {shorten(str(folder))}: got {free} bytes free, {needed} needed; "
            "free some space or choose another folder"
        )


@contextlib.contextmanager
def environment_errors(path: Path) -> Iterator[None]:
    """Turn every `OSError` of the block into one `EnvironmentRefusal` line about `path`."""
    try:
        yield
    except OSError as failure:
        name = errno.errorcode.get(failure.errno or 0, "unknown")
        raise EnvironmentRefusal(
            f"cannot write in {shorten(str(path))}: got {failure.strerror or failure} ({name}); "
            f"{_advice(failure)}"
        ) from failure


def _advice(failure: OSError) -> str:
    number = failure.errno
    if number == errno.ENOMEM or "memory allocation failed" in str(failure):
        return "free memory or raise its limit, then resume"
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free space or raise the limit, then resume"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a folder you may write to"
    if number in (errno.ENOENT, errno.ENOTDIR):
        return "create the folder first"
    if number in (errno.EMFILE, errno.ENFILE):
        return "raise the limit on open files"
    return "check the disk, then resume"
