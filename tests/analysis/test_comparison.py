"""Theory beside the numbers of small trained runs: which one, what is printed and kept, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nnft.analysis.comparison import Comparison, compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.comparison_table import Column, Row, Table
from nnft.analysis.comparison_text import comparison_text, component_rows
from nnft.analysis.comparison_verdict import verdict
from nnft.analysis.run import open_run
from nnft.analysis.summary import summary, table_text
from nnft.analysis.trained_law import Prediction
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import UsageError
from nnft.estimators.joint_test import JointTest
from nnft.pipeline.compare_output import comparison_of_file, stored_analysis, stored_comparison
from nnft.pipeline.sample import sample
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec
from nnft.store.analysis_reader import read_analysis
from nnft.theory.gaussian_process import posterior
from nnft.theory.nngp import nngp_kernel

POINTS = [[0.4, 0.6], [-0.8, 0.1]]
DESCENT = {"algorithm": "gd", "step": 0.1, "steps": 4, "snapshots": [2]}
CHAIN = {"ridge": 0.2, "burn_in": 5, "draws": 3, "snapshots": 0}
HMC = {"algorithm": "hmc", "step": 0.1, "adapt": False, **CHAIN}
LANGEVIN = {"algorithm": "langevin", "step": 0.01, **CHAIN}

Trained = Callable[..., Path]


def card(training: dict[str, Any], **changes: Any) -> RunSpec:
    """A small run."""
    data = {
        "teacher": "single-index", "link": "tanh", "points": 3, "dimension": 2, "test": 2,
        **changes.pop("data", {}),
    }  # fmt: skip
    network = {"widths": [6], "activation": "erf", "weight_variance": 1.5, **changes.pop("network", {})}
    return RunSpec.from_dict(
        {
            "network": network,
            "inputs": changes.pop("inputs", {"points": POINTS}),
            "ensemble": {"networks": 64, "seed": 20240601, **changes},
            "estimate": {"correlators": [2], "bins": 32},
            "training": {"loss": "half-sum", **training, "data": data},
        }
    )


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages over kernels are rough, but quick."""
    monkeypatch.setattr("nnft.theory.finite_width.MOST_NEURONS", 1024)
    monkeypatch.setattr("nnft.theory.finite_width.MOST_CARRIED", 1024)


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """Train a small run into a file."""

    def make(training: dict[str, Any], **changes: Any) -> Path:
        path = tmp_path / "run.h5"
        train(card(training, **changes), path, overwrite=True, threads=1).close()
        return path

    return make


def compared(path: Path) -> Comparison:
    """The comparison of a file."""
    with open_run(path) as run:
        return compare(TrainedRun(run))


CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("gd", DESCENT, {}, ["linearised descent"]),
    ("flow", {"algorithm": "gradient-flow", "time": 0.5, "snapshots": 3}, {}, ["linearised flow"]),
    ("part", {**DESCENT, "trainable": [1]}, {}, ["linearised descent"]),
    ("readout", {**DESCENT, "trainable": "readout"}, {}, ["descent of the readout"]),
    (
        "decay",
        {**DESCENT, "trainable": "readout", "weight_decay": "prior", "ridge": 0.2},
        {},
        ["descent of the readout"],
    ),
    ("hmc", HMC, {}, ["gaussian process", "first order", "kernel scaling"]),
    ("deep", HMC, {"network": {"widths": [4, 4]}}, ["gaussian process", "first order"]),
    (
        "linear",
        HMC,
        {"network": {"activation": "linear"}},
        ["deep linear", "gaussian process", "first order"],
    ),
    ("frozen", {**HMC, "trainable": "readout"}, {}, ["gaussian process", "first order"]),
    (
        "langevin",
        LANGEVIN,
        {"network": {"widths": [4, 4]}},
        ["langevin at this step", "gaussian process", "first order"],
    ),
    (
        "langevin-readout",
        {**LANGEVIN, "trainable": "readout"},
        {},
        ["langevin at this step", "gaussian process", "first order"],
    ),
    (
        "exact",
        {"algorithm": "exact", "trainable": "readout", "ridge": 0.2},
        {},
        ["gaussian process", "first order"],
    ),
    ("no-hidden", DESCENT, {"network": {"widths": []}}, ["descent of the readout"]),
    (
        "outputs",
        HMC,
        {"network": {"outputs": 2}, "data": {"outputs": 2}},
        ["gaussian process", "first order"],
    ),
    *(
        (
            f"sgd-{order}-{layers}",
            {
                "algorithm": "sgd", "step": 0.1, "epochs": 2, "batch_size": 2, "order": order,
                "trainable": layers, "snapshots": [1],
            },
            {},
            ["stochastic descent"],
        )
        for order in ("random", "cyclic")
        for layers in ("all", "readout")
    ),
]  # fmt: skip


