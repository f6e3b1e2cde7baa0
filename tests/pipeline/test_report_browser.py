"""Reports in headless Chromium: no complaint, no request that leaves the page, every picture is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, chromium_binary
from report_pages import make_runs

from nnft.pipeline.report_output import report_of_file

BINARY = chromium_binary()
KINDS = ("sampled", "chains")
PICTURES = {"sampled": 3, "chains": 3}
EVERY = "[...document.querySelectorAll('svg')]"
SIZES = f"{EVERY}.map(s => s.getBoundingClientRect()).map(r => [r.width, r.height])"
INK = f"{EVERY}.map(s => s.querySelectorAll('path').length)"
GROUND = "['body', '.picture'].map(n => getComputedStyle(document.querySelector(n)).backgroundColor)"

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="no chromium on this machine: apt-get install --no-install-recommends chromium"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of two kinds of run."""
    folder = tmp_path_factory.mktemp("pages")
    make_runs(folder, KINDS)
    runs = {kind: folder / f"{kind}.h5" for kind in KINDS}
    return {kind: report_of_file(run, output=run.with_suffix(".html")).path for kind, run in runs.items()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser."""
    with Chromium(str(BINARY), tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_quiet_and_alone(kind: str, pages: dict[str, Path], browser: Chromium) -> None:
    browser.resize(1200, 900)
    browser.prefer("light")
    browser.open(pages[kind])
    assert browser.complaints() == []
    first, *others = browser.requests()
    assert first == pages[kind].absolute().as_uri()
    assert [address for address in others if not address.startswith("data:image/png;base64,")] == []
    assert browser.evaluate("document.compatMode") == "CSS1Compat"
    assert browser.evaluate("typeof window.hacked") == "undefined"
    assert browser.evaluate("document.scripts.length") == 0


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_have_sizes_and_nothing_sticks_out(
    kind: str, width: int, pages: dict[str, Path], browser: Chromium
) -> None:
    browser.resize(width, 800, mobile=width < 500)
    browser.open(pages[kind])
    sizes = browser.evaluate(SIZES)
    assert len(sizes) == PICTURES[kind]
    assert min(min(pair) for pair in sizes) > 200.0
    assert min(browser.evaluate(INK)) > 20
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_page_keeps_its_pictures_on_white(pages: dict[str, Path], browser: Chromium) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(pages["sampled"])
        grounds[scheme] = browser.evaluate(GROUND)
    browser.prefer("dark", "print")
    grounds["print"] = browser.evaluate(GROUND)
    white = "rgb(255, 255, 255)"
    assert grounds["light"] == grounds["print"] == [white, white]
    assert grounds["dark"][1] == white
    assert max(int(part) for part in grounds["dark"][0][4:-1].split(",")) < 60


def test_complaints_and_requests_are_seen(browser: Chromium, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<!DOCTYPE html><img src="http://127.0.0.1:9/a.png"><script>console.error("x"); nowhere()</script>'
        "<svg></svg>",
        encoding="utf-8",
    )
    browser.open(page)
    assert any(address.startswith("http://") for address in browser.requests())
    assert len(browser.complaints()) >= 2
