"""Weights from elsewhere: what is read from which arrays, and one clear line for everything else."""

from __future__ import annotations

import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.errors import CardError, DataFileError, NnftError
from nnft.spec.covariance_root import covariance_root
from nnft.spec.given import given_weights, reading_weights
from nnft.spec.given_weights import MOST_CORRELATED, GivenWeights, make_given
from nnft.spec.npz_arrays import parse_npz
from nnft.spec.plan import plan_run
from nnft.spec.plan_text import plan_rows
from nnft.spec.run import RunSpec
from nnft.store.arrays import read_h5_arrays

SIZES = [(2, 3, 0.5), (3, 1, 0.0)]
"""Networks 2-3-1, biases in the hidden layer only: 12 weights."""

TOTAL = 12
Arrays = dict[str, Any]


def samples(networks: int = 4) -> Arrays:
    random = np.random.default_rng(1)
    shapes = {"W1": (3, 2), "b1": (3,), "W2": (1, 3)}
    return {name: random.normal(size=(networks, *shape)) for name, shape in shapes.items()}


def card(weights: str = "posterior.npz", networks: int = 4, **training: Any) -> dict[str, Any]:
    return {
        "network": {"widths": [3], "activation": "tanh", "bias_variance": [0.5, 0.0]},
        "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
        "ensemble": {"networks": networks, "seed": 5},
        "training": {
            "algorithm": "given",
            "weights": weights,
            "data": {"teacher": "linear", "points": 5, "dimension": 2},
        }
        | training,
    }


def spec_of(folder: Path, **keys: Any) -> RunSpec:
    return reading_weights(RunSpec.from_dict(card(**keys), folder=folder), read_h5_arrays)


def line_of(arrays: Arrays) -> str:
    """The one line with which arrays are refused."""
    with pytest.raises(DataFileError) as error:
        make_given(arrays, SIZES, "posterior.npz")
    text = str(error.value)
    assert "posterior.npz" in text
    assert len(text.splitlines()) == 1
    assert len(text) <= 187
    return text


def test_samples_are_the_rows_of_the_arrays() -> None:
    arrays = samples() | {"W2": np.float32([[1.0, 2.0, 0.1]])}  # one readout for all networks
    given = make_given(arrays, SIZES, "posterior.npz")
    (first, biases), (second, none) = (layer for layer in given.layers if layer is not None)
    assert np.array_equal(first, arrays["W1"])
    assert np.array_equal(biases, arrays["b1"])
    assert second.tolist() == [[[1.0, 2.0, float(np.float32(0.1))]]]
    assert none.size == given.mean.size == 0
    assert given.networks == 4
    assert given.nbytes == 8 * (4 * 9 + 3)


def test_single_network_has_no_axis_of_networks() -> None:
    given = make_given({name: array[0] for name, array in samples().items()}, SIZES, "posterior.npz")
    assert given.networks == 1


def test_law_of_all_weights_and_of_the_readout() -> None:
    given = make_given({"mean": np.zeros(TOTAL), "covariance": np.eye(TOTAL)}, SIZES, "x")
    assert given.layers == (None, None)
    assert given.networks is None
    assert np.array_equal(given.root[0], np.eye(TOTAL))
    hidden = {name: samples()[name] for name in ("W1", "b1")}
    law = {"mean": np.ones((4, 3)), "variance": [0.0, 4.0, 9.0]}
    given = make_given(hidden | {name: np.array(value) for name, value in law.items()}, SIZES, "x")
    assert given.networks == 4
    assert given.root.tolist() == [[[0.0, 2.0, 3.0]]]
    assert "3 independent Gaussian weights of layers 2" in given.describe()


@pytest.mark.parametrize("kind", ["full", "rank 2", "zero", "scales", "single", "empty row"])
def test_root_of_a_covariance(kind: str) -> None:
    random = np.random.default_rng(3)
    factor = random.normal(size=(7, 2 if kind == "rank 2" else 7))
    covariance = factor @ factor.T
    if kind == "zero":
        covariance = np.zeros((7, 7))
    if kind == "scales":
        scale = 10.0 ** np.arange(-9, 12, 3)
        covariance *= np.outer(scale, scale)
    if kind == "single":
        covariance = covariance.astype(np.float32).astype(np.float64)
        covariance[0, 1] = np.nextafter(np.float32(covariance[0, 1]), np.float32(9))
    if kind == "empty row":
        covariance[2], covariance[:, 2] = 0.0, 0.0
    root = covariance_root(covariance, "x")
    scale = np.sqrt(np.diagonal(covariance))
    assert (np.abs(root @ root.T - covariance) <= 1e-6 * np.outer(scale, scale)).all()
    if kind in ("full", "rank 2", "scales"):
        assert (np.abs(root @ root.T - covariance) <= 1e-12 * np.outer(scale, scale)).all()


