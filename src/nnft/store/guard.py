"""Safe reading of HDF5 files that may be damaged, foreign or hostile.

Nothing is read before its declared size, type, layout and filters were looked at, no link leads out of the
file, and whatever the HDF5 library raises becomes one `DataFileError` line.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5l, h5o, h5p, h5z

from nnft.errors import DataFileError, EnvironmentRefusal, NnftError, shorten

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BOMB_BYTES = 1 << 30
_BOMB_RATIO = 1000
ATTRIBUTE_LIMIT = 1 << 16
_OBJECT_LIMIT = 20_000
_DEPTH_LIMIT = 16
_FILTERS = {h5z.FILTER_DEFLATE: "deflate", h5z.FILTER_SHUFFLE: "shuffle", h5z.FILTER_FLETCHER32: "fletcher32"}

AttributeValue = str | int | tuple[int, ...]


@dataclass
class FileContent:
    """What a walk through a file found, by path.

    Attributes
    ----------
    groups : list of str
        All groups but the root.
    attributes : dict
        Value of every attribute of the root ("/@name") and of the groups ("/group@name").
    datasets : dict
        Every data set.
    digests : dict
        Attribute "sha256" of the data sets that carry one.
    """

    groups: list[str] = field(default_factory=list)
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def data_file_errors(path: Path, what: str) -> Iterator[None]:
    """Turn whatever HDF5 raises in the block into one `DataFileError` line about `what` in `path`."""
    try:
        yield
    except NnftError:
        raise
    except MemoryError as failure:
        raise EnvironmentRefusal(
            f"not enough memory for {shorten(what)} of {shorten(path.name)}: got {shorten(str(failure))}"
        ) from failure
    except Exception as failure:
        if "filter returned failure" in str(failure):
            raise checksum_error(path, what) from failure
        if "truncated file" in str(failure) or "unexpected end of file" in str(failure):
            raise DataFileError(
                f"truncated file: got {path.stat().st_size} bytes in {shorten(path.name)}"
            ) from failure
        raise DataFileError(
            f"damaged file: cannot read {shorten(what, 50)} in {shorten(path.name, 40)}: "
            f"got {shorten(str(failure))}"
        ) from failure


def checksum_error(path: Path, what: str) -> DataFileError:
    """Return the error for content that does not match its checksum."""
    return DataFileError(f"checksum error in {what} of {shorten(path.name)}: the stored bytes were changed")


class _FileBytes:
    """File object that HDF5 reads from: no file locks, and independent of other handles of this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self.size = os.fstat(descriptor).st_size

    def __del__(self) -> None:
        os.close(self._descriptor)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        data = memoryview(buffer).cast("B")
        total = len(data)
        while len(data) > 0:
            found = os.preadv(self._descriptor, [data], self._position)
            if found == 0:
                raise OSError("unexpected end of file")
            data = data[found:]
            self._position += found
        return total

    def starts_with_signature(self) -> bool:
        """Look for the HDF5 signature at 0, 512, 1024, 2048, .. (a user block may precede it)."""
        offset = 0
        while offset < self.size:
            if os.pread(self._descriptor, len(_SIGNATURE), offset) == _SIGNATURE:
                return True
            offset = max(512, 2 * offset)
        return False


