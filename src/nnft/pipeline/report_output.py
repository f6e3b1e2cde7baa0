"""From a result file to its report: one page with tables and pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnft.actions.action_text import action_record, action_text
from nnft.analysis.comparison import compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.flow_readings import flow_readings
from nnft.analysis.flow_record import couplings_record
from nnft.analysis.flow_refills import refill_split
from nnft.analysis.flow_table import flow_numbers
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.report_conventions import conventions
from nnft.analysis.report_flow import cutoffs
from nnft.analysis.report_record import (
    ReportContent,
    ReportPicture,
    ReportSection,
    ReportText,
    in_order,
)
from nnft.analysis.report_run import (
    card,
    correlators,
    infinite_width,
    overview,
    provenance,
    run_warnings,
    subtitle,
)
from nnft.analysis.report_trained import chains, compared, trained_warnings, training
from nnft.analysis.run import Run, open_run
from nnft.analysis.summary import summary
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import DataFileError, NumericalError, UsageError, shorten
from nnft.pipeline.diagnose_output import diagnosis_of_run
from nnft.pipeline.machine import nnft_version
from nnft.pipeline.report_page import GENERATOR, page_of, require_report_extra
from nnft.plots.files import check_written_file, publish_bytes

if TYPE_CHECKING:
    from nnft.pipeline.report_pictures import Drawing

SUFFIXES = (".html", ".htm")
LARGEST_PAGE = 1_000_000
"""Bytes of a page."""


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    notes : tuple of str
        What was left out or made coarser to keep the page small.
    """

    path: Path
    size: int
    notes: tuple[str, ...]


def report_of_file(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    sections: Sequence[ReportSection] = (),
    largest: int = LARGEST_PAGE,
) -> Report:
    """Write the report of a result file.

    Parameters
    ----------
    path : str or path
        Run file: sampled, deformed or trained; also one that is not complete.
    output : str or path, optional
        Page; ends in .html or .htm. Default: ``<run>-report.html`` in the current folder.
    overwrite : bool
        Whether an existing report may be replaced.
    sections : sequence of ReportSection
        Further sections, such as that of a flow over cutoffs (key "cutoffs"); each comes to its place.
    largest : int
        Bytes that the page may have. Above them the largest pictures become images, then are left out; the
        page says so.

    Returns
    -------
    Report

    Raises
    ------
    NnftError
        Everything that the file refuses; an output that must not be written or a missing library before
        anything is computed.
    """
    page = check_report(output if output is not None else f"{Path(path).stem}-report.html", path, overwrite)
    require_report_extra()
    from nnft.plots.style import house_style

    with open_run(path) as run, house_style():
        content, figures = _content(run)
        content = replace(content, sections=in_order((*content.sections, *sections)))
        text, notes = _fitting_page(content, figures, largest)
    encoded = text.encode("utf-8")
    check_report(page, path, overwrite)
    publish_bytes(page, encoded, "report")
    return Report(page, len(encoded), tuple(notes))


