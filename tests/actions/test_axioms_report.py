"""The report as a whole: a stored run, refusals, and what goes into JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axiom_networks import line, network_fields, square
from runs import SEED

import nnft
from nnft.actions.axiom_report import AxiomCheck
from nnft.actions.axiom_text import axioms_text
from nnft.actions.axioms import axioms, axioms_of_fields
from nnft.errors import DataFileError, NnftError, NumericalError, UsageError

POINTS = square(3)
NAMES = {"Z2", "O(D)", "translations", "rotations", "Euclidean group", "reflection positivity"}


def sampled(path: Path, networks: int = 4000, **tables: dict[str, Any]) -> nnft.Run:
    card: dict[str, Any] = {
        "network": {"widths": [6], "activation": "tanh", "outputs": 2, "bias_variance": 0.2},
        "inputs": {"points": POINTS.tolist()},
        "ensemble": {"networks": networks, "seed": SEED},
        "estimate": {"correlators": [2, 4]},
        "store": {"fields": 0},
    }
    for name, keys in tables.items():
        card[name] = card.get(name, {}) | keys
    return nnft.sample(nnft.RunSpec.from_dict(card), path, progress=False)


def test_a_run_with_stored_outputs(tmp_path: Path) -> None:
    with sampled(tmp_path / "run.h5", store={"fields": 2000}) as run:
        report = axioms(run)
    assert (report.source, report.networks, report.bins, report.fields) == ("run.h5", 4000, 100, 2000)
    assert {check.name for check in report.checks if not check.name.startswith("clustering")} == NAMES
    verdicts = {(check.name, check.order): check.verdict for check in report.checks}
    assert [verdicts[key] for key in (("Z2", 1), ("Z2", 3), ("O(D)", 2), ("O(D)", 4))] == ["holds"] * 4
    assert verdicts["rotations", 4] == "holds"
    assert verdicts["translations", 4] == "broken"
    record = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert record["checks"][0]["name"] == "Z2"
    assert len(record["checks"]) == len(report.checks)
    lines = axioms_text(report).splitlines()
    assert lines[0] == "run.h5: 4000 networks in 100 bins, outputs of 2000 kept"
    assert len(lines) == len(report.checks) + 5
    assert lines[-1].startswith("holds: within the errors given; broken: p below 0.0001")


def test_a_run_without_stored_outputs(tmp_path: Path) -> None:
    with sampled(tmp_path / "run.h5") as run:
        report = axioms(run, orders=[2])
    assert report.fields == 0
    assert "store.fields above 0" in report.check("Z2", 1).reason
    assert "by construction of the conditional estimator" in report.check("O(D)", 4).reason
    assert {check.order for check in report.checks if check.name == "rotations"} == {2}
    with pytest.raises(UsageError, match="no such check"):
        report.check("rotations", 4)


def test_few_stored_outputs_are_not_tested(tmp_path: Path) -> None:
    with sampled(tmp_path / "run.h5", store={"fields": 500}) as run:
        check = axioms(run).check("Z2", 1)
    assert (check.verdict, check.p_value) == ("not testable", None)
    assert check.reason == "the file keeps outputs of 500 networks; store.fields must be at least 512"


def test_a_single_precision_run_with_single_outputs(tmp_path: Path) -> None:
    network = {"outputs": 1}
    with sampled(
        tmp_path / "run.h5", network=network, ensemble={"precision": "float32"}, store={"fields": "all"}
    ) as run:
        report = axioms(run)
    assert report.check("Z2", 3).verdict == "holds"
    assert report.check("O(D)", 2).reason == "one output"
    assert report.check("rotations", 2).verdict == "holds"


@pytest.mark.long
def test_an_interaction_of_each_output_breaks_the_rotations_of_outputs(tmp_path: Path) -> None:
    """A quartic potential for every output by itself has a preferred basis, one of their length has none."""
    common: dict[str, dict[str, Any]] = {"network": {"widths": [64]}, "store": {"fields": 0}}
    checks = {}
    for invariance in ("each", "total"):
        deformation = {"phi4": 2.0, "invariance": invariance, "readouts": 8}
        with sampled(
            tmp_path / f"{invariance}.h5", networks=40_000, deformation=deformation, **common
        ) as run:
            report = axioms(run)
        checks[invariance] = report.check("O(D)", 4)
        assert "deformed" in report.check("Z2", 1).reason
        assert report.check("rotations", 2).verdict == "holds"
    assert checks["each"].verdict == "broken", checks["each"]
    assert checks["total"].verdict == "holds", checks["total"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nnft.Run]:
    """A run of 400 networks without stored outputs."""
    with sampled(tmp_path_factory.mktemp("small") / "run.h5", networks=400) as run:
        yield run


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"orders": [3]}, UsageError, "no such order of a check: got 3"),
        ({"orders": []}, UsageError, "no such order"),
        ({"orders": [6]}, DataFileError, "no correlator of order 6"),
        ({"axis": 2}, UsageError, "axis out of range: got 2; allowed: 0 to 1"),
        ({"axis": -1}, UsageError, "axis out of range"),
        ({"plane": float("nan")}, UsageError, "no place for the plane"),
        ({"plane": "centre"}, UsageError, "give a number or middle"),
        ({"tolerance": -1.0}, UsageError, "impossible tolerance"),
        ({"tolerance": float("inf")}, UsageError, "impossible tolerance"),
    ],
)
def test_refusals(small: nnft.Run, options: dict[str, Any], kind: type[NnftError], words: str) -> None:
    with pytest.raises(kind, match=words):
        axioms(small, **options)


def test_too_few_bins(tmp_path: Path) -> None:
    with (
        sampled(tmp_path / "run.h5", networks=10, ensemble={"block_size": 1}) as run,
        pytest.raises(NumericalError, match="got 10, needed 16"),
    ):
        axioms(run)


FIELDS = network_fields(POINTS, 600, SEED + 7700)


@pytest.mark.parametrize(
    ("points", "fields", "words"),
    [
        (POINTS, FIELDS[:, 0], "wrong shapes"),
        (POINTS[:3], FIELDS, "wrong shapes"),
        (POINTS[:, 0], FIELDS, "wrong shapes"),
        (POINTS, FIELDS[:, :0], "wrong shapes"),
        (POINTS, FIELDS.astype(complex), "not real numbers"),
        (POINTS, FIELDS.astype(object), "not real numbers"),
        (POINTS, np.where(FIELDS > 1.0, np.nan, FIELDS), "not finite"),
        (np.where(POINTS > 0.0, np.inf, POINTS), FIELDS, "not finite"),
    ],
)
def test_refused_fields(points: Any, fields: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        axioms_of_fields(points, fields)


def test_fields_of_any_real_type_and_order() -> None:
    single = axioms_of_fields(POINTS, FIELDS.astype(np.float32).astype(np.float64))
    assert single == axioms_of_fields(POINTS, FIELDS.astype(np.float32))
    assert axioms_of_fields(POINTS, np.asfortranarray(FIELDS)) == axioms_of_fields(POINTS.tolist(), FIELDS)
    with pytest.raises(NumericalError, match="got 500, needed 512"):
        axioms_of_fields(POINTS, FIELDS[:500])
    with pytest.raises(UsageError, match="no such order"):
        axioms_of_fields(POINTS, FIELDS, orders=(8,))


def test_sixth_order_of_fields() -> None:
    points = line(3)
    report = axioms_of_fields(points, network_fields(points, 4000, SEED + 7701), orders=(2, 4, 6))
    assert report.check("rotations", 6).verdict == "holds"
    assert report.check("translations", 2).verdict == "broken"


def test_text_of_infinite_statistics() -> None:
    check = AxiomCheck("x", 2, "y", "broken", statistic=float("inf"), statistic_name="T2(1)")
    assert check.as_dict()["statistic"] is None
