"""The pages of the file formats say what the schemas say, and their examples run on real files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout
from nnft.store.analysis_content import AnalysisFile, AnalysisTable
from nnft.store.analysis_schema import ANALYSIS_FILE, ANALYSIS_SCHEMA
from nnft.store.analysis_writer import write_analysis
from nnft.store.file_kind import FileKind
from nnft.store.layout import axis_paths, find_entry, required_members
from nnft.store.schema import RUN_FILE, SCHEMA, SEGMENT_SCHEMA
from nnft.store.schema_entry import SchemaEntry
from nnft.store.segments import FieldWriter
from nnft.store.snapshot import RunSnapshot
from nnft.store.writer import write_snapshot

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "file-format.md").read_text(encoding="utf-8")
ANALYSIS_PAGE = (DOCS / "analysis-format.md").read_text(encoding="utf-8")
KINDS = ("group", "dimension", "dataset", "attribute")


def page_rows(page: str) -> list[tuple[str, ...]]:
    """Rows of the page's schema tables."""
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in page.splitlines()]
    return [tuple(cell.strip("`") for cell in row) for row in cells if len(row) == 8 and row[1] in KINDS]


@pytest.mark.parametrize(
    ("page", "entries"),
    [(PAGE, SCHEMA + SEGMENT_SCHEMA), (ANALYSIS_PAGE, ANALYSIS_SCHEMA)],
    ids=["run", "analysis"],
)
def test_page_and_schema_agree(page: str, entries: tuple[SchemaEntry, ...]) -> None:
    schema = [
        (
            entry.path,
            entry.kind,
            entry.dtype,
            ", ".join(entry.dims),
            "yes" if entry.required else "no",
            entry.units,
            entry.long_name,
            entry.description,
        )
        for entry in entries
    ]
    assert sorted(page_rows(page)) == sorted(schema)


@pytest.mark.parametrize("kind", [RUN_FILE, ANALYSIS_FILE], ids=lambda kind: kind.filetype)
def test_schema_is_consistent(kind: FileKind) -> None:
    paths = [entry.path for entry in kind.schema]
    assert len(set(paths)) == len(paths)
    for entry in kind.schema:
        concrete = re.sub(r"<\w+>", "x:0", entry.path)
        assert find_entry(kind, concrete) == (entry, "x:0" if "<" in entry.path else "")
        if entry.kind == "dataset":
            assert entry.long_name
            axes = {f"{concrete.rpartition('/')[0]}@axes": "bin"}
            assert len(axis_paths(kind, concrete, axes)) == len(entry.dims)


def test_look_ups() -> None:
    assert find_entry(RUN_FILE, "/accumulators/other") is None
    assert "/@seed" in required_members(RUN_FILE, [])


@pytest.mark.parametrize("schema", [SCHEMA, ANALYSIS_SCHEMA], ids=["run", "analysis"])
def test_no_axis_of_a_group_hides_one_above_it(schema: tuple[SchemaEntry, ...]) -> None:
    """`xarray.open_datatree` refuses a child whose dimension has its parent's name and another length."""
    axes = [entry.path.rpartition("/") for entry in schema if entry.kind == "dimension"]
    for group, _, name in axes:
        for other, _, same in axes:
            assert not (name == same and group != other and group.startswith(f"{other}/"))


@pytest.fixture
def folder(
    tmp_path: Path, make_snapshot: Callable[..., RunSnapshot], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Folder with a run file whose numbers come from the estimators."""
    rng = np.random.default_rng(20240601)
    layout = sum_layout(3, "conditional", [2, 4], outputs=2, last_layer=2)
    estimator = CorrelatorEstimator(layout, 40)
    for index in range(40):
        estimator.push(index, 16 + index % 3, rng.normal(size=layout.n_sums) + 3.0)
    estimates: dict[str, dict[str, Any]] = {}
    for name, pattern in (("connected_4", "0000"), ("connected_4_0011", "0011")):
        result = estimator.result(4, pattern)
        estimates[name] = {key: getattr(result, key) for key in ("indices", "value", "stderr", "unreliable")}
    fields = FieldWriter(tmp_path / "run.h5.fields", 8, 2, 3)
    fields.append(0, rng.normal(size=(20, 2, 3)))
    fields.flush()
    done = estimator.n_networks
    snapshot = make_snapshot(
        accumulators=estimator.to_arrays(),
        estimates=estimates,
        networks_done=done,
        networks_planned=done,
        fields=fields.manifest(),
    )
    write_snapshot(tmp_path / "run.h5", snapshot)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_of_the_page_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spaces: list[dict[str, Any]] = []
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        spaces.append({})
        exec(compile(example, "file-format.md", "exec"), spaces[-1])
    assert len(spaces) == 4
    assert "[0 0 0 0]" in capsys.readouterr().out
    spaces[1]["tree"].close()


def test_example_gives_value_and_error_of_the_estimate(folder: Path) -> None:
    import h5py

    (example,) = (text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "pseudo" in text)
    space: dict[str, Any] = {}
    exec(compile(example, "file-format.md", "exec"), space)
    with h5py.File("run.h5") as run:
        estimate = run["estimates/connected_4_0011"]
        assert np.allclose(space["value"], estimate["value"][:], rtol=1e-12, atol=1e-14)
        assert np.allclose(space["stderr"], estimate["stderr"][:], rtol=1e-9)


def test_examples_of_the_analysis_page_run(
    tmp_path: Path,
    make_analysis: Callable[..., AnalysisFile],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last one gives the errors of a jackknife over bins of different size; one bin is empty."""
    rng = np.random.default_rng(20240601)
    counts = np.array([10.0, 20.0, 0.0, 30.0, 25.0])
    sums = rng.normal(size=(5, 15)) * np.sqrt(counts)[:, None] + counts[:, None]
    n, used = counts.sum(), counts > 0
    value = sums.sum(0) / n
    h = n / counts[used]
    without = (sums.sum(0) - sums[used]) / (n - counts[used])[:, None]
    pseudo = np.full((5, 15), np.nan)
    pseudo[used] = h[:, None] * value - (h - 1)[:, None] * without
    centre = (pseudo[used] / h[:, None]).sum(0)
    stderr = np.sqrt(((pseudo[used] - centre) ** 2 / (h - 1)[:, None]).mean(0))
    indices = make_analysis().table("quartic").indices
    flags = np.zeros(15, bool)
    table = AnalysisTable("quartic_leading", indices, value, stderr, flags, 4, pseudo_values=pseudo)
    write_analysis(tmp_path / "action.h5", make_analysis(tables=(table,), bin_counts=counts.astype(int)))
    monkeypatch.chdir(tmp_path)
    spaces: list[dict[str, Any]] = []
    for example in re.findall(r"```python\n(.*?)```", ANALYSIS_PAGE, re.DOTALL):
        spaces.append({})
        exec(compile(example, "analysis-format.md", "exec"), spaces[-1])
    assert len(spaces) == 4
    assert "[0 0 0 0]" in capsys.readouterr().out
    spaces[2]["tree"].close()
    assert np.allclose(np.sqrt(np.diag(spaces[3]["covariance"])), stderr, rtol=1e-12)