@pytest.mark.first(3)
@pytest.mark.parametrize(("training", "changes", "names"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_every_training_has_its_theories(
    training: dict[str, Any], changes: dict[str, Any], names: list[str], trained: Trained
) -> None:
    found = compared(trained(training, **changes))
    assert [prediction.name for prediction in found.predictions] == names
    assert found.reason == ""
    for prediction in found.predictions:
        assert prediction.exact == (prediction.name == "deep linear" or not found.trained.widths)
        assert prediction.exact or prediction.departure
        assert prediction.final is not None
        assert np.linalg.eigvalsh(prediction.final.covariance).min() > 0.0
    assert found.theory_mean is not None
    record = comparison_record(found)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert comparison_text(record, "run.h5").startswith("run.h5: " + training["algorithm"])


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({**HMC, "trainable": [1]}, "only layers 1 of 2 are sampled"),
        ({**DESCENT, "weight_decay": "prior", "ridge": 0.2}, "weight decay acts on hidden layers"),
        (
            {"algorithm": "sgd", "step": 0.1, "epochs": 2, "batch_size": 2, "order": "shuffled"},
            "batches of a shuffled epoch",
        ),
    ],
)
def test_where_there_is_no_theory_it_says_why(
    training: dict[str, Any], reason: str, trained: Trained
) -> None:
    found = compared(trained(training))
    assert found.predictions == ()
    assert found.reason.startswith(reason)
    assert found.theory_mean is None
    assert f"none: {reason}" in comparison_text(comparison_record(found), "run.h5")


@pytest.mark.parametrize("decay", [True, False])
def test_a_descent_is_never_said_to_be_in_equilibrium(trained: Trained, decay: bool) -> None:
    """A ridge that comes from weight decay makes no sampler of it."""
    path = trained(DESCENT | ({"weight_decay": "prior", "ridge": 0.2} if decay else {}))
    with open_run(path) as run:
        shown = table_text(summary(run))
    printed = comparison_of_file(path).text
    assert "at the end" in printed
    assert ("ridge 0.2" in shown) == decay
    assert "equilibrium" not in shown + printed


def test_numbers_are_those_of_the_run_and_of_the_theory(trained: Trained) -> None:
    path = trained(HMC)
    with open_run(path) as run:
        found = compare(TrainedRun(run))
        mean, two = run.connected(1), run.connected(2)
        data = run.stored.training
        x, y = data["data/train_inputs"], data["data/train_targets"]
        kernel = nngp_kernel(np.concatenate([x, run.points]), "erf", (1.5, 1.5), (0.0, 0.0))[-1]
        exact = posterior(kernel[:3, :3], kernel[3:, :3], kernel[3:, 3:], y, 0.2)
        error = TrainedRun(run).equilibrium.result("train_error")  # type: ignore[union-attr]
    table = found.final.table(1)
    assert np.array_equal(table.value, mean.value)
    assert np.array_equal(found.variance_stderr, two.stderr[[0, 2]])
    column = table.columns[0]
    assert column is not None
    assert np.allclose(column.value, exact.mean[:, 0], rtol=1e-12)
    assert np.allclose(column.pull, (mean.value - exact.mean[:, 0]) / mean.stderr)
    difference = mean.value - exact.mean[:, 0]
    chi_square = difference @ np.linalg.solve(mean.covariance(), difference)
    assert column.test is not None
    assert column.test.chi_square == pytest.approx(chi_square, rel=1e-9)
    row = next(number for number in found.final.numbers if number.name == "train_error")
    assert row.value == error.mean[0]
    assert row.theory[0] == pytest.approx(2.0 * exact.train_loss / 3.0, rel=1e-12)
    assert [row.name for row in found.identities] == ["virial_1", "virial_2", "exponential_of_energy_error"]


def test_balance_of_layers_by_hand(trained: Trained) -> None:
    path = trained(HMC, network={"activation": "relu", "widths": [4, 5]})
    found = compared(path)
    balances = [row for row in found.identities if row.name.startswith("excess")]
    assert found.trained.equilibrium is not None
    with open_run(path) as run:
        equilibrium = TrainedRun(run).equilibrium
        assert equilibrium is not None
        scales = [float(equilibrium.result(f"weight_scale_{k}").mean[0]) for k in (1, 2, 3)]
    counts = (8, 20, 5)
    excess = [count * (scale - 1.0) for count, scale in zip(counts, scales, strict=True)]
    assert [row.value for row in balances] == pytest.approx([excess[0] - excess[1], excess[1] - excess[2]])


