"""``nnft report``: one line on standard output, one line for a refusal, no page left behind by a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import Nnft, refused

PYTHONPATH = os.environ.get("PYTHONPATH", "")
POINTS = "points = [[1.0, 0.5]]"


@pytest.fixture(scope="module")
def run_file(kernel_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run; one point and one order make few pictures."""
    nnft = Nnft(tmp_path_factory.mktemp("run"), kernel_cache)
    done = nnft("sample", nnft.card(points=POINTS, correlators="[2]"), "-o", "run.h5")
    assert done.code == 0, done.err
    return nnft.folder / "run.h5"


def test_page_is_named_and_not_replaced_unasked(nnft: Nnft, run_file: Path) -> None:
    first = nnft("report", run_file)
    assert (first.code, first.out, first.err) == (0, "run-report.html\n", "")
    page = (nnft.folder / "run-report.html").read_bytes()
    assert page.startswith(b"<!DOCTYPE html>")
    refused(nnft("report", run_file), 2, "report exists: got 'run-report.html'", "--overwrite")
    again = nnft("report", run_file, "-o", "run-report.html", "--overwrite")
    assert (again.code, again.out) == (0, "run-report.html\n")
    assert [entry.name for entry in nnft.folder.iterdir()] == ["run-report.html"]


@pytest.mark.long
def test_what_cannot_be_reported_is_one_line(nnft: Nnft, run_file: Path) -> None:
    (nnft.folder / "text.h5").write_text("no run", encoding="utf-8")
    (nnft.folder / "scan").mkdir()
    refused(nnft("report", "text.h5"), 3, "text.h5")
    refused(nnft("report", "missing.h5"), 3, "missing.h5")
    refused(nnft("report", "scan"), 3, "scan")
    refused(nnft("report", run_file, "-o", "page.pdf"), 2, "unknown kind of report", ".html")
    refused(nnft("report", run_file, "-o", run_file), 2, "unknown kind of report")
    refused(nnft("report", run_file, "-o", "nowhere/page.html"), 2, "folder of the report does not exist")
    assert list(nnft.folder.glob("*.html")) == []


def test_analysis_file_is_named_as_what_it_is(nnft: Nnft, run_file: Path) -> None:
    card = nnft.card(correlators="[2, 4]")
    assert nnft("sample", card, "-o", "run.h5").code == 0
    assert nnft("action", "run.h5", "-o", "action.h5").code == 0
    refused(nnft("report", "action.h5"), 3, "action.h5")


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_missing_library_is_one_line(library: str, nnft: Nnft, run_file: Path) -> None:
    folder = nnft.folder / "shadow"
    folder.mkdir()
    text = f"raise ModuleNotFoundError(name={library!r})\n"
    (folder / f"{library}.py").write_text(text, encoding="utf-8")
    found = nnft("report", run_file, env={"PYTHONPATH": f"{folder}:{PYTHONPATH}"})
    refused(found, 4, f"{library} is missing", 'pip install "nnft[report]"')
    assert list(nnft.folder.glob("*.html")) == []


def test_help_names_the_extra_libraries(nnft: Nnft) -> None:
    found = nnft("report", "--help")
    assert found.code == 0
    assert "jinja2" in found.out
    assert "report " in nnft("--help").out
