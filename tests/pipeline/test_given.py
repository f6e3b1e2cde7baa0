"""Networks whose weights are given: their outputs, laws, flows and bits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from stops import StopAfter

import nnft
from nnft.analysis.comparison import compare
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import CardError, DataFileError, NumericalError, StoppedEarly, UsageError
from nnft.pipeline.flow_expectation import check_expectation
from nnft.pipeline.flow_run import flow_of_run, flow_spec
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.target import read_card
from nnft.pipeline.train import train
from nnft.pipeline.train_setup import make_ensemble
from nnft.spec.given import given_weights
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec
from nnft.spec.toml_text import toml_text

FloatArray = npt.NDArray[np.float64]

POINTS = [[0.4, 0.6], [-0.8, 0.1], [0.9, -0.5]]
SIZES = [(2, 4), (4, 3), (3, 2)]
BIASED = (True, False, True)
NUMBERS = ("/accumulators", "/training", "/estimates", "/theory", "/mesh")
CUTOFFS = {"cutoffs": [1e-3, 0.03, 0.3], "noise_variance": 0.5, "layers": "all", "refills": 2}


def card(networks: int = 12, weights: str = "posterior.npz", **tables: Any) -> dict[str, Any]:
    """Networks 2-4-3-2 with biases in the first and the last layer."""
    return {
        "network": {
            "widths": [4, 3],
            "activation": "tanh",
            "weight_variance": 1.5,
            "bias_variance": [0.3, 0.0, 0.7],
            "outputs": 2,
        },
        "inputs": {"points": POINTS},
        "ensemble": {"networks": networks, "seed": 11},
        "estimate": {"correlators": [2], "bins": 32},
        "training": {
            "algorithm": "given",
            "weights": weights,
            "observe": 1,
            "parametrization": "standard",
            "data": {"teacher": "linear", "points": 5, "dimension": 2, "outputs": 2, "test": 4},
        },
        "store": {"fields": "all"},
    } | tables


def samples(networks: int = 12) -> dict[str, FloatArray]:
    random = np.random.default_rng(2)
    found = {}
    for number, ((fan_in, rows), biased) in enumerate(zip(SIZES, BIASED, strict=True), start=1):
        found[f"W{number}"] = random.normal(size=(networks, rows, fan_in))
        if biased:
            found[f"b{number}"] = random.normal(size=(networks, rows))
    return found


def written(folder: Path, arrays: dict[str, Any], **keys: Any) -> RunSpec:
    """Write weights and a card; return the specification."""
    np.savez(folder / "posterior.npz", **arrays)
    (folder / "card.toml").write_text(toml_text(card(**keys)), encoding="utf-8")
    return read_card(folder / "card.toml")


def forward(arrays: dict[str, FloatArray], inputs: FloatArray) -> FloatArray:
    """Outputs (M, P, 2) of all networks."""
    values = np.broadcast_to(inputs, (len(arrays["W1"]), *inputs.shape))
    for number in (1, 2, 3):
        biases = arrays.get(f"b{number}", np.zeros((len(values), 1)))
        values = np.einsum("mpj,mij->mpi", values, arrays[f"W{number}"]) + biases[:, None]
        values = np.tanh(values) if number < 3 else values
    return values


def numbers(run: nnft.Run) -> dict[str, bytes]:
    """Every number of a run that must not depend on how it came about."""
    stored = run.stored
    found = {path: stored.read(path).tobytes() for path in stored.forms if path.startswith(NUMBERS)}
    return found | {"digest": stored.text("result_digest").encode(), "fields": run.fields().tobytes()}


def test_outputs_errors_and_kernels_by_plain_numpy(tmp_path: Path) -> None:
    arrays = samples()
    spec = written(tmp_path, arrays, flow=CUTOFFS)
    run = train(spec, tmp_path / "run.h5", threads=1)
    outputs = forward(arrays, np.array(POINTS))[:, :, 1]
    assert np.allclose(run.fields()[:, 0], outputs, rtol=1e-13, atol=1e-14)
    assert np.allclose(run.connected(1).value, outputs.mean(axis=0), rtol=1e-12, atol=1e-13)
    found = run.connected(2)
    covariance = np.cov(outputs.T)
    for pair, value in zip(found.indices, found.value, strict=True):
        assert value == pytest.approx(covariance[tuple(pair)], rel=1e-10)
    data, equilibrium = spec.dataset(), TrainedRun(run).equilibrium
    assert equilibrium is not None
    for name, inputs, targets in (
        ("train_error", data.train_inputs, data.train_targets),
        ("test_error", data.test_inputs, data.test_targets),
    ):
        error = np.mean((forward(arrays, inputs) - targets) ** 2, axis=(1, 2))
        result = equilibrium.result(name)
        assert result.mean[0] == pytest.approx(error.mean(), rel=1e-12)
        assert result.stderr[0] == pytest.approx(error.std(ddof=1) / 12**0.5, rel=1e-10)
    kernel = run.stored.training["kernel/sums"][0].sum(axis=0) / 12
    tangent = run.stored.training["tangent/sums"][0].sum(axis=0) / 12
    readout, full = kernels(arrays, np.array(POINTS))
    assert np.allclose(kernel, readout.mean(axis=0)[np.triu_indices(3)], rtol=1e-12)
    assert np.allclose(tangent, full.mean(axis=0)[np.triu_indices(3)], rtol=1e-5)
    assert float(run.stored.training["observables/sums/tangent_movement"].sum()) == 0.0


def kernels(arrays: dict[str, FloatArray], inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Kernel of the readout, and the tangent kernel by differences of all weights, (M, P, P)."""
    hidden = np.tanh(np.einsum("pj,mij->mpi", inputs, arrays["W1"]) + arrays["b1"][:, None])
    hidden = np.tanh(np.einsum("mpj,mij->mpi", hidden, arrays["W2"]))
    readout = 0.7 + 1.5 / 3 * np.einsum("mpi,mqi->mpq", hidden, hidden)
    tangent = np.zeros_like(readout)
    for name, array in arrays.items():
        for place in itertools.product(*map(range, array.shape[1:])):
            step = np.zeros(array.shape)
            step[(slice(None), *place)] = 1e-6
            up, down = (forward(arrays | {name: array + s * step}, inputs)[:, :, 1] for s in (1, -1))
            slope = (up - down) / 2e-6
            tangent += slope[:, :, None] * slope[:, None, :]
    return readout, tangent


