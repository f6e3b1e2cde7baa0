"""Networks from elsewhere by the commands: from an archive of arrays to correlators, flow and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import Nnft, refused

CARD = """
[network]
widths = [4]
activation = "relu"
bias_variance = 0.1
[inputs]
points = [[0.4, 0.6], [-0.8, 0.1]]
[ensemble]
networks = {networks}
seed = 3
[estimate]
correlators = [2]
[training]
algorithm = "given"
weights = "{weights}"
parametrization = "standard"
{lines}
[training.data]
teacher = "linear"
points = 5
dimension = 2
"""


def posterior(networks: int = 10) -> dict[str, Any]:
    random = np.random.default_rng(8)
    shapes = {"W1": (4, 2), "b1": (4,), "W2": (1, 4), "b2": (1,)}
    return {name: random.normal(size=(networks, *shape)) for name, shape in shapes.items()}


def prepare(nnft: Nnft, networks: int = 10, weights: str = "posterior.npz", lines: str = "") -> None:
    text = CARD.format(networks=networks, weights=weights, lines=lines)
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")


def test_from_arrays_to_a_flow(nnft: Nnft) -> None:
    np.savez(nnft.folder / "posterior.npz", **posterior())
    prepare(nnft, 9)
    checked = nnft("check", "card.toml")
    assert checked.code == 0
    assert "given: weights from a file, no step is taken" in checked.out
    assert "10 networks, posterior.npz, sha256 " in checked.out
    assert "only the first 9 of 10 networks" in checked.out
    trained = nnft("train", "card.toml", "-o", "run.h5", "--quiet", "--threads", "1")
    assert (trained.code, trained.out) == (0, ""), trained.err
    assert "training   given on" in nnft("show", "run.h5").out
    assert "theory    none: the weights come from a file" in nnft("compare", "run.h5").out
    plot = ("plot", "run.h5", "-o", "picture.svg", "--what")
    assert nnft(*plot, "predictor").code == 0
    for what, words in (
        ("loss", "no training in time"),
        ("flows", "no training in time"),
        ("chains", "predictor"),
    ):
        refused(nnft(*plot, what), 2, words)
    assert "no chain was run here" in nnft("diagnose", "run.h5").out
    followed = nnft(
        "flow", "run.h5", "--cutoffs", "0.1,1", "--noise-variance", "0.5", "-o", "flow.h5", "--quiet"
    )
    assert (followed.code, followed.out) == (0, ""), followed.err
    table = json.loads(nnft("flow", "flow.h5", "--json").out)
    given = posterior(10)
    hidden = np.maximum(np.einsum("j,mij->mi", [0.4, 0.6], given["W1"]) + given["b1"], 0.0)
    outputs = (np.einsum("mi,mi->m", hidden, given["W2"][:, 0]) + given["b2"][:, 0])[:9]
    value = table["rows"][0]["mean"]["value"]
    assert value == pytest.approx(outputs.mean(), rel=1e-12)
    assert "bit for bit the same" in nnft("verify", "flow.h5").out
    again = nnft("train", "card.toml", "-o", "run.h5", "--resume", "--quiet")
    assert again.code == 0
    assert nnft("flow", "flow.h5", "--theory", "3").code == 2


def test_few_networks_in_a_group_of_an_hdf5_file(nnft: Nnft) -> None:
    with h5py.File(nnft.folder / "samples.h5", "w") as file:
        for name, array in posterior(3).items():
            file[f"posterior/{name}"] = array.astype(np.float32)
    prepare(nnft, 3, "samples.h5:/posterior", "ridge = 0.1\n")
    with (nnft.folder / "card.toml").open("a", encoding="utf-8") as file:
        file.write("[flow]\ncutoffs = [0.1, 1.0]\n")
    trained = nnft("train", "card.toml", "-o", "run.h5", "--quiet")
    assert (trained.code, trained.out) == (0, ""), trained.err
    assert "noise variance 0.1" in nnft("flow", "run.h5").out


def test_refusals_are_one_line(nnft: Nnft) -> None:
    run = ("train", "card.toml", "-o", "run.h5", "--quiet")
    prepare(nnft)
    refused(nnft(*run), 3, "no such file of weights", "posterior.npz")
    path = nnft.folder / "posterior.npz"
    path.write_bytes(b"PK")
    refused(nnft(*run), 3, "damaged archive in posterior.npz")
    np.savez(path, **posterior(4))
    refused(nnft(*run), 2, "too few weights in ensemble.networks: got 10", "at most 4")
    np.savez(path, **(posterior() | {"W1": np.full((10, 4, 2), np.nan)}))
    refused(nnft("check", "card.toml"), 3, "number not finite in posterior.npz:W1, [0, 0, 0]: got nan")
    prepare(nnft, weights="network.pt")
    refused(nnft(*run), 3, "unknown kind of file in training.weights", "never opened")
    assert not Path(nnft.folder / "run.h5").exists()
    np.savez(path, **posterior())
    prepare(nnft, lines="step = 0.1\n")
    refused(nnft(*run), 2, "training.step", "leave it out: training.algorithm is given")
    prepare(nnft)
    assert nnft(*run).code == 0
    path.unlink()
    flow = ("flow", "run.h5", "--cutoffs", "1", "--noise-variance", "0.5", "-o", "flow.h5")
    refused(nnft(*flow), 3, "no such file of weights", "posterior.npz")
    refused(nnft("flow", "run.h5", "--cutoffs", "1", "-o", "flow.h5"), 2, "flow.noise_variance: got nothing")
