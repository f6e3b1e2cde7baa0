"""Small runs of every kind with cards that nobody should trust, and a strict reader of pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nnft.pipeline.sample import sample
from nnft.pipeline.train import train
from nnft.store.reader import read_run
from nnft.store.writer import write_snapshot

SEED = 20240601
NASTY = "</pre></details><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>&lt; \u202e"
"""In a comment of every card: what would run, load or hide something if it were not escaped."""

VOID = {"meta", "br", "img", "hr", "link", "input"}

HEAD = f"""# {NASTY}
[network]
widths = [6, 6]
activation = "tanh"
weight_variance = 1.3
bias_variance = 0.1
[inputs]
points = [[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]
"""
DATA = """
[training.data]
teacher = "linear"
points = 4
dimension = 2
test = 3
"""
MANY = f"[ensemble]\nnetworks = 3200\nseed = {SEED}\n[estimate]\ncorrelators = [2, 4]\n"
FEW = f'[ensemble]\nnetworks = 64\nseed = {SEED}\n[training]\nloss = "half-sum"\n'
CARDS = {
    "sampled": f"{MANY}[store]\nfields = 400",
    "deformed": f"{MANY}[deformation]\nphi4 = 0.3",
    "descent": f'{FEW}algorithm = "gd"\nstep = 0.1\nsteps = 20\nsnapshots = 4\n{DATA}',
    "chains": f'{FEW}algorithm = "langevin"\n'
    f"ridge = 0.2\nstep = 0.02\nburn_in = 10\ndraws = 6\nthinning = 3\nchains = 2\n"
    f"snapshots = 0\n{DATA}",
}


def make_runs(folder: Path, kinds: Iterable[str] = tuple(CARDS)) -> None:
    """Write a run of every kind, ``<kind>.h5``."""
    for kind in kinds:
        card, lines = folder / f"{kind}.toml", CARDS[kind]
        card.write_text(HEAD + lines, encoding="utf-8")
        work = train if "[training]" in lines else sample
        work(card, folder / f"{kind}.h5", threads=1).close()


def change(source: Path, path: Path, training: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a run anew with other attributes of its snapshot, all checksums right."""
    with read_run(source) as run:
        snapshot = run.snapshot()
        arrays: dict[str, Any] = {k: v for k, v in snapshot.training.items() if not k.startswith("flows/")}
        if run.trace_names:
            arrays["traces/name"] = run.trace_names
    arrays |= training or {}
    options = {"training": arrays, "fields": None} | changes
    write_snapshot(path, dataclasses.replace(snapshot, **options))
    return path


class Page(HTMLParser):
    """A page, read strictly: every element is closed in its turn.

    Attributes
    ----------
    elements : list of (str, dict)
        Tags with attributes.
    faults : list of str
    texts : list of (str, str)
        Innermost tag and text.
    tables : list of list of list of str
        Cells of every table.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self._keep(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element that closes itself, which only those of pictures may."""
        self._keep(tag, attrs)
        if "svg" not in self._open:
            self.faults.append(f"closes itself: {tag}")

    def handle_endtag(self, tag: str) -> None:
        """Compare with the element that is open."""
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"closed out of turn: {tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        where = self._open[-1] if self._open else ""
        self.texts.append((where, data))
        if where in ("th", "td"):
            self.tables[-1][-1][-1] += data

    def _keep(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"attribute twice: {tag}")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, tag: str) -> list[dict[str, str]]:
        """Attributes of all elements of a kind."""
        return [found for name, found in self.elements if name == tag]

    def words(self, tag: str = "") -> str:
        """All texts, or those right inside of one kind of element."""
        return "\n".join(text for where, text in self.texts if tag in ("", where))

    def table(self, first: str) -> list[list[str]]:
        """The table whose header begins with these words, such as "point"."""
        return next(rows for rows in self.tables if rows[0][0] == first)
