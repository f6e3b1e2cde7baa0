"""Quantities along a flow: their covariance between cutoffs, and what the file gives of them."""

from __future__ import annotations

import numpy as np
import pytest
from flow_runs import flow_of

from nnft.analysis.flow_record import all_quantities, quantity_record, quantity_text
from nnft.errors import UsageError
from nnft.pipeline.flow_setup import make_renormalization
from nnft.pipeline.target import stored_dataset
from nnft.pipeline.train_setup import make_ensemble, resolved
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

REFILLS = {"refills": 3}


def outputs_one_by_one(networks: int = 64, **flow: int) -> np.ndarray:
    """Outputs of every network, refill, cutoff and mesh point: networks trained and followed here."""
    stored = flow_of(networks, **flow).run.stored
    data = stored_dataset(stored.training, "")
    spec = RunSpec.from_text(stored.config["resolved"], points=stored.points, dataset=data, name="a test")
    plan, table = plan_run(spec), spec.flow_resolution
    assert table is not None
    ensemble = make_ensemble(spec, plan, 1, resolved(plan).step)
    wave = ensemble.start(0, networks)
    ensemble.advance(wave, resolved(plan).total_steps)
    followed = make_renormalization(spec, table, ensemble, table.cutoffs)
    return followed.run(ensemble.weights(wave), 0).outputs


EPSILON = float(np.finfo(np.float64).eps)


def agree(found: np.ndarray, expected: np.ndarray, bound: float) -> bool:
    """Whether covariances differ by less than a share of their standard deviations."""
    size = np.sqrt(np.diagonal(expected))
    return bool((abs(found - expected) <= bound * np.outer(size, size)).all())


def test_covariance_along_the_flow_is_that_of_the_networks() -> None:
    """The jackknife of a mean over bins: the covariance of the means of bins, over their number.

    Sums of 64 numbers are rounded 64 times; a pseudo-value is the difference of sums 32 times as large.
    """
    flow = flow_of()
    losses = flow.kept_losses[:, :, 1]
    block = int(flow.run.plan["block_size"])
    bins = np.arange(64) // block % 32
    assert np.bincount(bins).tolist() == [2] * 32
    means = np.stack([losses[bins == k].mean(axis=0) for k in range(32)])
    expected = np.cov(means.T) / 32
    found = flow.quantity("test_error")
    bound = 2.0 * 32 * 64 * EPSILON * (means.mean(axis=0) / means.std(axis=0, ddof=1)).max()
    assert agree(found.covariance(), expected, bound)
    assert agree(flow.covariance("test_error"), expected, bound)
    assert found.stderr[:, 0] == pytest.approx(np.sqrt(np.diagonal(expected)), rel=bound)
    correlation = found.correlation()
    assert np.diagonal(correlation) == pytest.approx(1.0)
    assert correlation[3, 4] > 0.7  # most parameters are the same: what tells the flow from its rows


def test_covariance_of_cumulants_is_that_of_the_jackknife_by_hand() -> None:
    """Two-point functions of the networks without each bin in turn; their mean takes the bias away."""
    flow, outputs = flow_of(), outputs_one_by_one()[:, 0]
    bins = np.arange(64) // int(flow.run.plan["block_size"]) % 32
    first, second = np.moveaxis(outputs[:, :, :2], 2, 0)
    kept = [bins != k for k in (-1, *range(32))]
    found = [
        (first[k] * second[k]).mean(axis=0) - first[k].mean(axis=0) * second[k].mean(axis=0) for k in kept
    ]
    whole, without = found[0], np.stack(found[1:])
    unbiased = whole - 31 / 32 * (without - whole).sum(axis=0)
    quantity = flow.quantity("connected_2", [[1, 0]])
    assert quantity.indices.tolist() == [[0, 1]]
    pseudo, rounded = 32 * whole - 31 * without, 2.0 * 63 * 64 * EPSILON * abs(first * second).mean(axis=0)
    assert (abs(quantity.value[:, 0] - unbiased) <= rounded).all()  # sums of 64 products, times 32 and 31
    bound = 2.0 * float((rounded / pseudo.std(axis=0, ddof=1)).max())
    assert agree(quantity.covariance(), np.cov(pseudo.T) / 32, bound)


