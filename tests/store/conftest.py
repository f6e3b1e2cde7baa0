"""A small run and a small analysis, complete in every group, for the tests of the store."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.store.analysis_content import AnalysisArray, AnalysisFile, AnalysisTable, SourceRun
from nnft.store.snapshot import FieldManifest, HistoryEntry, RunSnapshot, SegmentRecord

BINS = 4
BLOCK = 8


def build_snapshot(blocks_done: int = 5, blocks_planned: int = 10, **changes: Any) -> RunSnapshot:
    """Build a run of P = 3 points after some blocks; the numbers depend on `blocks_done` alone."""
    rng = np.random.default_rng([20240601, blocks_done])
    count = np.bincount(np.arange(blocks_done) % BINS, minlength=BINS) * BLOCK
    pairs = np.array([(a, b) for a in range(3) for b in range(a, 3)], np.int32)
    fours = np.hstack([np.repeat(pairs, 6, axis=0), np.tile(pairs, (6, 1))])
    content: dict[str, Any] = {
        "run_id": "3e1c",
        "digest": "ab" * 32,
        "nnft_version": "0.1.0",
        "seed": 2**127 + 12345,
        "created_at": "2024-06-01T00:00:00+00:00",
        "updated_at": "2024-06-01T00:01:00+00:00",
        "block_size": BLOCK,
        "networks_done": blocks_done * BLOCK,
        "networks_planned": blocks_planned * BLOCK,
        "config": {"card": "[network]\nwidths = [2]\n", "resolved": "# Größe\nwidths = [2]\n", "plan": "{}"},
        "points": rng.normal(size=(3, 2)),
        "accumulators": {
            "count": count,
            "shift": rng.normal(size=6),
            "sums/S2:00": rng.normal(size=(BINS, 6)),
            "sums/S4:0011": rng.normal(size=(BINS, 36)),
            "indices/S2:00": pairs,
            "indices/S4:0011": fours,
        },
        "provenance": {"host": "node7", "versions": '{"numpy": "2"}'},
        "history": (HistoryEntry("start", 0, "2024-06-01T00:00:00+00:00", "0.1.0"),),
        "runtime": {"seconds_sampling": 1.5, "networks_per_second": 26.0},
        "estimates": {
            "connected_4_0011": {
                "indices": fours,
                "value": rng.normal(size=36),
                "stderr": rng.random(36),
                "unreliable": np.zeros(36, bool),
                "order": 4,
                "pattern": "0011",
            }
        },
        "theory": {"nngp_kernel": rng.normal(size=(2, 3, 3))},
        "fields": FieldManifest(2, 3, "float64", 4, (SegmentRecord("segment-000000.h5", 0, 4, 99),)),
        "mesh_source": "card",
        "mesh_sha256": "cd" * 32,
    }
    return RunSnapshot(**{**content, **changes})


@pytest.fixture
def make_snapshot() -> Callable[..., RunSnapshot]:
    """Function that builds a snapshot; keyword arguments replace its parts."""
    return build_snapshot


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """Path of a run file that does not exist yet."""
    return tmp_path / "run.h5"


def build_analysis(number: int = 1, **changes: Any) -> AnalysisFile:
    """Build an action of P = 3 points with B = 4 bins; the numbers depend on `number` alone."""
    rng = np.random.default_rng([20240601, number])
    pairs = np.array([(a, b) for a in range(3) for b in range(a, 3)], np.int32)
    fours = np.array(list(combinations_with_replacement(range(3), 4)), np.int32)
    modes = np.array([(0, 0, 0, 0), (0, 0, 1, 1)], np.int32)
    tables = []
    for name, indices, axis in (
        ("free", pairs, "point"),
        ("quartic", fours, "point"),
        ("modes", modes, "mode"),
    ):
        m = len(indices)
        tables.append(
            AnalysisTable(
                name=name,
                indices=indices,
                value=rng.normal(size=m),
                stderr=rng.random(m),
                unreliable=rng.random(m) < 0.5,
                order=indices.shape[1],
                long_name=f"{name} coupling",
                units="1/field^4",
                description="coefficient of 1/r! φ^r in S",
                indexed_by=axis,
                pseudo_values=None if name == "free" else rng.normal(size=(BINS, m)),
            )
        )
    content: dict[str, Any] = {
        "kind": "action",
        "created_at": "2024-06-01T00:00:00+00:00",
        "nnft_version": "0.1.0",
        "points": rng.normal(size=(3, 2)),
        "point_numbers": np.array([0, 4, 7], np.int32),
        "conventions": "the weight is exp(-S)",
        "command": "nnft action run.h5 -o action.h5",
        "sources": (SourceRun("run.h5", "3e1c", "ab" * 32, 40),),
        "bin_counts": np.array([16, 8, 8, 8]),
        "parameters": {"cut": "1e-12", "modes": "[0, 1]"},
        "arrays": {
            "eigenvalues": AnalysisArray(rng.random(2), ("mode",), "eigenvalues of the kernel", "field^2"),
            "eigenvectors": AnalysisArray(
                rng.normal(size=(2, 3)), ("mode", "point"), "eigenvectors of the kernel"
            ),
            "temperature": AnalysisArray(np.array(1.5), ()),
        },
        "tables": tuple(tables),
    }
    return AnalysisFile(**{**content, **changes})


@pytest.fixture
def make_analysis() -> Callable[..., AnalysisFile]:
    """Function that builds an analysis; keyword arguments replace its parts."""
    return build_analysis


@pytest.fixture
def analysis_path(tmp_path: Path) -> Path:
    """Path of an analysis file that does not exist yet, in a folder of its own."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder / "action.h5"
