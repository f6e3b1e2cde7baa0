"""The index of a scan: one small JSON file that names every member of a family of runs and its state."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, UsageError, shorten
from nnft.spec.regular_file import read_regular

INDEX_NAME = "index.json"
FORMAT = "nnft-scan"
FORMAT_VERSION = 1
LARGEST_INDEX = 64 * 2**20
MOST_MEMBERS = 1000
STATES = ("planned", "running", "done", "failed")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,120}")


@dataclass(frozen=True)
class ScanMember:
    """One run of a scan.

    Attributes
    ----------
    name : str
        Made of the values, such as ``"widths-8x8"``; the run file is called ``<name>.h5``.
    values : dict
        Value of every scanned key, by dotted key.
    seed : int
        Seed of its ensemble.
    digest : str
        SHA-256 of everything that determines its numbers, as ``nnft check`` prints it.
    block_size, networks : int
        Networks of a block, and planned networks.
    state : str
        ``"planned"``, ``"running"`` (started), ``"done"`` or ``"failed"``.
    networks_done : int
        Networks in its file when the index was written.
    result_digest : str
        SHA-256 of its results; empty unless done.
    error : str
        Why it failed; empty unless failed.
    exit_code : int
        Exit code of that error; 0 unless failed.
    bins : int
        Bins of trained networks, which a run that is extended keeps; 0 where they are those of the card.
    """

    name: str
    values: Mapping[str, Any]
    seed: int
    digest: str
    block_size: int
    networks: int
    state: str = "planned"
    networks_done: int = 0
    result_digest: str = ""
    error: str = ""
    exit_code: int = 0
    bins: int = 0

    @property
    def file(self) -> str:
        """Name of the run file in the folder of the scan."""
        return f"{self.name}.h5"


@dataclass(frozen=True)
class ScanIndex:
    """Everything that a folder's ``index.json`` says.

    Attributes
    ----------
    folder : Path
    card_name, card_folder, card : str
        Name of the card, the folder from which its relative names start, and its text.
    seed : int
        Seed from which the members' seeds are derived.
    sets : dict of str to list
        Scanned values by dotted key.
    together : bool
        Whether the keys walk in step instead of in all combinations.
    members : tuple of ScanMember
    nnft_version, created_at, updated_at : str
        Version that wrote the index last; times in ISO 8601, UTC.
    """

    folder: Path
    card_name: str
    card_folder: str
    card: str
    seed: int
    sets: Mapping[str, list[Any]]
    together: bool
    members: tuple[ScanMember, ...]
    nnft_version: str
    created_at: str
    updated_at: str

    @property
    def path(self) -> Path:
        """The index file."""
        return self.folder / INDEX_NAME

    @property
    def complete(self) -> bool:
        """Whether every member is done."""
        return all(member.state == "done" for member in self.members)

    @property
    def failed(self) -> tuple[ScanMember, ...]:
        """The members that ended with an error."""
        return tuple(member for member in self.members if member.state == "failed")

    def member_path(self, member: ScanMember) -> Path:
        """Return the run file of a member."""
        return self.folder / member.file

    def open(self, member: ScanMember | str) -> Run:
        """Open the run of a member, given by itself or by its name.

        Raises
        ------
        UsageError
            If there is no member of this name.
        DataFileError
            If its file cannot be used.
        """
        name = member if isinstance(member, str) else member.name
        if name not in {known.name for known in self.members}:
            raise UsageError(f"no member {shorten(name)} in the scan {shorten(str(self.folder))}")
        return open_run(self.folder / f"{name}.h5")

    def to_bytes(self) -> bytes:
        """Return the index as JSON with its checksum."""
        members = [_record(member) for member in self.members]
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "nnft_version": self.nnft_version,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "card_name": self.card_name,
            "card_folder": self.card_folder,
            "card": self.card,
            "seed": str(self.seed),
            "sets": dict(self.sets),
            "together": self.together,
            "members": members,
        }
        return json.dumps(content | {"checksum": _checksum(content)}, indent=1).encode()


def _record(member: ScanMember) -> dict[str, Any]:
    """Return a member as JSON holds it; bins only where they are its own."""
    record = dataclasses.asdict(member) | {"seed": str(member.seed), "file": member.file}
    if not member.bins:
        del record["bins"]
    return record


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of an index without its checksum."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_scan(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a folder with a scan index."""
    try:
        return Path(path).is_dir() and (Path(path) / INDEX_NAME).exists()
    except (OSError, ValueError):
        return False


def open_scan(folder: str | os.PathLike[str]) -> ScanIndex:
    """Read the index of a scan; also of one that is still going on.

    Parameters
    ----------
    folder : str or path
        The folder given to ``nnft scan -o``.

    Raises
    ------
    DataFileError
        If there is no index, or it is damaged, foreign or of a newer format.
    """
    path = Path(folder) / INDEX_NAME
    data = read_regular(path, LARGEST_INDEX, DataFileError, "scan index")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(path, "no JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataFileError(f"no scan index in {shorten(str(path))}: got another kind of file")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise DataFileError(
            f"scan index of another format in {shorten(str(path))}: got version {shorten(version, 20)}; "
            f"supported: {FORMAT_VERSION}"
        )
    if content.pop("checksum", None) != _checksum(content):
        raise _damaged(path, "a wrong checksum")
    try:
        return _index(Path(folder), content)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, shorten(str(error), 40)) from None


def _damaged(path: Path, got: str) -> DataFileError:
    return DataFileError(
        f"scan index damaged in {shorten(str(path))}: got {got}; restore it, or sample into another folder"
    )


def _index(folder: Path, content: dict[str, Any]) -> ScanIndex:
    members = tuple(_member(record) for record in _of_type(list, content["members"]))
    names = [member.name for member in members]
    if not 1 <= len(members) <= MOST_MEMBERS or len(set(names)) != len(names):
        raise ValueError("repeated, missing or too many members")
    sets = {key: _of_type(list, values) for key, values in _of_type(dict, content["sets"]).items()}
    texts = ("card_name", "card_folder", "card", "nnft_version", "created_at", "updated_at")
    return ScanIndex(
        folder=folder,
        **{name: _of_type(str, content[name]) for name in texts},
        seed=int(_of_type(str, content["seed"])),
        sets=sets,
        together=_of_type(bool, content["together"]),
        members=members,
    )


def _member(record: Any) -> ScanMember:
    fields = dict(_of_type(dict, record))
    fields.pop("file")
    fields["seed"] = int(_of_type(str, fields["seed"]))
    member = ScanMember(**fields)
    for name in ("name", "digest", "state", "result_digest", "error"):
        _of_type(str, getattr(member, name))
    for name in ("block_size", "networks", "networks_done", "exit_code", "bins"):
        _of_type(int, getattr(member, name))
    _of_type(dict, member.values)
    if not _SAFE_NAME.fullmatch(member.name) or member.state not in STATES:
        raise ValueError(f"member {shorten(member.name, 20)}")
    return member


def _of_type(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value
