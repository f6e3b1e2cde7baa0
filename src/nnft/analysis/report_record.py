"""What a report says, as plain data: sections of facts, tables, texts and pictures in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nnft.errors import UsageError, shorten

ORDER = (
    "overview",
    "correlators",
    "theory",
    "training",
    "chains",
    "cutoffs",
    "action",
    "card",
    "conventions",
    "provenance",
)
"""Keys of the sections from top to bottom; "cutoffs": the flow of a coarse-grained ensemble over cutoffs."""


@dataclass(frozen=True)
class ReportTable:
    """A table of cells.

    Attributes
    ----------
    caption : str
    header : tuple of str
        The first column names the rows.
    rows : tuple of tuple of str
        Numbers as they are printed elsewhere; ``!`` at the end marks those not to be trusted.
    note : str
        What must be known beside it, such as rows left out.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class ReportPicture:
    """A picture.

    Attributes
    ----------
    key : str
        Unique on the page; begins every identifier inside of the picture.
    title, text : str
        What it is called, and what it shows: read aloud to those who do not see it.
    svg : str
        One ``<svg>`` element; see `nnft.plots.inline.inline_svg`.
    """

    key: str
    title: str
    text: str
    svg: str


@dataclass(frozen=True)
class ReportText:
    """A text in letters of one width, such as a card; folded away until it is asked for."""

    title: str
    content: str


@dataclass(frozen=True)
class ReportSection:
    """A part of a report; whatever is empty is left out.

    Attributes
    ----------
    key : str
        One of `ORDER`.
    title : str
    paragraphs : tuple of str
    facts : tuple of (str, str)
        A word and what is said of it.
    tables : tuple of ReportTable
    pictures : tuple of ReportPicture
    texts : tuple of ReportText
    """

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[ReportTable, ...] = ()
    pictures: tuple[ReportPicture, ...] = ()
    texts: tuple[ReportText, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """A whole report.

    Attributes
    ----------
    title : str
        Name of the file.
    subtitle : str
        What it is a run of, and its state.
    warnings : tuple of str
        What makes numbers doubtful; shown before everything else.
    sections : tuple of ReportSection
        In the order of `ORDER`.
    """

    title: str
    subtitle: str
    warnings: tuple[str, ...]
    sections: tuple[ReportSection, ...]


def in_order(sections: Iterable[ReportSection]) -> tuple[ReportSection, ...]:
    """Return sections in their order on the page.

    Raises
    ------
    UsageError
        If a section has no place, or two have the same, or two pictures have one key.
    """
    found = list(sections)
    keys = [section.key for section in found]
    for key in keys:
        if key not in ORDER:
            raise UsageError(f"no such section of a report: got {shorten(key)}; one of {', '.join(ORDER)}")
        if keys.count(key) > 1:
            raise UsageError(f"two sections of a report with one key: got {shorten(key)}; give each its own")
    pictures = [picture.key for section in found for picture in section.pictures]
    for key in pictures:
        if pictures.count(key) > 1:
            raise UsageError(f"two pictures of a report with one key: got {shorten(key)}; give each its own")
    return tuple(sorted(found, key=lambda section: ORDER.index(section.key)))


def report_table(caption: str, rows: list[list[str]], note: str = "") -> ReportTable:
    """Return a table from cells whose first row is the header."""
    return ReportTable(caption, tuple(rows[0]), tuple(map(tuple, rows[1:])), note)


def facts_of_lines(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return lines whose first eleven columns name what they are about as facts; unnamed ones go on."""
    facts: list[tuple[str, str]] = []
    for line in lines:
        name, text = line[:11].strip(), line[11:].strip()
        if name or not facts:
            facts.append((name, text))
        else:
            facts[-1] = (facts[-1][0], f"{facts[-1][1]}; {text}")
    return tuple(facts)
