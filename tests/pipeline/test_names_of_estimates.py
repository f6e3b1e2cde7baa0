"""A run file holds the estimates under the names that its format page promises."""

from __future__ import annotations

import re
from pathlib import Path

import nnft
from nnft.spec.run import RunSpec

PAGE = Path(__file__).parents[2] / "docs" / "file-format.md"
CARD = {
    "network": {"widths": [4, 4], "activation": "tanh", "outputs": 2},
    "inputs": {"points": [[1.0, 0.5], [0.2, -1.0]]},
    "ensemble": {"networks": 400, "seed": 20240601},
    "estimate": {"correlators": [2, 4]},
}


def promised() -> list[re.Pattern[str]]:
    """Names in the page's table of estimates, as patterns."""
    row = r"^\| (`(?:connected|moment|kernel_layer|vertex|excess)_.*?) \|"
    rows = re.findall(row, PAGE.read_text(), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return [re.compile(re.sub(r"<\w+>", r"[0-9]+", name)) for name in names]


def test_every_estimate_has_a_promised_name(tmp_path: Path) -> None:
    with nnft.sample(RunSpec.from_dict(CARD), tmp_path / "run.h5", threads=1) as run:
        written = set(run.stored.estimate_names)
    patterns = promised()
    assert len(patterns) >= 6
    assert {"connected_4_0011", "kernel_layer_2", "vertex_layer_3", "excess_kurtosis"} <= written
    assert [name for name in written if not any(p.fullmatch(name) for p in patterns)] == []
    unused = [p.pattern for p in patterns if not any(p.fullmatch(name) for name in written)]
    assert unused == []