def test_prior_is_set_beside_step_0_of_chains(trained: Trained) -> None:
    found = compared(trained({**HMC, "snapshots": [3, 6]}))
    first, early, late, last = (stage.table(2).columns[0] for stage in found.flow)
    assert first is not None
    assert early is None
    assert late is not None
    assert last is not None
    kernel = nngp_kernel(np.array(POINTS), "erf", (1.5, 1.5), (0.0, 0.0))[-1]
    assert np.allclose(first.value, kernel[np.triu_indices(2)], rtol=1e-12)
    assert np.array_equal(late.value, last.value)


def test_random_networks_are_refused(tmp_path: Path) -> None:
    spec = card(DESCENT).model_dump()
    path = tmp_path / "random.h5"
    kept = {name: spec[name] for name in ("network", "inputs", "ensemble", "estimate")}
    sample(RunSpec.from_dict(json.loads(json.dumps(kept))), path, threads=1).close()
    with pytest.raises(UsageError, match=r"no training in 'random\.h5': got a run of random networks"):
        comparison_of_file(path)


def test_analysis_file_and_picture(trained: Trained, tmp_path: Path) -> None:
    run, kept, picture = trained(DESCENT), tmp_path / "kept.h5", tmp_path / "picture.svg"
    shown = comparison_of_file(run, output=kept, plot=picture, command="nnft compare")
    assert "linearised descent" in picture.read_text(encoding="utf-8")
    again = stored_comparison(kept)
    assert stored_analysis(kept) == again
    assert again.text == shown.text
    assert again.record == {**shown.record, "file": str(kept)}
    content = read_analysis(kept)
    assert content.kind == "comparison"
    assert content.table("mean").value.tolist() == shown.record["final"]["tables"][0]["value"]
    theory = shown.record["final"]["tables"][1]["theory"][0]["value"]
    assert np.asarray(content.arrays["connected_2_theory_1"].values).tolist() == theory
    with pytest.raises(UsageError, match="result file exists"):
        comparison_of_file(run, output=kept)
    with pytest.raises(UsageError, match="picture"):
        comparison_of_file(run, output=kept, overwrite=True, plot=tmp_path / "picture.txt")


def judged(
    p_value: float,
    difference: float,
    departure: float | None,
    exact: bool = False,
    rows: Sequence[Row] = (),
) -> str:
    """The verdict on one number with error 1."""
    column = Column(
        np.zeros(1),
        np.array([difference]),
        None if departure is None else np.array([departure]),
        JointTest(difference**2, 1, 1, 32, p_value),
    )
    one = np.ones(1)
    table = Table(1, 1, np.zeros((1, 1), np.int32), difference * one, one, np.zeros(1, bool), (column,))
    prediction = cast(Prediction, SimpleNamespace(exact=exact))
    return verdict(0, prediction, [table], rows)


def test_verdicts() -> None:
    assert judged(0.2, 1.0, 0.1) == "at the end: agrees within errors (p = 0.2)"
    differs = "at the end: differs by more than its errors (p = 1e-06)"
    share = "times the departure expected above: what its approximation leaves out"
    assert judged(1e-6, 5.0, 1.0) == f"{differs}, by 2.0 {share} explains that"
    assert judged(1e-6, 5.0, 0.5) == f"! {differs}, by 4.0 {share} does not explain that"
    assert judged(1e-6, 5.0, 100.0) == f"{differs}, by less than 0.05 times the departure expected above"
    assert judged(1e-6, 5.0, 0.0) == differs
    assert judged(1e-6, 2.5, 1e-3) == f"{differs}, but no single component by more than 3 errors"
    assert judged(1e-6, 5.0, None) == differs
    assert "(p < 1e-99)" in judged(0.0, 50.0, None)
    assert judged(1e-6, 5.0, None, exact=True).startswith("! at the end: disagrees")
    far = Row("train_error", 9.0, 1.0, (0.0,), (9.0,), (None,))
    assert "agrees" in judged(0.2, 1.0, 0.1, rows=[far])
    assert "disagrees" in judged(0.2, 1.0, 0.1, exact=True, rows=[far])
    known = Row("train_error", 9.0, 1.0, (0.0,), (9.0,), (0.5,))
    assert "by 12.0 times" in judged(0.2, 1.0, 0.1, rows=[known])
    noise = Row("train_error", 1.5, 1.0, (0.0,), (1.5,), (0.05,))
    assert f"by 2.0 {share} explains" in judged(1e-6, 5.0, 1.0, rows=[noise])