def asymmetric() -> np.ndarray[Any, Any]:
    matrix = np.eye(TOTAL)
    matrix[2, 7] = 0.3
    return matrix


def indefinite() -> np.ndarray[Any, Any]:
    matrix = np.eye(TOTAL)
    matrix[0, 1] = matrix[1, 0] = 1.01
    return matrix


def changed(name: str, place: tuple[int, ...], value: float) -> Arrays:
    arrays = samples()
    arrays[name][place] = value
    return arrays


def without(*names: str) -> Arrays:
    return {name: array for name, array in samples().items() if name not in names}


MEAN = {"mean": np.zeros(TOTAL)}
FAULTS: dict[str, tuple[Arrays, tuple[str, ...]]] = {
    "unknown": (samples() | {"w3": np.ones(2)}, ("unknown array", "'w3'", "W1 to W2")),
    "no weights": (without("W1"), ("missing array W1", "only b1")),
    "no biases": (without("b1"), ("missing array b1", "only W1")),
    "no layer": (without("W2"), ("missing array W2", "mean and covariance")),
    "biases": (samples() | {"b2": np.ones(1)}, ("biases of a layer without", "b2", "network.bias_variance")),
    "networks": (samples() | {"W2": np.ones((5, 1, 3))}, ("different numbers", "5 in W2, 4 in W1")),
    "transposed": (samples() | {"W1": np.ones((4, 2, 3))}, ("wrong shape", "W1", "(4, 2, 3)", "(M, 3, 2)")),
    "vector": (samples() | {"b1": np.ones(4)}, ("wrong shape", "b1", "(4,)", "(3,)")),
    "nan": (changed("W1", (2, 1, 0), np.nan), ("not finite", "W1", "[2, 1, 0]", "nan")),
    "infinite": (changed("b1", (0, 2), -np.inf), ("not finite", "b1", "[0, 2]", "-inf")),
    "large": (changed("W2", (3, 0, 1), 1e101), ("out of range", "W2", "[3, 0, 1]", "1e+101")),
    "complex": (samples() | {"W1": np.ones((4, 3, 2), complex)}, ("wrong dtype", "W1", "complex128")),
    "words": (samples() | {"W1": np.array(["a"])}, ("wrong dtype", "W1")),
    "integers": (samples() | {"W2": np.full((1, 3), 2**60)}, ("integer too large", "W2")),
    "empty": (samples() | {"W2": np.zeros((0, 1, 3))}, ("wrong shape", "W2", "(0, 1, 3)")),
    "law of none": (samples() | MEAN, ("law of no layer", "mean")),
    "mean alone": (MEAN, ("incomplete law", "got mean", "covariance and variance")),
    "no mean": ({"covariance": np.eye(TOTAL)}, ("incomplete law", "got covariance")),
    "both": (MEAN | {"covariance": np.eye(TOTAL), "variance": np.ones(TOTAL)}, ("incomplete law",)),
    "short mean": ({"mean": np.zeros(5), "variance": np.ones(TOTAL)}, ("wrong shape", "(5,)", "(12,)")),
    "oblong": (MEAN | {"covariance": np.ones((TOTAL, 4))}, ("wrong shape", "covariance", "(12, 4)")),
    "asymmetric": (MEAN | {"covariance": asymmetric()}, ("not symmetric", "covariance", "0.3 at [2, 7]")),
    "indefinite": (MEAN | {"covariance": indefinite()}, ("not positive semidefinite", "-0.01", "2.01")),
    "negative": (MEAN | {"variance": -np.ones(TOTAL)}, ("negative variance", "variance", "-1.0")),
    "negative diagonal": (MEAN | {"covariance": -np.eye(TOTAL)}, ("not positive semidefinite", "-1")),
    "nan covariance": (MEAN | {"covariance": np.full((TOTAL, TOTAL), np.nan)}, ("not finite", "[0, 0]")),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_array_and_file(name: str) -> None:
    arrays, words = FAULTS[name]
    text = line_of(arrays)
    for word in words:
        assert word in text, text


def test_covariance_of_too_many_weights() -> None:
    count = MOST_CORRELATED + 1
    arrays = {"mean": np.zeros(count), "covariance": np.broadcast_to(np.float32(0.0), (count, count))}
    with pytest.raises(DataFileError, match=f"too many correlated weights .* got {count}; at most 4096"):
        make_given(arrays, [(count, 1, 0.0)], "x.npz")


def written(path: Path, arrays: Arrays) -> None:
    """Write arrays to a file of the kind that its ending says."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
        return
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"chain/{name}"] = array


def test_npz_and_hdf5_give_the_same_weights(tmp_path: Path) -> None:
    found: list[GivenWeights] = []
    for name, card_name in (("a.npz", "a.npz"), ("b.h5", "b.h5:/chain")):
        written(tmp_path / name, samples())
        spec = spec_of(tmp_path, weights=card_name)
        plan_run(spec)
        found.append(given_weights(spec))
    assert found[0].sha256 == found[1].sha256
    assert [one.source for one in found] == ["a.npz", "b.h5:/chain"]
    text = dict(plan_rows(spec, plan_run(spec)))["weights"]
    assert text == f"4 networks, b.h5:/chain, sha256 {found[0].sha256[:12]}"


def test_digest_knows_every_number(tmp_path: Path) -> None:
    digests = set()
    for arrays in (
        samples(),
        changed("W2", (3, 0, 2), 0.25),
        samples(5),
        without("W2") | {"W2": samples()["W2"][0]},
    ):
        written(tmp_path / "posterior.npz", arrays)
        digests.add(spec_of(tmp_path).digest())
    assert len(digests) == 4


def test_resolved_card_names_the_whole_path_and_the_digest(tmp_path: Path) -> None:
    written(tmp_path / "posterior.npz", samples())
    spec = spec_of(tmp_path)
    text = spec.to_toml()
    again = RunSpec.from_text(text, folder="/")
    assert again.training is not None
    assert again.training.weights == str(tmp_path / "posterior.npz")
    assert again.digest() == spec.digest()  # known without the file
    assert again._given.weights is None
    assert given_weights(again).sha256 == again.training.weights_sha256
    written(tmp_path / "posterior.npz", changed("b1", (0, 0), 7.0))
    with pytest.raises(
        DataFileError, match=r"other weights in posterior\.npz, training\.weights: got sha256"
    ):
        given_weights(RunSpec.from_text(text, folder="/"))


def test_more_networks_than_there_are(tmp_path: Path) -> None:
    written(tmp_path / "posterior.npz", samples())
    with pytest.raises(
        CardError, match=r"ensemble\.networks: got 5; allowed: at most 4, the networks in post"
    ):
        plan_run(spec_of(tmp_path, networks=5))
    assert any(
        "only the first 3 of 4 networks" in note for note in plan_run(spec_of(tmp_path, networks=3)).notes
    )
    written(tmp_path / "posterior.npz", {"mean": np.zeros(TOTAL), "variance": np.ones(TOTAL)})
    assert plan_run(spec_of(tmp_path, networks=5000)).networks == 5000


CARDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no weights": ({"weights": None}, ("training.weights", "'given' needs it")),
    "steps": ({"steps": 10}, ("training.steps", "leave it out: training.algorithm is given")),
    "draws": ({"draws": 10}, ("training.draws", "leave it out")),
    "two heats": ({"ridge": 0.1, "temperature": 0.1}, ("give one",)),
    "no ridge": ({"ridge": 0.0}, ("training.ridge", "above 0")),
    "decay": ({"weight_decay": "prior"}, ("training.temperature", "weight_decay 'prior' needs")),
    "digest": ({"weights_sha256": "xyz"}, ("training.weights_sha256", "hexadecimal")),
    "anew": (
        {"data": {"teacher": "linear", "points": 5, "dimension": 2, "anew": True}},
        ("data.anew", "one set of data"),
    ),
}


@pytest.mark.parametrize("name", CARDS)
def test_cards_that_make_no_sense(name: str) -> None:
    changes, words = CARDS[name]
    table = card()
    table["training"] = {k: v for k, v in (table["training"] | changes).items() if v is not None}
    with pytest.raises(CardError) as error:
        RunSpec.from_dict(table)
    for word in words:
        assert word in str(error.value), error.value


def test_other_tables_that_do_not_fit() -> None:
    with pytest.raises(CardError, match=r"estimate\.estimator: got 'conditional'; the readout after given"):
        RunSpec.from_dict(card() | {"estimate": {"estimator": "conditional"}})
    with pytest.raises(CardError, match=r"flow\.noise_variance: got nothing"):
        RunSpec.from_dict(card() | {"flow": {"cutoffs": [1.0]}})
    conditional = {"cutoffs": [1.0], "noise_variance": 0.1, "fill": "conditional", "tangents": False}
    with pytest.raises(CardError, match=r"flow\.fill: got 'conditional'; it needs the posterior of a ridge"):
        RunSpec.from_dict(card() | {"flow": conditional})
    RunSpec.from_dict(card(ridge=0.1) | {"flow": conditional})
    cosines = {"kind": "cos-net", "width": 3, "momenta": "normal", "momentum_variance": 1.0}
    with pytest.raises(CardError, match="'given' with cos-net"):
        RunSpec.from_dict(card(trainable="readout") | {"network": cosines})
    other = card()
    other["training"] |= {"algorithm": "gd", "loss": "sum", "step": 0.1, "steps": 1}
    with pytest.raises(CardError, match=r"training\.weights: got 'posterior\.npz'; leave it out"):
        RunSpec.from_dict(other)


def objects(path: Path) -> None:
    np.savez(path, W1=np.array([{}], dtype=object))


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({}))


def bomb(path: Path) -> None:
    """Ten megabytes that say they are a gigabyte and more."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**28,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("W1.npy", "w") as entry:
        entry.write(header.getvalue() + bytes(1000))


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("W1.npy", "W2.npy"):
            with archive.open(name, "w") as entry:
                np.save(entry, np.ones(3))
    path.write_bytes(path.read_bytes().replace(b"W2.npy", b"W1.npy"))


def foreign(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")


def packed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("W1.npy", b"x")


def short(path: Path) -> None:
    written(path, samples())
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path: Path) -> None:
    np.savez(path, W1=np.ones((3, 2)))
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))


