"""Pages of runs of every kind: closed elements, nothing from outside, the numbers of the file, refusals."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import NASTY, Page, change, make_runs

import nnft
from nnft.analysis.comparison import compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.report_record import ORDER, ReportPicture, ReportSection, ReportTable, in_order
from nnft.analysis.summary import point_rows, summary
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import DataFileError, EnvironmentRefusal, NnftError, UsageError
from nnft.pipeline import report_pictures
from nnft.pipeline.report_output import LARGEST_PAGE, report_of_file
from nnft.pipeline.report_page import visible

KINDS = ("sampled", "deformed", "descent", "chains")
PICTURES = {
    "sampled": ["correlators", "kernel", "action"],
    "deformed": ["correlators", "kernel", "action"],
    "descent": ["predictor", "loss", "flows", "action"],
    "chains": ["predictor", "chains", "action"],
}
FORBIDDEN = {"script", "iframe", "object", "embed", "link", "img", "base", "form", "foreignobject"}
ALLOWED_SCHEMES = ("#", "data:image/png;base64,")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of every kind."""
    place = tmp_path_factory.mktemp("reports")
    make_runs(place)
    return place


@pytest.fixture(scope="module")
def page_path(folder: Path) -> Any:
    """The file of the page of a kind of run, made when it is first asked for."""

    def path(kind: str) -> Path:
        page = folder / f"{kind}.html"
        return page if page.exists() else report_of_file(folder / f"{kind}.h5", output=page).path

    return path


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no more than one picture, for tests of everything else."""

    def no_action(run: Any) -> Any:
        raise UsageError("no action in this test")

    every = report_pictures.drawings
    monkeypatch.setattr(report_pictures, "drawings", lambda run, state: every(run, state)[:1])
    monkeypatch.setattr(report_pictures, "quick_action", no_action)


@pytest.fixture
def page(page_path: Any) -> Any:
    """The page of a kind of run."""
    return lambda kind: Page(page_path(kind).read_text(encoding="utf-8"))


@pytest.mark.first(2)
@pytest.mark.parametrize("kind", KINDS)
def test_page_is_closed_and_refers_to_nothing_outside(kind: str, page: Any, page_path: Any) -> None:
    text, found = page_path(kind).read_text(encoding="utf-8"), page(kind)
    assert found.faults == []
    assert len(text.encode()) < LARGEST_PAGE == 1_000_000
    assert re.findall(r"(?i)https?:|ftp:|@import|javascript:", text) == []
    assert FORBIDDEN & {tag for tag, _ in found.elements} == set()
    for _, attributes in found.elements:
        assert [name for name in attributes if name.startswith(("on", "src"))] == []
        assert attributes.get("href", "#").startswith(ALLOWED_SCHEMES)
    policy = next(one["content"] for one in found.of("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'")


@pytest.mark.first(3)
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_have_sizes_names_and_identifiers_of_their_own(kind: str, page: Any, page_path: Any) -> None:
    found, text = page(kind), page_path(kind).read_text(encoding="utf-8")
    pictures = found.of("svg")
    assert [one["aria-labelledby"].split("-")[0] for one in pictures] == PICTURES[kind]
    identifiers = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers)) > 100
    for one in pictures:
        width, height = (float(one[side].removesuffix("pt")) for side in ("width", "height"))
        assert one["viewbox"] == f"0 0 {width:g} {height:g}"
        assert min(width, height) > 200.0
        assert one["role"] == "img"
        assert set(one["aria-labelledby"].split()) <= set(identifiers)
    inside = re.findall(r'(?:url\(|(?:xlink:)?href=")#([^)"]+)', text)
    assert set(inside) <= set(identifiers)
    assert len(inside) > 100
    assert "<text" not in text, "letters of pictures are paths"


@pytest.mark.parametrize("kind", KINDS)
def test_contents_lead_to_the_sections_in_order(kind: str, page: Any) -> None:
    found = page(kind)
    headings = [one["id"] for one in found.of("h2") if one["id"] != "warnings"]
    assert [one["href"] for one in found.of("a")] == [f"#{key}" for key in headings]
    assert headings == sorted(headings, key=ORDER.index)
    assert {"overview", "correlators", "action", "card", "conventions", "provenance"} <= set(headings)
    assert ("chains" in headings) == (kind == "chains")
    assert len(found.of("caption")) == len(found.tables)
    assert all(len({len(row) for row in rows}) == 1 for rows in found.tables)


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_the_card_stays_text(kind: str, folder: Path, page: Any) -> None:
    found = page(kind)
    card = (folder / f"{kind}.toml").read_text(encoding="utf-8")
    assert NASTY in card
    assert card.replace("\u202e", "\\u202e") in found.words("pre")
    assert "\u202e" not in found.words()


def test_characters_that_are_not_seen_are_written_out() -> None:
    assert visible("a\tb\r\nc\u00e9\u4e2d") == "a\tb\nc\u00e9\u4e2d"
    assert visible("\x00\x1b\u202e\u2028\udc80\U000e0001") == "\\u0000\\u001b\\u202e\\u2028\\udc80\\U000e0001"


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_file(kind: str, folder: Path, page: Any) -> None:
    with nnft.open(folder / f"{kind}.h5") as run:
        state = summary(run)
        assert page(kind).table("point") == point_rows(state)
        words = page(kind).words("dd")
        stored = run.stored
        for name in ("seed", "digest", "result_digest", "run_id"):
            assert stored.text(name) in words
        assert stored.provenance["command"] in words
        if run.training is not None:
            theories = comparison_record(compare(TrainedRun(run)))["theories"]
            assert {theory["name"] for theory in theories} <= set(page(kind).words("dt").split("\n"))


def test_pulls_of_a_sampled_run_are_against_infinite_width(folder: Path, page: Any) -> None:
    rows = {row[0]: row[1:] for row in page("sampled").table("")[1:]}
    with nnft.open(folder / "sampled.h5") as run:
        second, kernel = run.connected(2), run.nngp_kernel(3)
        assert kernel is not None
        for (a, b), value, error in zip(second.indices.tolist(), second.value, second.stderr, strict=True):
            theory = kernel[a, b]
            assert rows[f"G2 {a} {b}"][1:] == [f"{theory:.6g}", f"{(value - theory) / error:+.1f}"]
        fourth = run.connected(4)
        joint = {row[0]: row for row in page("sampled").table("all components")}
        assert float(joint["G4"][-1]) == pytest.approx(np.abs(fourth.value / fourth.stderr).max(), abs=0.051)


def test_deformed_run_has_no_theory_and_names_its_base(page: Any) -> None:
    found = page("deformed")
    assert "theory" not in [one["id"] for one in found.of("h2")]
    assert "base G2 at n = inf" in found.table("point")[0]
    assert "effective sample size" in found.words("dd")
    assert "pull" not in found.words("dt").split("\n")


def test_pictures_that_cannot_be_drawn_are_named(page: Any) -> None:
    said = page("chains").words("p")
    assert "No picture of this kind (Errors along the training): no snapshots along the training" in said
    assert "No picture of this kind" not in page("descent").words("p")


def test_chains_out_of_equilibrium_are_said_first(page: Any, page_path: Any) -> None:
    text, found = page_path("chains").read_text(encoding="utf-8"), page("chains")
    warnings = found.words("li")
    assert re.search(r"chains (cannot tell|not yet|drifting)", warnings)
    assert text.index('class="warnings"') < text.index("<nav")
    assert "chains" not in page("descent").words("li").lower().split()


@pytest.mark.usefixtures("few_pictures")
def test_diverged_networks_and_runs_on_their_way_are_said_first(folder: Path, tmp_path: Path) -> None:
    with nnft.open(folder / "descent.h5") as run:
        planned = run.networks + 3
        stored = {name: np.asarray(run.stored.training[name]) for name in run.stored.training}
    lost = {"diverged/networks": 3, "diverged/members": 3, "diverged/first": 5}
    arrays = {name: np.asarray(lost[name], dtype=stored[name].dtype) for name in lost}
    counts = {"networks_planned": planned + 7, "networks_done": planned}
    path = change(folder / "descent.h5", tmp_path / "lost.h5", arrays, **counts)
    found = Page(report_of_file(path, output=tmp_path / "lost.html").path.read_text(encoding="utf-8"))
    assert "3 of 67 networks diverged" in found.words("li")
    assert "not complete: 67 of 74 networks" in found.words("li")
    assert "67 trained networks of 74 planned: not complete" in found.words("p")


@pytest.mark.usefixtures("few_pictures")
def test_run_without_networks_has_a_page(folder: Path, tmp_path: Path) -> None:
    with nnft.open(folder / "sampled.h5") as run:
        sums = {name: np.zeros_like(run.stored.accumulators[name]) if name.startswith(("sums/", "count"))
                else run.stored.accumulators[name] for name in run.stored.accumulators}  # fmt: skip
    changes = {"networks_done": 0, "accumulators": sums, "estimates": {}, "theory": {}}
    path = change(folder / "sampled.h5", tmp_path / "none.h5", **changes)
    found = Page(report_of_file(path, output=tmp_path / "none.html").path.read_text(encoding="utf-8"))
    assert "no networks yet" in found.words("li")
    assert [one["id"] for one in found.of("h2")][1:] == ["overview", "card", "conventions", "provenance"]
    assert found.faults == []


def test_lost_outputs_cost_one_picture_and_a_warning(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "sampled.h5", tmp_path)
    report = report_of_file(tmp_path / "sampled.h5", output=tmp_path / "lost.html")
    found = Page(report.path.read_text(encoding="utf-8"))
    assert len(found.of("svg")) == len(PICTURES["sampled"]) - 1
    assert "segment" in found.words("li")


@pytest.mark.usefixtures("few_pictures")
def test_damaged_file_has_no_page(folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "sampled.h5").read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    (tmp_path / "damaged.h5").write_bytes(content)
    with pytest.raises(DataFileError):
        report_of_file(tmp_path / "damaged.h5", output=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_same_file_gives_the_same_page_but_for_the_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_path: Any
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = report_of_file(folder / "sampled.h5", output=tmp_path / "other-name.html").path
    stamp = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
    pages = [path.read_text(encoding="utf-8") for path in (page_path("sampled"), second)]
    texts = [text.rpartition("<footer>") for text in pages]
    assert texts[0][0] == texts[1][0]
    assert stamp.sub("", texts[0][2]) == stamp.sub("", texts[1][2])
    assert len(stamp.findall(texts[0][2])) == 2


@pytest.mark.usefixtures("few_pictures")
def test_flow_over_cutoffs_has_its_place(folder: Path, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from nnft.plots.inline import inline_svg
    from nnft.plots.style import house_style

    with house_style():
        figure = Figure(figsize=(3.0, 3.0))
        figure.add_subplot().plot([1.0, 2.0], [3.0, 4.0])
        svg = inline_svg(figure, "loss-cutoff", "Loss & cutoff", "a <line>")
    section = ReportSection(
        "cutoffs",
        "Flow over cutoffs",
        tables=(ReportTable("Loss at each cutoff", ("cutoff", "loss"), (("1e-4", "0.51(2)!"),)),),
        pictures=(ReportPicture("loss-cutoff", "Loss & cutoff", "a <line>", svg),),
    )
    report = report_of_file(folder / "descent.h5", output=tmp_path / "flow.html", sections=[section])
    found = Page(report.path.read_text(encoding="utf-8"))
    headings = [one["id"] for one in found.of("h2")]
    assert headings[headings.index("training") + 1] == "cutoffs"
    assert found.table("cutoff")[1] == ["1e-4", "0.51(2)!"]
    assert {"class": "doubtful"} in found.of("td")
    assert found.faults == []
    assert "Loss & cutoff" in found.words("title")


@pytest.mark.parametrize(
    ("keys", "words"), [(["nowhere"], "no such section"), (["card", "card"], "two sections")]
)
def test_section_without_a_place_is_refused(keys: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        in_order(ReportSection(key, key) for key in keys)


def test_two_pictures_with_one_key_are_refused() -> None:
    picture = ReportPicture("a", "", "", "<svg></svg>")
    with pytest.raises(UsageError, match="two pictures"):
        in_order([ReportSection("card", "", pictures=(picture, picture))])


@pytest.mark.first(1)
@pytest.mark.parametrize(("share", "words"), [(0.8, "coarser"), (0.2, "left out")])
def test_large_pictures_give_way(
    share: float, words: str, folder: Path, tmp_path: Path, page_path: Any
) -> None:
    largest = round(share * page_path("sampled").stat().st_size)
    report = report_of_file(folder / "sampled.h5", output=tmp_path / "small.html", largest=largest)
    found = Page(report.path.read_text(encoding="utf-8"))
    assert report.size == report.path.stat().st_size <= largest
    assert any(note.startswith(words) for note in report.notes)
    assert set(report.notes) <= set(found.words("li").split("\n"))
    assert found.faults == []
    coarse = [one for one in found.of("image") if float(one["width"]) > 200.0]
    assert len(found.of("svg")) < 3 or len(coarse) == len(report.notes) > 0
    assert all({"width", "height", "viewbox", "role"} <= set(one) for one in found.of("svg"))


@pytest.mark.usefixtures("few_pictures")
def test_page_that_cannot_be_small_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="page too large without a picture"):
        report_of_file(folder / "descent.h5", output=tmp_path / "page.html", largest=5000)
    assert list(tmp_path.iterdir()) == []


def refusals(folder: Path) -> dict[str, tuple[Path, bool, type[NnftError], str]]:
    """Outputs that must not be written: path, overwrite, error, words."""
    (folder / "other.html").write_text("<!DOCTYPE html><p>my own page</p>", encoding="utf-8")
    (folder / "folder.html").mkdir()
    return {
        "exists": (folder / "descent.html", False, UsageError, "report exists: got .*--overwrite"),
        "other page": (folder / "other.html", True, UsageError, "not a report of nnft"),
        "result file": (folder / "run.html", True, UsageError, "report would replace the result file"),
        "folder": (folder / "folder.html", True, UsageError, "report is not a regular file"),
        "no folder": (folder / "no" / "a.html", True, UsageError, "folder of the report does not exist"),
        "suffix": (folder / "report.pdf", True, UsageError, r"unknown kind of report.*allowed: \.html"),
        "control": (folder / "a\nb.html", True, UsageError, "control character in the name of the report"),
        "long": (folder / f"{'a' * 300}.html", True, UsageError, "name of the report|impossible report"),
    }


def test_outputs_that_must_not_be_written_are_refused(
    folder: Path, tmp_path: Path, page_path: Any
) -> None:
    shutil.copy(folder / "descent.h5", tmp_path / "run.html")
    shutil.copy(page_path("descent"), tmp_path)
    cases = refusals(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for name, (output, overwrite, kind, words) in cases.items():
        with pytest.raises(kind, match=words) as failure:
            report_of_file(tmp_path / "run.html", output=output, overwrite=overwrite)
        assert "\n" not in str(failure.value), name
        assert len(str(failure.value)) <= 200
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("few_pictures")
def test_report_is_replaced_when_asked_to(folder: Path, tmp_path: Path) -> None:
    report_of_file(folder / "sampled.h5", output=tmp_path / "report.html")
    report = report_of_file(folder / "descent.h5", output=tmp_path / "report.html", overwrite=True)
    assert "<h1>descent.h5</h1>" in report.path.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_missing_library_is_one_line_before_anything_is_read(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EnvironmentRefusal) as failure:
        report_of_file(tmp_path / "missing.h5", output=tmp_path / "page.html")
    assert str(failure.value) == (
        f"{library} is missing: got no module '{library}'; pip install \"nnft[report]\""
    )
    assert failure.value.exit_code == 4


@pytest.mark.usefixtures("few_pictures")
def test_full_disk_leaves_the_old_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_of_file(folder / "sampled.h5", output=tmp_path / "report.html")
    before = (tmp_path / "report.html").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentRefusal, match=r"cannot write report .*ENOSPC.*; free space or raise"):
        report_of_file(folder / "descent.h5", output=tmp_path / "report.html", overwrite=True)
    assert (tmp_path / "report.html").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