def split(flat: FloatArray, layers: Sequence[int]) -> dict[str, FloatArray]:
    """Weights (M, n) in the documented order, layer by layer, W row by row and then b, as arrays."""
    found, used = {}, 0
    for number in layers:
        fan_in, rows = SIZES[number - 1]
        found[f"W{number}"] = flat[:, used : used + rows * fan_in].reshape(-1, rows, fan_in)
        used += rows * fan_in
        if BIASED[number - 1]:
            found[f"b{number}"] = flat[:, used : used + rows]
            used += rows
    assert used == flat.shape[1]
    return found


def weights_of(spec: RunSpec, networks: int) -> dict[str, FloatArray]:
    """Weights of all networks as the sampler holds them."""
    ensemble = make_ensemble(spec, plan_run(spec), 2, 0.0)
    rows = [ensemble.problem.layers(row) for row in ensemble.start(0, networks).theta]
    found = {}
    for number in (1, 2, 3):
        found[f"W{number}"] = np.stack([row[number - 1][0] for row in rows])
        if BIASED[number - 1]:
            found[f"b{number}"] = np.stack([row[number - 1][1] for row in rows])
    return found


def test_law_of_all_weights(tmp_path: Path) -> None:
    """2000 networks: whitened weights are standard normals (an error of 10 % in the scale gives z = 30)."""
    random, total, networks = np.random.default_rng(4), 32, 2000
    assert total == sum(
        rows * (fan_in + biased) for (fan_in, rows), biased in zip(SIZES, BIASED, strict=True)
    )
    factor = np.tril(random.normal(size=(total, total))) + 2.0 * np.eye(total)
    mean = 5.0 * random.normal(size=total)
    spec = written(tmp_path, {"mean": mean, "covariance": factor @ factor.T}, networks=networks)
    found = weights_of(spec, networks)
    flat = np.concatenate(
        [found[name].reshape(networks, -1) for name in ("W1", "b1", "W2", "W3", "b3")], axis=1
    )
    assert np.array_equal(split(flat, (1, 2, 3))["W3"], found["W3"])
    white = np.linalg.solve(factor, (flat - mean).T)
    assert abs(white.mean(axis=1) * networks**0.5).max() < 4.5
    second = white @ white.T / networks - np.eye(total)
    deviation = np.sqrt((1.0 + np.eye(total)) / networks)
    assert abs(second / deviation).max() < 5.0  # of 528 numbers
    assert stats.kstest(white.ravel(), "norm").pvalue > 1e-4


