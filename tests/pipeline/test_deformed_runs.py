"""Deformed runs: the same bits however they are cut, verification, weights that collapse, stored outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stops import StopAfter

import nnft
from nnft.analysis.summary import summary, table_text
from nnft.errors import CardError, DataFileError, NumericalError, StoppedEarly, UsageError
from nnft.pipeline.recompute import recompute_bin
from nnft.spec.run import RunSpec

SEED = 20240601
DEFORMATION = {"phi4": 0.8, "phi2": -0.2, "readouts": 3}


def spec(networks: int = 1000, deformation: dict[str, Any] | None = None, **ensemble: Any) -> RunSpec:
    return RunSpec.from_dict(
        {
            "network": {"widths": [8, 6], "activation": "erf", "outputs": 2, "bias_variance": 0.1},
            "inputs": {"points": [[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]},
            "ensemble": {"networks": networks, "seed": SEED, "block_size": 8, **ensemble},
            "estimate": {"correlators": [2, 4, 6]},
            "store": {"fields": min(300, networks)},
            "deformation": deformation or DEFORMATION,
        }
    )


def numbers(run: nnft.Run) -> dict[str, bytes]:
    """Every sum and the kept outputs of a run."""
    found = {name: np.asarray(array).tobytes() for name, array in run.stored.accumulators.items()}
    return found | {"fields": run.fields().tobytes(), "digest": run.stored.text("result_digest").encode()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> nnft.Run:
    return nnft.sample(spec(), tmp_path_factory.mktemp("whole") / "run.h5", threads=1)


def test_threads_do_not_change_the_bits(whole: nnft.Run, tmp_path: Path) -> None:
    assert numbers(nnft.sample(spec(), tmp_path / "run.h5", threads=2)) == numbers(whole)
    other = nnft.sample(spec(deformation=DEFORMATION | {"phi4": 0.9}), tmp_path / "other.h5")
    assert numbers(other)["fields"] == numbers(whole)["fields"]
    assert numbers(other)["digest"] != numbers(whole)["digest"]


@pytest.mark.first(1)
@pytest.mark.parametrize("looks", [1, 3, 5])
def test_stopped_anywhere_and_resumed(whole: nnft.Run, tmp_path: Path, looks: int) -> None:
    path, stops = tmp_path / "run.h5", 0
    for _ in range(100):
        try:
            run = nnft.sample(spec(), path, resume=path.exists(), stop=StopAfter(looks))
        except StoppedEarly:
            stops += 1
            looks += 3
        else:
            assert numbers(run) == numbers(whole)
            break
    assert stops >= 1


def test_extended_run_is_the_long_run(whole: nnft.Run, tmp_path: Path) -> None:
    nnft.sample(spec(networks=400), tmp_path / "run.h5")
    assert numbers(nnft.sample(spec(), tmp_path / "run.h5", resume=True)) == numbers(whole)


def test_resume_with_another_coupling_is_refused(whole: nnft.Run) -> None:
    with pytest.raises(CardError, match=r"another value in deformation\.phi4: got"):
        nnft.sample(spec(2000, DEFORMATION | {"phi4": 0.9}), whole.path, resume=True)


def test_a_bin_sampled_again_has_the_same_sums(whole: nnft.Run) -> None:
    assert "and 8 stored outputs: bit for bit the same" in recompute_bin(whole.path)


def test_a_changed_sum_is_noticed(whole: nnft.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of another coupling are not those of the seed."""
    monkeypatch.setattr(
        "nnft.spec.deformation.Interaction.coefficients",
        property(lambda self: self.couplings * self.cell / 25.0),
    )
    with pytest.raises(DataFileError, match="recomputed sums differ"):
        recompute_bin(whole.path)


def test_kept_outputs_are_those_of_the_base_ensemble(whole: nnft.Run, tmp_path: Path) -> None:
    card = spec().model_dump(exclude_none=True)
    del card["deformation"]
    base = nnft.sample(RunSpec.from_dict(card), tmp_path / "base.h5")
    assert np.array_equal(base.fields(), whole.fields())
    assert base.deformation is None
    assert base.effective_sample_size is None
    with pytest.raises(UsageError, match="no weights in the file"):
        base.weights()


def test_weights_of_kept_outputs(whole: nnft.Run) -> None:
    fields, weights = whole.fields(), whole.weights()
    energy = (0.8 * fields**4 / 24 - 0.2 * fields**2 / 2).sum(axis=(1, 2))
    np.testing.assert_allclose(weights, np.exp(energy.min() - energy), rtol=1e-12)
    np.testing.assert_allclose(whole.weights(10, 20), np.exp(energy[10:20].min() - energy[10:20]), rtol=1e-12)
    products = fields[:, 0, 0] * fields[:, 0, 1]
    spread = np.sqrt(np.sum(weights**2 * (products - np.average(products, weights=weights)) ** 2))
    error = spread / weights.sum()
    assert abs(np.average(products, weights=weights) - whole.connected(2).dense()[0, 1]) < 5.85 * error


