"""A kind of HDF5 file that nnft writes: its names, its version and its schema, as one object."""

from __future__ import annotations

from dataclasses import dataclass

from nnft.store.schema_entry import SchemaEntry


@dataclass(frozen=True, eq=False)
class FileKind:
    """What the writer, the reader and the verification need to know about one kind of file.

    Attributes
    ----------
    filetype : str
        Root attribute ``filetype``.
    label : str
        The kind with its article, for error lines: "an nnft result file".
    short_label : str
        What a reader of another kind calls it: "a run file".
    used_with : str
        What opens it, for a user who gave it to something else.
    version : tuple of int
        Major and minor version of the format.
    conventions : str
        Root attribute ``Conventions``.
    schema : tuple of SchemaEntry
        Every object and attribute that a file may hold.
    identity : tuple of str
        Root attributes that count for the result digest.
    result_paths : tuple of str
        Groups and data sets that count for the result digest.
    written_last : tuple of str
        Root attributes that are written after everything else but the header digest.
    """

    filetype: str
    label: str
    short_label: str
    used_with: str
    version: tuple[int, int]
    conventions: str
    schema: tuple[SchemaEntry, ...]
    identity: tuple[str, ...]
    result_paths: tuple[str, ...]
    written_last: tuple[str, ...] = ()

    @property
    def version_text(self) -> str:
        """The version as people write it: "1.0"."""
        return ".".join(str(number) for number in self.version)