def test_a_departure_that_passes_through_zero_is_no_alarm() -> None:
    """Its size there is that of its neighbours; what all networks agree in is not judged."""
    difference = np.array([4.0, 0.0, 1.0])
    column = Column(np.zeros(3), difference, np.array([1e-9, 1.0, 0.0]), JointTest(16.0, 2, 2, 32, 1e-6))
    indices, flags = np.zeros((3, 1), np.int32), np.zeros(3, bool)
    table = Table(1, 3, indices, difference, np.array([1.0, 1.0, 0.0]), flags, (column,))
    prediction = cast(Prediction, SimpleNamespace(exact=False))
    assert f"by {math.sqrt(2.0):.1f} times" in verdict(0, prediction, [table], ())


def test_relu_on_a_line_has_a_theory(trained: Trained) -> None:
    """Its kernel is of rank two, with eigenvalues a little below zero by rounding."""
    line = {"generator": "grid", "count": 11, "dimension": 1, "low": -2.0, "high": 2.0}
    data = {"teacher": "linear", "link": None, "dimension": 1, "points": 8}
    found = compared(
        trained({**DESCENT, "step": 0.01}, network={"activation": "relu"}, inputs=line, data=data)
    )
    assert found.reason == ""
    assert [prediction.name for prediction in found.predictions] == ["linearised descent"]


def test_an_expected_zero_is_printed_as_0(trained: Trained) -> None:
    record = comparison_record(compared(trained(DESCENT)))
    column = record["final"]["tables"][0]["theory"][0]
    column["value"] = [-1.36e-19, 1.36e-10]
    rows, _ = component_rows(record)
    assert [row[2] for row in rows[1:3]] == ["0", "1.36e-10"]


def test_few_bins_have_no_joint_test(trained: Trained) -> None:
    found = compared(trained(DESCENT, networks=4))
    column = found.final.table(1).columns[0]
    assert column is not None
    assert column.test is None
    assert found.verdicts == ("",)


def test_outputs_that_are_the_same_in_all_networks_are_not_judged(trained: Trained) -> None:
    """Without biases the output at the origin is 0, and theory has it up to rounding."""
    points = {"inputs": {"points": [[0.0, 0.0], *POINTS]}}
    record = comparison_record(compared(trained(HMC, **points)))
    text = comparison_text(record, "run")
    for table, rigid in zip(record["final"]["tables"], (1, 3), strict=True):
        assert table["without_error"] == rigid
        for column in table["theory"]:
            assert column["pull"].count(None) == rigid
            assert column["judged"] == len(table["value"]) - rigid
            assert column["chi_square"] is not None
            assert column["p_value"] > 0.0
    assert "1 component has no error in the mean, all networks agree: left out of pulls and p" in text
    assert "3 components have no error in the G2" in text


def test_squares_that_are_negative_in_theory_are_marked(trained: Trained) -> None:
    """Deep in narrow networks the first order takes away more of an error than there is."""
    network = {"activation": "linear", "widths": [4, 4]}
    data = {"teacher": "linear", "link": None, "amplitude": 8.0, "points": 6}
    found = compared(trained({**HMC, "step": 0.01}, network=network, data=data))
    record = comparison_record(found)
    first = [theory["name"] for theory in record["theories"]].index("first order")
    error = next(row for row in record["final"]["numbers"] if row["name"] == "train_error")
    assert error["theory"][first] < 0.0
    assert "! negative train error" in record["theories"][first]["departure"]
    text = comparison_text(record, "run")
    line = next(line for line in text.splitlines() if line.startswith("train error"))
    assert f"{error['theory'][first]:.6g}!" in line
    assert line.count("!") == 1


def test_errors_of_exact_draws_are_those_of_all_outputs(trained: Trained) -> None:
    """Whichever output is looked at, as with every other algorithm."""
    exact = {"algorithm": "exact", "trainable": "readout", "ridge": 0.2}
    two = {"network": {"outputs": 2}, "data": {"outputs": 2}}
    rows = []
    for observe in (0, 1):
        found = compared(trained({**exact, "observe": observe}, **two))
        rows.append(next(row for row in found.final.numbers if row.name == "train_error"))
    assert rows[0].value == pytest.approx(rows[1].value, rel=1e-12)
    assert rows[0].theory[0] == pytest.approx(rows[1].theory[0], rel=1e-12)