DAMAGE = {
    objects: "Python objects",
    pickled: "damaged archive",
    bomb: "too many numbers",
    twice: "array given twice",
    foreign: "no array",
    packed: "compression number 14",
    short: "damaged archive",
    flipped: "damaged archive",
    Path.touch: "damaged archive",
    Path.mkdir: "a directory",
    os.mkfifo: "a FIFO",
}


@pytest.mark.parametrize("make", DAMAGE, ids=lambda make: make.__name__)
def test_damaged_archives(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "posterior.npz")
    with pytest.raises(NnftError) as error:
        plan_run(spec_of(tmp_path))
    assert DAMAGE[make] in str(error.value), error.value
    assert "posterior.npz" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_every_truncation_is_one_line() -> None:
    file = BytesIO()
    np.savez(file, W1=np.ones((3, 2)), b1=np.ones(3))
    data = file.getvalue()
    for length in range(0, len(data), 7):
        with pytest.raises(DataFileError, match=r"^damaged archive in x\.npz"):
            parse_npz(data[:length], "x.npz", 100)
    assert set(parse_npz(data, "x.npz", 100)) == {"W1", "b1"}
    with pytest.raises(DataFileError, match=r"too many numbers in x\.npz:W1: got 6; at most 5"):
        parse_npz(data, "x.npz", 5)


def test_files_of_no_known_kind_and_none_at_all(tmp_path: Path) -> None:
    for name, words in (
        ("model.pt", "unknown kind of file"),
        ("model.npy", "unknown kind of file"),
        ("none.npz", "no such file of weights"),
        ("none.h5:/x", "no such file of weights"),
    ):
        with pytest.raises(DataFileError, match=words):
            plan_run(spec_of(tmp_path, weights=name))
    with pytest.raises(CardError, match=r"no reader for HDF5 in training\.weights"):
        plan_run(RunSpec.from_dict(card("x.h5"), folder=tmp_path))