def test_order_six_of_a_flow() -> None:
    """Cumulants of up to six outputs where the card asks for them; of the last from its definition."""
    flow = flow_of(40, orders=(2, 4, 6))
    assert {"connected_5", "connected_6"} <= set(flow.names)
    assert flow.quantity("connected_6").value.shape == (5, 28)
    six = flow.quantity("connected_6", [[0, 0, 1, 1, 2, 2]])
    assert np.isfinite(six.stderr).all()
    assert (six.stderr > 0.0).all()
    at = flow.at(2)
    assert six.value[2, 0] == at.result(6).value[six_place(at.result(6).indices)]


def six_place(indices: np.ndarray) -> int:
    return int(np.flatnonzero((indices == [0, 0, 1, 1, 2, 2]).all(axis=1))[0])


def test_within_and_between_are_the_whole_and_those_of_the_networks() -> None:
    """Exactly the whole; each from the refills of the networks themselves (law of total variance)."""
    flow, outputs = flow_of(**REFILLS), outputs_one_by_one(**REFILLS)
    whole, within, between = (flow.quantity(n) for n in ("connected_2", "within", "between"))
    assert (between.replicated.values == whole.replicated.values - within.replicated.values).all()
    means = outputs.mean(axis=1)
    for k, (a, b) in enumerate(whole.indices):
        apart = (outputs - means[:, None])[..., a] * (outputs - means[:, None])[..., b]
        inside = (apart.sum(axis=1) / 2).mean(axis=0)
        size = (abs(apart).sum(axis=1) / 2).mean(axis=0)  # equal refills leave the square of a rounded zero
        rounded = 4.0 * 64 * EPSILON * size + (4.0 * EPSILON * abs(outputs).max()) ** 2
        assert (abs(within.value[:, k] - inside) <= rounded).all()
        outside = [np.cov(means[:, c, a], means[:, c, b])[0, 1] - inside[c] / 3 for c in range(5)]
        assert between.value[:, k] == pytest.approx(np.array(outside), abs=0.02 * abs(whole.value[-1]).max())
    assert abs(within.value[0]).max() == 0.0
    diagonal = (whole.indices[:, 0] == whole.indices[:, 1]).nonzero()[0]
    assert (within.value[-1, diagonal] > 0.5 * whole.value[-1, diagonal]).all()


def test_table_of_a_flow_as_an_array() -> None:
    flow = flow_of()
    table = flow.table()
    assert table.shape == (5,)
    assert table["cutoff"].tolist() == flow.cutoffs.tolist()
    assert table["variance"].shape == (5, 3)
    assert table["variance"][2, 1] == flow.quantity("connected_2", [[1, 1]]).value[2, 0]
    assert table["test_error_stderr"] == pytest.approx(flow.quantity("test_error").stderr[:, 0])
    assert (table["sloppy_share"][[0, -1]] == [0.0, 1.0]).all()


def test_kurtosis_is_that_of_the_estimator() -> None:
    flow = flow_of()
    found = flow.quantity("excess_kurtosis")
    for c in range(5):
        wanted = flow.at(c).excess_kurtosis()
        assert found.value[c].tolist() == wanted.value.tolist()
        assert found.stderr[c].tolist() == wanted.stderr.tolist()


def test_all_quantities_and_their_text() -> None:
    flow = flow_of()
    record = all_quantities(flow)
    assert set(record) == set(flow.names)
    assert len(record["connected_4"]["indices"]) == 15
    assert np.array(record["tangent"]["value"]) == pytest.approx(flow.quantity("tangent").value)
    record = quantity_record(flow.quantity("mean", [[1]]))
    assert np.array(record["covariance"]).shape == (1, 5, 5)
    lines = quantity_text(record).splitlines()
    assert lines[0].split() == ["cutoff", "mean(1)"]
    assert [line.split()[0] for line in lines[1:6]] == ["0", "0.01", "0.3", "3", "inf"]
    matrix = [line.split()[1:] for line in lines[9:14]]
    assert [row[k] for k, row in enumerate(matrix)] == ["1.00"] * 5


def test_quantities_that_are_not_there() -> None:
    flow = flow_of()
    with pytest.raises(UsageError, match=r"got 'within'; use one of readout_square, sloppy_"):
        flow.quantity("within")
    with pytest.raises(UsageError, match=r"unusable components of tangent: got .*; give 2 mesh points"):
        flow.quantity("tangent", [[0]])
    with pytest.raises(UsageError, match=r"no such point in a component of mean: got 3; allowed: 0 to 2"):
        flow.quantity("mean", [[3]])
