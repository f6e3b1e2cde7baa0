"""docs/file-format.md says what the schema says, and its examples run on a real file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout
from nnft.store.layout import axis_paths, find_entry, required_members
from nnft.store.schema import RUN_FILE, SCHEMA, SEGMENT_SCHEMA
from nnft.store.segments import FieldWriter
from nnft.store.snapshot import RunSnapshot
from nnft.store.writer import write_snapshot

PAGE = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")
KINDS = ("group", "dimension", "dataset", "attribute")


def page_rows() -> list[tuple[str, ...]]:
    """Rows of the page's schema tables."""
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in PAGE.splitlines()]
    return [(row[0].strip("`"), *row[1:]) for row in cells if len(row) == 8 and row[1] in KINDS]


def test_page_and_schema_agree() -> None:
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
        for entry in SCHEMA + SEGMENT_SCHEMA
    ]
    assert sorted(page_rows()) == sorted(schema)


def test_schema_is_consistent() -> None:
    paths = [entry.path for entry in SCHEMA]
    assert len(set(paths)) == len(paths)
    for entry in SCHEMA:
        concrete = re.sub(r"<\w+>", "x:0", entry.path)
        assert find_entry(RUN_FILE, concrete) == (entry, "x:0" if "<" in entry.path else "")
        if entry.kind == "dataset":
            assert entry.long_name
            assert len(axis_paths(RUN_FILE, concrete)) == len(entry.dims)
    assert find_entry(RUN_FILE, "/accumulators/other") is None
    assert "/@seed" in required_members(RUN_FILE, [])


def test_no_axis_of_a_group_hides_one_above_it() -> None:
    """`xarray.open_datatree` refuses a child whose dimension has its parent's name and another length."""
    axes = [entry.path.rpartition("/") for entry in SCHEMA if entry.kind == "dimension"]
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
