"""Data drawn anew for each network: streams of their own, one teacher, a digest of the first networks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.errors import CardError
from nnft.spec.data import DataSpec
from nnft.spec.dataset import TeacherData, load_dataset
from nnft.spec.run import RunSpec

TABLE: dict[str, Any] = {
    "teacher": "linear", "points": 6, "dimension": 2, "test": 4, "noise_variance": 0.25, "seed": 11,
    "anew": True,
}  # fmt: skip


def normals(stream: int, network: int, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Philox with key 11, whose counter begins at stream 2^192 + network 2^128."""
    start = np.array([0, 0, network, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=11, counter=start)).standard_normal(shape)


def card(**keys: Any) -> RunSpec:
    training = {"loss": "half-sum", "algorithm": "gd", "step": 0.1, "steps": 5} | keys.pop("training", {})
    return RunSpec.from_dict(
        {
            "network": {"widths": [4], "activation": "tanh"},
            "inputs": {"points": [[1.0, 0.5], [0.2, -1.0]]},
            "ensemble": {"networks": 8, "seed": 1},
            "training": training | {"data": TABLE | keys},
        }
    )


def test_numbers_of_a_network_by_the_address_of_its_streams() -> None:
    drawn = TeacherData(DataSpec(**TABLE))
    teacher = normals(3, 0, (1, 2)) / np.sqrt(2.0)
    for network in (0, 1, 7, 10**12):
        data = drawn.of(network)
        np.testing.assert_array_equal(data.train_inputs, normals(1, network, (6, 2)))
        np.testing.assert_array_equal(data.test_inputs, normals(2, network, (4, 2)))
        clean = data.train_inputs @ teacher.T
        np.testing.assert_allclose(
            data.train_targets, clean + 0.5 * normals(4, network, (6, 1)), rtol=1e-13, atol=1e-14
        )
        np.testing.assert_allclose(data.test_targets, data.test_inputs @ teacher.T, rtol=1e-13, atol=1e-14)


def test_network_0_has_the_data_that_all_have_otherwise() -> None:
    one = load_dataset(DataSpec(**TABLE | {"anew": False}), Path())
    anew = load_dataset(DataSpec(**TABLE), Path())
    assert not one.anew
    assert anew.anew
    assert one.sha256 == anew.network_sha256[0]
    np.testing.assert_array_equal(one.train_targets, anew.train_targets)
    assert len(set(anew.network_sha256)) == len(anew.network_sha256) == 8
    assert anew.sha256 == hashlib.sha256("".join(anew.network_sha256).encode()).hexdigest()


def test_scales_are_those_of_the_points_of_a_network() -> None:
    data = TeacherData(DataSpec(**TABLE | {"scale": "standardize", "target_center": True})).of(5)
    np.testing.assert_allclose(data.train_inputs.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose((data.train_inputs**2).mean(axis=0), 1.0, rtol=1e-14)


def test_digest_and_card_say_whether_data_are_drawn_anew() -> None:
    anew, one = card(), card(anew=False)
    assert anew.digest() != one.digest()
    assert card(anew=False).digest() == card(anew=None).digest()
    again = RunSpec.from_text(anew.to_toml())
    assert again.digest() == anew.digest()
    assert again.training is not None
    assert again.training.data.anew
    assert "another value in training.data.anew: got true; the file has none" in anew.difference(one)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"file": "a.csv", "targets": [1], "anew": True},
            r"training\.data\.anew: got true; leave it out beside training\.data\.file, which holds one set",
        ),
        ({"anew": 1}, r"training\.data\.anew: got 1; allowed: true or false"),
    ],
)
def test_refusals(keys: dict[str, Any], message: str) -> None:
    table = keys if "file" in keys else TABLE | keys
    with pytest.raises(CardError, match=message):
        RunSpec.from_dict(card().model_dump(exclude_none=True) | {
            "training": {"loss": "half-sum", "algorithm": "gd", "step": 0.1, "steps": 5, "data": table}
        })  # fmt: skip


def test_exact_posteriors_have_one_set_of_data() -> None:
    exact = {"algorithm": "exact", "trainable": "readout", "ridge": 0.1, "draws": 2}
    exact |= {"step": None, "steps": None}
    with pytest.raises(CardError, match=r"training\.data\.anew: got true; exact draws readouts on one set"):
        card(training=exact)


def test_more_inputs_of_the_information_than_points_have_to_be_fresh() -> None:
    flow = {"cutoffs": [1.0], "noise_variance": 1.0, "fisher_points": 7}
    tables = card().model_dump(exclude_none=True)
    message = r"flow\.fisher_points: got 7; .* at most 6.*flow\.points = \"fresh\""
    with pytest.raises(CardError, match=message):
        _ = RunSpec.from_dict(tables | {"flow": flow}).flow_resolution
    found = RunSpec.from_dict(tables | {"flow": flow | {"points": "fresh"}}).flow_resolution
    assert found is not None
    assert found.points == 7