def test_law_of_the_readout_of_each_network(tmp_path: Path) -> None:
    """Hidden layers and laws of two networks, whose numbers alternate; deviations 0 give the mean."""
    random = np.random.default_rng(5)
    hidden = {name: array for name, array in samples(2).items() if name not in ("W3", "b3")}
    mean = random.normal(size=(2, 8))
    spread = np.array([0.0] * 6 + [0.5, 2.0])
    spec = written(tmp_path, hidden | {"mean": mean, "variance": spread**2}, networks=2)
    found = weights_of(spec, 9)
    for network in range(9):
        assert np.array_equal(found["W1"][network], hidden["W1"][network % 2])
        assert np.array_equal(found["W3"][network].ravel(), mean[network % 2, :6])
    assert len(set(found["b3"].ravel().tolist())) == 18
    ensemble = make_ensemble(spec, plan_run(spec), 1, 0.0)
    assert np.array_equal(ensemble.start(5, 3).theta, ensemble.start(0, 9).theta[5:8])
    matrices = np.stack([np.diag(spread**2), np.zeros((8, 8))])
    spec = written(tmp_path, hidden | {"mean": mean, "covariance": matrices}, networks=2)
    again = weights_of(spec, 9)
    assert np.array_equal(again["b3"][1::2], np.broadcast_to(mean[1, 6:], (4, 2)))
    assert not np.array_equal(again["b3"][0], mean[0, 6:])


def test_flow_begins_with_the_given_networks_and_ends_with_the_prior(tmp_path: Path) -> None:
    """Outputs at cutoff 0 are those of the networks bit for bit; at infinity those of new networks."""
    networks = 400
    arrays = samples(networks)
    arrays["b3"] += 3.0
    spec = written(tmp_path, arrays, networks=networks, flow=CUTOFFS | {"refills": 1})
    run = train(spec, tmp_path / "run.h5", threads=1)
    flow = run.stored.training["renormalization/outputs"]
    kept = len(flow)
    assert np.array_equal(flow[:, 0], run.fields()[:kept, 0, : flow.shape[2]])
    assert not np.array_equal(flow[:, 1], flow[:, 0])
    new = written(tmp_path, arrays, networks=networks).without_training()
    fresh = nnft.sample(
        new.model_copy(update={"ensemble": new.ensemble.model_copy(update={"seed": 99})}), tmp_path / "p.h5"
    )
    for point in range(3):
        pair = flow[:, -1, point], fresh.fields()[:, 0, point]
        assert stats.ks_2samp(*pair).pvalue > 1e-4
        assert stats.ks_2samp(flow[:, 0, point], pair[1]).pvalue < 1e-4  # the test can tell them apart


