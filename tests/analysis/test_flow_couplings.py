"""Couplings along a flow: those of the prior at infinity, none where nothing fluctuates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from flow_runs import flow_card, flow_of

from nnft.actions.action import action
from nnft.analysis.flow_record import couplings_record, couplings_text
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.pipeline.sample import sample
from nnft.spec.run import RunSpec

EPSILON = float(np.finfo(np.float64).eps)


def test_couplings_are_those_of_the_action_at_every_cutoff() -> None:
    """An inverse is rounded by its condition number; a coupling by that of four inverses, and by 16 terms of
    five factors, over what cancels among them.
    """
    flow = flow_of()
    found = flow.couplings([0, 2])
    assert found.points.tolist() == [0, 2]
    assert {name: t.value.shape for name, t in found.tables.items()} == {
        "free": (5, 3), "quadratic": (5, 3), "quartic": (5, 5), "reduced_quartic": (5, 2),
    }  # fmt: skip
    assert found.reasons == {}
    two = flow.at(1).replicates(2, None, np.array([[0, 0], [0, 2], [2, 2]])).value
    kernel = np.array([[two[0], two[1]], [two[1], two[2]]])
    inverse, rounded = np.linalg.inv(kernel), 4.0 * EPSILON * float(np.linalg.cond(kernel))
    assert found.table("free").value[1] == pytest.approx(inverse[[0, 0, 1], [0, 1, 1]], rel=rounded)
    indices = [[a, b, c, d] for a in (0, 2) for b in (0, 2) for c in (0, 2) for d in (0, 2)]
    four = flow.at(1).replicates(4, None, np.sort(np.array(indices), axis=1)).value.reshape(2, 2, 2, 2)
    lowered = np.einsum("abcd,ai,bj,ck,dl->ijkl", four, inverse, inverse, inverse, inverse)
    sizes = np.einsum("abcd,ai,bj,ck,dl->ijkl", abs(four), *[abs(inverse)] * 4) / abs(lowered)
    bounds = (4.0 * rounded + 21.0 * EPSILON) * sizes
    assert found.table("quartic").value[1, 0] == pytest.approx(-lowered[0, 0, 0, 0], rel=bounds[0, 0, 0, 0])
    reduced = found.table("reduced_quartic")
    assert reduced.indices.tolist() == [[0], [2]]
    assert reduced.value[1, 1] == pytest.approx(
        -lowered[1, 1, 1, 1] * kernel[1, 1] ** 2, rel=bounds[1, 1, 1, 1] + 4.0 * EPSILON
    )


def test_couplings_at_infinity_are_those_of_the_prior(tmp_path: Path) -> None:
    """4000 networks of which nothing is left, 20000 new ones: those that were trained are many errors off."""
    flow = flow_of(4000, bins=100, tangents=False)
    card = flow_card(20000, bins=100)
    del card["training"], card["flow"]
    card["estimate"]["estimator"] = "direct"
    found, points = flow.couplings([0, 1]), [0, 1]
    spec = RunSpec.from_dict(card | {"ensemble": {"networks": 20000, "seed": 77}})
    with sample(spec, tmp_path / "p.h5") as run:
        prior = action(run, 4, points)
        for name in ("free", "quadratic", "quartic"):
            other = prior.table(name if name == "free" else f"{name}_leading")
            table = found.table(name)
            error = np.hypot(table.stderr[-1], other.stderr)
            assert (abs(table.value[-1] - other.value) < 4.5 * error).all()
            assert (error < 0.35 * abs(other.value).max()).all()
    free = found.table("free")
    assert (free.value[0] - free.value[-1])[0] > 10.0 * free.stderr[0, 0]  # trained networks differ


def test_covariance_of_couplings_is_that_of_their_replicates() -> None:
    flow = flow_of()
    table = flow.couplings([1]).table("quartic")
    values = table.replicated.values[:, :, 0]
    pseudo = 32 * values[0] - 31 * values[1:]
    lost = 32.0 * abs(values).max(axis=0) / pseudo.std(axis=0, ddof=1)  # digits, by differences of replicates
    assert table.covariance() == pytest.approx(np.cov(pseudo.T) / 32, rel=4.0 * EPSILON * lost.max())
    one = flow.couplings([1]).table("reduced_quartic").value[:, 0]
    four, two = (flow.quantity(f"connected_{r}", [[1] * r]).value[:, 0] for r in (4, 2))
    assert one == pytest.approx(-four / two**2, rel=16.0 * EPSILON)  # four powers of one number, and back


def test_what_cannot_be_trusted_is_said() -> None:
    record = couplings_record(flow_of().couplings([0]))
    flags = flow_of().couplings([0]).table("quartic").unreliable[:, 0].tolist()
    assert [row[0] for row in record["tables"]["quartic"]["unreliable"]] == flags
    for table in record["tables"].values():
        table["unreliable"] = [[False] * len(row) for row in table["unreliable"]]
    record["tables"]["reduced_quartic"]["value"] = [[-0.5], [0.9], [-1.5], [None], [0.1]]
    text = couplings_text(record)
    assert "!" not in text.split("A(a)")[0]
    assert "lambda G^2 is larger than 1 at 0.3: far from Gaussian" in text
    record["tables"]["quartic"]["unreliable"][1][0] = True
    assert couplings_text(record).splitlines()[4].split()[2].endswith(")!")
    record["tables"]["reduced_quartic"]["value"] = [[0.5]] * 5
    assert "far from Gaussian" not in couplings_text(record)


def test_singular_covariance_is_said_and_not_a_crash() -> None:
    """With all parameters zero nothing fluctuates; with a bias left only, all points do so together."""
    flow = flow_of(fill="zero")
    found = flow.couplings()
    assert list(found.reasons) == [2, 3, 4]
    assert np.isnan(found.table("quartic").value[2:]).all()
    assert np.isfinite(found.table("quartic").value[:2]).all()
    record = couplings_record(found)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["tables"]["free"]["value"][4] == [None] * 6
    text = couplings_text(record)
    assert "none at cutoff 3, inf: singular kernel: got no variance" in text
    assert "none at cutoff 0.3: singular kernel: got eigenvalue" in text
    assert [line.split()[0] for line in text.splitlines()[2:8]] == ["cutoff", "0", "0.01", "0.3", "3", "inf"]


def test_couplings_that_cannot_be_had() -> None:
    with pytest.raises(NumericalError, match=r"too few filled bins for errors of .*: got 10, needed 16"):
        flow_of(10).couplings()
    with pytest.raises(DataFileError, match="no correlator of order 4"):
        flow_of(20, orders=(2,)).couplings()
    with pytest.raises(UsageError, match="point out of range in points: got 3"):
        flow_of().couplings([0, 3])