def open_hdf5(path: str | os.PathLike[str], wanted: str = "an HDF5 file") -> h5py.File:
    """Open a regular HDF5 file for reading, without file locks.

    Raises
    ------
    DataFileError
        Missing, not a regular file, empty, without the HDF5 signature, truncated or damaged.
    EnvironmentRefusal
        No permission, or too many open files.
    """
    target = Path(path)
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            raise DataFileError(f"cannot read {shorten(str(path))}: got no regular file; give {wanted}")
        source = _FileBytes(os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        found = source.starts_with_signature()
    except FileNotFoundError:
        raise DataFileError(f"no such file: got {shorten(str(path), 120)}") from None
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise EnvironmentRefusal(f"cannot open {shorten(str(path), 100)}: got {reason}") from failure
    if not found:
        content = "an empty file" if source.size == 0 else "a file without HDF5 signature"
        raise DataFileError(f"not {wanted}: got {content} in {shorten(str(path), 100)}")
    with data_file_errors(target, "the file"):
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        access.set_fileobj_driver(h5fd.fileobj_driver, source)
        return h5py.File(h5f.open(b"nnft", h5f.ACC_RDONLY, fapl=access))


def scan(file: h5py.File, path: Path) -> FileContent:
    """Walk through all groups of a file and read their attributes; data sets are found but not read.

    Raises
    ------
    DataFileError
        A soft, external or user-defined link, a cycle, too many objects, too deep, or an attribute that is
        neither a short fixed-length text nor 64-bit integers.
    """
    content = FileContent()
    visited: set[int] = set()
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    while waiting:
        prefix, group = waiting.pop()
        address = int(h5o.get_info(group.id).addr)
        if address in visited or prefix.count("/") > _DEPTH_LIMIT:
            raise DataFileError(
                f"links form a cycle or go too deep in {shorten(path.name)}: {shorten(prefix)}"
            )
        visited.add(address)
        content.attributes.update(_group_attributes(group, prefix or "/", path))
        total = len(content.groups) + len(content.datasets) + int(group.id.get_num_objs())
        if total > _OBJECT_LIMIT:
            raise DataFileError(
                f"too many objects in {shorten(path.name)}: got {total}, limit {_OBJECT_LIMIT}"
            )
        for name in group:
            member = f"{prefix}/{name}"
            _require_hard_link(group, name, member, path)
            item = group[name]
            if isinstance(item, h5py.Group):
                content.groups.append(member)
                waiting.append((member, item))
            elif isinstance(item, h5py.Dataset):
                content.datasets[member] = item
                if "sha256" in item.attrs:
                    content.digests[member] = str(read_attribute(item, "sha256", member, path))
    return content


def open_member(file: h5py.File, member: str, path: Path) -> h5py.Group | h5py.Dataset:
    """Open an object by its path, step by step, through hard links only.

    Raises
    ------
    DataFileError
        There is no such object, or a link leads elsewhere.
    """
    item: h5py.Group | h5py.Dataset = file
    for name in member.strip("/").split("/"):
        exists = (
            isinstance(item, h5py.Group) and name not in ("", ".") and item.id.links.exists(name.encode())
        )
        if not exists:
            raise DataFileError(f"no {shorten(member)} in {shorten(path.name)}: got none at {shorten(name)}")
        _require_hard_link(item, name, member, path)
        item = item[name]
    return item


def _group_attributes(group: h5py.Group, prefix: str, path: Path) -> dict[str, AttributeValue]:
    count = int(h5a.get_num_attrs(group.id))
    if count > _OBJECT_LIMIT:
        raise DataFileError(f"too many attributes of {prefix} in {shorten(path.name)}: got {count}")
    return {f"{prefix}@{name}": read_attribute(group, name, prefix, path) for name in group.attrs}


def _require_hard_link(group: h5py.Group, name: str, member: str, path: Path) -> None:
    kind = group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
    if kind != h5l.TYPE_HARD:
        found = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}.get(
            kind, "a foreign link"
        )
        raise DataFileError(f"links are refused in {shorten(path.name)}: got {found} at {shorten(member)}")


def read_attribute(item: h5py.HLObject, name: str, where: str, path: Path) -> AttributeValue:
    """Read an attribute after a look at its size and type: text, integer or tuple of integers."""
    label = f"attribute {shorten(name)} of {shorten(where)} in {shorten(path.name)}"
    identifier = h5a.open(item.id, name.encode("utf-8", "surrogateescape"))
    size, dtype, shape = identifier.get_storage_size(), identifier.dtype, identifier.shape
    if size > ATTRIBUTE_LIMIT or math.prod(shape) * dtype.itemsize > ATTRIBUTE_LIMIT:
        raise DataFileError(f"{label} is too large: got {size} bytes, limit {ATTRIBUTE_LIMIT}")
    if dtype.kind not in "Siu" or len(shape) > (0 if dtype.kind == "S" else 1):
        raise DataFileError(f"{label} has a foreign type: got {dtype} {shape}")
    value = np.empty(shape, dtype)
    identifier.read(value)
    if dtype.kind == "S":
        return bytes(value[()]).decode("utf-8")
    return tuple(int(number) for number in value) if shape else int(value)


def check_dataset(dataset: h5py.Dataset, where: str, path: Path) -> None:
    """Refuse what must not be read: foreign storage, unknown filters, sizes that the file cannot hold.

    Raises
    ------
    DataFileError
        Virtual or externally stored, filtered by anything but deflate, shuffle or Fletcher-32, or declaring
        more than 1 GiB and more than 1000 times what is stored.
    """
    label = f"{shorten(where)} of {shorten(path.name)}"
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL:
        raise DataFileError(f"virtual data sets are refused: got one in {label}; copy its data into the file")
    if properties.get_layout() != h5d.CHUNKED and properties.get_external_count() > 0:
        raise DataFileError(f"external storage is refused: got it in {label}; copy its data into the file")
    for number in range(properties.get_nfilters()):
        code = properties.get_filter(number)[0]
        if code not in _FILTERS:
            raise DataFileError(
                f"unknown filter in {label}: got number {code}, known are {', '.join(_FILTERS.values())}"
            )
    declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > _BOMB_BYTES and declared > _BOMB_RATIO * stored:
        raise DataFileError(f"{label} declares {declared} bytes but stores {stored}: refused")