@pytest.mark.long
def test_threads_stops_and_growth_do_not_change_a_bit(tmp_path: Path) -> None:
    law = {name: array[0] for name, array in samples().items() if name not in ("W3", "b3")}
    law |= {"mean": np.arange(8.0), "covariance": np.eye(8) + 0.5}
    spec = written(tmp_path, law, networks=300, flow=CUTOFFS)
    whole = train(spec, tmp_path / "whole.h5", threads=1)
    assert numbers(train(spec, tmp_path / "two.h5", threads=2)) == numbers(whole)
    path, stops = tmp_path / "stopped.h5", 0
    for looks in (3, 8, 21, 55):
        try:
            train(spec, path, threads=1, resume=path.exists(), stop=StopAfter(looks))
            break
        except StoppedEarly:
            stops += path.exists()
    assert stops > 1
    with nnft.open(path) as ended:
        assert numbers(ended) == numbers(whole)
    fewer = written(tmp_path, law, networks=256, flow=CUTOFFS)
    train(fewer, tmp_path / "grown.h5", threads=1)
    assert numbers(train(spec, tmp_path / "grown.h5", threads=1, resume=True)) == numbers(whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a run of given networks, and the card with its weights in a folder of their own."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "elsewhere").mkdir()
    train(written(folder / "elsewhere", samples()), folder / "run.h5", threads=1)
    return folder


def test_flow_of_a_run_finds_the_weights_again(finished: Path, tmp_path: Path) -> None:
    followed = flow_of_run(finished / "run.h5", tmp_path / "flow.h5", CUTOFFS, threads=2)
    spec = written(tmp_path, samples(), flow=CUTOFFS)
    assert numbers(followed) == numbers(train(spec, tmp_path / "run.h5", threads=1))
    assert "bit for bit the same" in recompute_bin(tmp_path / "flow.h5")


def test_weights_that_are_gone_moved_or_changed(finished: Path, tmp_path: Path) -> None:
    spec = written(tmp_path, samples())
    path = tmp_path / "runs"
    path.mkdir()
    train(spec, path / "run.h5", threads=1)
    weights = tmp_path / "posterior.npz"
    weights.rename(path / "posterior.npz")  # beside the run they are found
    assert "bit for bit the same" in recompute_bin(path / "run.h5")
    np.savez(path / "posterior.npz", **(samples() | {"b1": np.zeros((12, 4))}))
    for follow in (
        lambda: recompute_bin(path / "run.h5"),
        lambda: flow_of_run(path / "run.h5", path / "f.h5", CUTOFFS),
    ):
        with pytest.raises(
            DataFileError, match=r"other weights in posterior\.npz, training\.weights: got sha256"
        ):
            follow()
    (path / "posterior.npz").unlink()
    with pytest.raises(DataFileError, match=r"no such file of weights: got .*posterior\.npz"):
        recompute_bin(path / "run.h5")
    assert not (path / "f.h5").exists()


def test_other_weights_are_refused_on_resume(tmp_path: Path) -> None:
    spec = written(tmp_path, samples())
    train(spec, tmp_path / "run.h5", threads=1)
    other = written(tmp_path, samples() | {"b1": np.zeros((12, 4))})
    with pytest.raises(
        CardError, match=r"another value in training\.weights: got sha256 .*\.\.; the file has sha256"
    ):
        train(other, tmp_path / "run.h5", threads=1, resume=True)
    again = written(tmp_path, samples())
    assert train(again, tmp_path / "run.h5", threads=1, resume=True).complete


def test_file_of_weights_is_not_overwritten(tmp_path: Path) -> None:
    spec = written(tmp_path, samples())
    with pytest.raises(UsageError, match="result file is the input file"):
        train(spec, tmp_path / "posterior.npz", overwrite=True)
    assert given_weights(spec).networks == 12


def test_no_theory_is_claimed(finished: Path) -> None:
    with nnft.open(finished / "run.h5") as run:
        assert compare(TrainedRun(run)).reason.startswith("the weights come from a file")
        spec = flow_spec(run, CUTOFFS | {"layers": "readout"})
    with pytest.raises(UsageError, match="got weights from a file, of no law that is known"):
        check_expectation(spec, plan_run(spec))


def test_outputs_whose_squares_overflow(tmp_path: Path) -> None:
    arrays = {name: np.full_like(array, 1e99) for name, array in samples().items()}
    network = card()["network"] | {"activation": "relu"}
    with pytest.raises(NumericalError, match="not finite: got overflow"):
        train(written(tmp_path, arrays, network=network), tmp_path / "run.h5", threads=1)