def test_first_sums_by_hand(whole: nnft.Run) -> None:
    """Weights and weighted products of the first block, from the outputs of all readouts."""
    card = spec().model_dump(exclude_none=True)
    del card["deformation"]
    card["network"]["outputs"] = 6
    card["store"]["fields"] = 8
    card["estimate"] = {"correlators": [2], "outputs": 1}
    path = whole.path.with_name("wide.h5")
    drawn = nnft.sample(RunSpec.from_dict(card), path).fields().reshape(8, 3, 2, 3)
    energy = (0.8 * drawn**4 / 24 - 0.2 * drawn**2 / 2).sum(axis=(2, 3))
    arrays = whole.stored.accumulators
    weight = np.exp(float(arrays["weight_shift"]) - energy) / 3
    first = nnft.sample(spec(networks=8), whole.path.with_name("first.h5")).stored.accumulators
    np.testing.assert_allclose(first["sums/weight"][0, 0], weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(
        first["sums/weight:squared"][0, 0], (weight.sum(axis=1) ** 2).sum(), rtol=1e-12
    )
    four = np.einsum("mr,mra,mrb,mrc,mrd->abcd", weight, *[drawn[:, :, 0]] * 2, *[drawn[:, :, 1]] * 2)
    where = first["indices/S4:0011"]
    np.testing.assert_allclose(first["sums/S4:0011"][0], four[tuple(where.T)], rtol=1e-10, atol=1e-12)
    assert not first["sums/weight:cut"].any()


def test_results_of_a_run(whole: nnft.Run) -> None:
    size = whole.effective_sample_size
    assert size is not None
    assert 100 < size.value < 1000
    assert whole.deformation == DEFORMATION | {"phi6": 0.0, "cell": 1.0, "invariance": "each"}
    names = set(whole.stored.estimate_names)
    assert {"connected_4_0011", "kernel_layer_2", "vertex_layer_3", "excess_kurtosis", "moment_6"} <= names
    stored = whole.stored.estimate("connected_4")
    assert stored["estimator"] == "reweighted"
    assert np.array_equal(stored["value"], whole.connected(4).value)
    kurtosis = whole.excess_kurtosis()
    ratio = whole.connected(4).dense()[0, 0, 0, 0] / whole.connected(2).dense()[0, 0] ** 2
    assert abs(kurtosis.value[0] - ratio) < kurtosis.stderr[0]


def test_table_and_json(whole: nnft.Run) -> None:
    state = summary(whole)
    assert state["deformation"]["phi4"] == 0.8
    assert state["effective_sample_size"]["networks"] == 1000
    text = table_text(state)
    assert "weights exp(-V): phi2 -0.2, phi4 0.8, cell 1, invariance each, readouts 3" in text
    assert "base G2 at n = inf" in text
    assert "is below 1000: errors are rough" in text
    assert "effective sample size" in text


def collapsed() -> RunSpec:
    """Six independent sites with a coupling so strong that a few networks carry the weight."""
    return RunSpec.from_dict(
        {
            "network": {"widths": [], "activation": "linear"},
            "inputs": {"points": (np.eye(6) * np.sqrt(6)).tolist()},
            "ensemble": {"networks": 1000, "seed": SEED},
            "deformation": {"phi4": 300.0},
        }
    )


def test_collapsed_weights_are_stored_but_not_quoted(tmp_path: Path) -> None:
    run = nnft.sample(collapsed(), tmp_path / "run.h5")
    assert run.complete
    size = run.effective_sample_size
    assert size is not None
    assert size.value < 100
    for call in (lambda: run.connected(2), lambda: run.moment(4), run.excess_kurtosis, lambda: summary(run)):
        with pytest.raises(NumericalError, match="effective sample size too small"):
            call()
    assert run.stored.estimate_names == ()
    assert "bit for bit the same" in recompute_bin(run.path)
    again = nnft.sample(collapsed(), tmp_path / "run.h5", resume=True)
    assert again.stored.text("result_digest") == run.stored.text("result_digest")


def test_energies_far_from_zero_neither_overflow_nor_vanish(tmp_path: Path) -> None:
    """V of about 2000 with little spread: exp(-V) is zero in float64, the weights are not."""
    card = {
        "network": {"widths": [2000], "activation": "linear", "outputs": 2000},
        "inputs": {"points": [[1.0]]},
        "ensemble": {"networks": 400, "seed": SEED},
        "estimate": {"correlators": [2], "outputs": 1},
        "deformation": {"phi2": 2.0, "readouts": 1},
    }
    run = nnft.sample(RunSpec.from_dict(card), tmp_path / "run.h5")
    shift = float(run.stored.accumulators["weight_shift"])
    assert 1700 < shift < 2100
    assert run.stored.accumulators["sums/weight"].sum() > 0.0
    assert run.effective_sample_size is not None
