"""Verification of a file of any kind: every checksum, the result digest, the axes, the stored fields."""

from __future__ import annotations

import os
from pathlib import Path

from nnft.errors import DataFileError
from nnft.store.analysis_reader import StoredAnalysis, is_analysis_file
from nnft.store.checked_file import CheckedFile
from nnft.store.guard import data_file_errors
from nnft.store.reader import StoredRun, read_run
from nnft.store.segment_files import fields_folder, load_segment


def verify_file(path: str | os.PathLike[str]) -> list[str]:
    """Read everything a run file or an analysis file holds and compare it with its checksums.

    Opening already compares structure, attributes and commit counters; this reads all data, too, a slab at a
    time.

    Parameters
    ----------
    path : str or path
        Run file or analysis file.

    Returns
    -------
    list of str
        One line for each finding; empty if the file is good.
    """
    try:
        if is_analysis_file(path):
            with StoredAnalysis(Path(path)) as analysis:
                return _failures_of_all(analysis)
        with read_run(path) as run:
            return _failures_of_all(run) + _segment_failures(run)
    except DataFileError as failure:
        return [str(failure)]


def _failures_of_all(file: CheckedFile) -> list[str]:
    """Check all data sets and the result digest."""
    findings = [finding for member in sorted(file.forms) for finding in _failures_of(file, member)]
    if file.text("result_digest") != file.result_digest():
        findings.append("result digest does not match the results")
    return findings


def _failures_of(file: CheckedFile, member: str) -> list[str]:
    """Check content and axes of one data set."""
    try:
        file.verify(member)
        wanted = file.wanted_axes(member)
        stored = file.axes(member) if wanted else ()
    except DataFileError as failure:
        return [str(failure)]
    if stored != wanted:
        return [f"axes of {member}: got {', '.join(stored) or 'none'}, wanted {', '.join(wanted)}"]
    return []


def _segment_failures(run: StoredRun) -> list[str]:
    """Check every segment of stored fields, and that they follow each other without a gap."""
    findings: list[str] = []
    try:
        manifest = run.fields
    except DataFileError as failure:
        return [str(failure)]
    if manifest is None or not manifest.segments:
        return findings
    following = manifest.segments[0].first_network
    for record in manifest.segments:
        if record.first_network != following:
            findings.append(f"{record.name}: starts at network {record.first_network}, wanted {following}")
        following = record.first_network + record.rows
        try:
            with data_file_errors(run.path, record.name):
                load_segment(fields_folder(run.path), manifest, record)
        except DataFileError as failure:
            findings.append(str(failure))
    if following > run.networks_done:
        findings.append(f"stored fields reach network {following}, but {run.networks_done} are committed")
    return findings