def check_report(
    output: str | os.PathLike[str], source: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Refuse a page that must not be written; touches nothing.

    Raises
    ------
    UsageError
        An impossible name, no such folder, not a regular file, the result file itself, a file that is no
        report, or a report without `overwrite`.
    EnvironmentRefusal
        The folder may not be written to.
    """
    page = check_written_file(output, SUFFIXES, "report")
    if not page.exists():
        return page
    name = shorten(str(page))
    if Path(source).exists() and page.samefile(source):
        raise UsageError(f"report would replace the result file: got {name}; choose another name")
    if not overwrite:
        raise UsageError(f"report exists: got {name}; add --overwrite or choose another name")
    try:
        with page.open("rb") as file:
            start = file.read(1000)
    except OSError as failure:
        raise UsageError(f"report cannot be read: got {name}; {failure.strerror}") from failure
    if GENERATOR.encode() not in start:
        raise UsageError(f"not a report of nnft: got {name}; choose another name")
    return page


def _content(run: Run) -> tuple[ReportContent, list[tuple[Drawing, Any]]]:
    """Return what a report of a run says, and its pictures."""
    from nnft.pipeline.report_pictures import drawings, drawn

    state = summary(run)
    warnings, sections = run_warnings(run, state), [overview(run, state)]
    wanted: list[Drawing] = []
    if run.networks:
        sections.append(correlators(run, state))
        wanted += drawings(run, state)
        found = _trained_sections(run, state, warnings) if run.training is not None else [infinite_width(run)]
        acted = _action_section(run, wanted)
        flowed = _flow_section(run, wanted)
        sections += [section for section in (*found, flowed, acted) if section is not None]
    sections += [card(run), conventions(run), provenance(run)]
    known = {section.key for section in sections}
    figures, missing = drawn(drawing for drawing in wanted if drawing.section in known)
    said = {key: [one.line for one in missing if one.section == key] for key in known}
    warnings += [one.line for one in missing if one.damaged]
    complete = tuple(_with_lines(section, said[section.key]) for section in sections)
    return ReportContent(run.path.name, subtitle(run, state), tuple(warnings), complete), figures


def _trained_sections(run: Run, state: dict[str, Any], warnings: list[str]) -> list[ReportSection | None]:
    record, diagnosis = comparison_record(compare(TrainedRun(run))), diagnosis_of_run(run)
    warnings += trained_warnings(record, diagnosis)
    return [compared(record), training(state), chains(diagnosis)]


def _flow_section(run: Run, wanted: list[Drawing]) -> ReportSection | None:
    """Return the flow over cutoffs, if there is one, and add its pictures to those wanted."""
    if run.card.get("flow") is None:
        return None
    from nnft.pipeline.report_pictures import cutoffs_drawings

    flow = RenormalizedRun(run)
    numbers, couplings, reason = flow_numbers(flow), None, ""
    try:
        couplings = flow.couplings()
    except (UsageError, NumericalError, DataFileError) as failure:
        reason = f"No couplings: {failure}"
    wanted += cutoffs_drawings(numbers, flow, couplings)
    if run.cosines is not None:
        numbers["readings"] = flow_readings(flow)
    record = None if couplings is None else couplings_record(couplings)
    return cutoffs(numbers, record, reason, refill_split(flow))


def _action_section(run: Run, wanted: list[Drawing]) -> ReportSection:
    """Return the action on a few points, and add its picture to those wanted; a line where there is none."""
    from nnft.pipeline.report_pictures import action_drawing, quick_action

    title = "Effective action"
    try:
        result = quick_action(run)
    except (UsageError, NumericalError) as failure:
        return ReportSection("action", title, (f"No action: {failure}",))
    wanted.append(action_drawing(result, run))
    text = action_text(action_record(result), run.path.name)
    points = f"{len(result.points)} of {len(run.points)} input points"
    said = f"At leading order, on {points}; nnft action has more."
    return ReportSection("action", title, (said,), texts=(ReportText("All couplings", text),))


def _with_lines(section: ReportSection, lines: Iterable[str]) -> ReportSection:
    return replace(section, paragraphs=(*section.paragraphs, *lines))


def _fitting_page(
    content: ReportContent, figures: list[tuple[Drawing, Any]], largest: int
) -> tuple[str, list[str]]:
    """Return a page that is small enough, and what it costs."""
    from nnft.plots.inline import inline_pixels, inline_svg

    made_at, version = datetime.now(UTC).isoformat(timespec="seconds"), nnft_version()
    svgs = {d.key: inline_svg(figure, d.key, d.title, d.text) for d, figure in figures}
    by_key, coarse, notes = {d.key: (d, figure) for d, figure in figures}, set[str](), list[str]()
    while True:
        shown = _with_pictures(content, [d for d, _ in figures], svgs, notes)
        text = page_of(shown, made_at=made_at, version=version)
        if len(text.encode("utf-8")) <= largest:
            return text, notes
        if not svgs:
            raise UsageError(
                f"page too large without a picture: got {len(text.encode('utf-8'))} bytes of {largest}; "
                "use nnft show --json"
            )
        key = max([name for name in svgs if name not in coarse] or svgs, key=lambda name: len(svgs[name]))
        drawing, figure = by_key[key]
        if key in coarse:
            del svgs[key]
            notes.append(f"left out to keep the page below {largest} bytes: picture {drawing.title}")
        else:
            coarse.add(key)
            pixels = inline_pixels(figure, key, drawing.title, drawing.text)
            if len(pixels) < len(svgs[key]):
                svgs[key] = pixels
                notes.append(f"coarser to keep the page below {largest} bytes: picture {drawing.title}")


def _with_pictures(
    content: ReportContent, order: Sequence[Drawing], svgs: dict[str, str], notes: Sequence[str]
) -> ReportContent:
    """Return a report with its pictures, and with notes on those that are missing or coarser at its head."""
    sections = []
    for section in content.sections:
        pictures = tuple(
            ReportPicture(d.key, d.title, d.text, svgs[d.key])
            for d in order
            if d.section == section.key and d.key in svgs
        )
        sections.append(replace(section, pictures=(*pictures, *section.pictures)))
    return replace(content, sections=in_order(sections), warnings=(*content.warnings, *notes))
