"""Tables of flows over cutoffs: numbers, medians, extreme networks, text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.flow_robust import EXTREME
from nnft.analysis.flow_table import flow_numbers, flow_text
from nnft.analysis.flow_text import number_text
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.run import Run
from nnft.errors import UsageError
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

CUTOFFS = [0.01, 0.3, 3.0]


def run_of(folder: Path, networks: int = 40, test: int = 4, flow: dict[str, Any] | None = None) -> Run:
    card: dict[str, Any] = {
        "network": {"widths": [6], "activation": "erf", "bias_variance": 0.1},
        "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
        "ensemble": {"networks": networks, "seed": 20240601},
        "estimate": {"correlators": [2, 4], "bins": 40},
        "training": {
            "loss": "half-sum",
            "algorithm": "gd",
            "step": 0.05,
            "steps": 30,
            "data": {"teacher": "linear", "points": 5, "dimension": 2, "test": test},
        },
    }
    table = {} if flow is None else {"flow": {"cutoffs": CUTOFFS, "noise_variance": 0.7} | flow}
    return train(RunSpec.from_dict(card | table), folder / "run.h5", threads=1)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> RenormalizedRun:
    return RenormalizedRun(run_of(tmp_path_factory.mktemp("flow"), flow={"layers": "all"}))


def test_rows_are_the_estimates_at_every_cutoff(flow: RenormalizedRun) -> None:
    numbers = flow_numbers(flow, point=1)
    assert [row["cutoff"] for row in numbers["rows"]] == [0.0, *CUTOFFS, "inf"]
    losses = flow.losses
    for position, row in enumerate(numbers["rows"]):
        for column, name in enumerate(("train", "test")):
            values = losses[:, position, column]
            assert row[f"{name}_error"]["value"] == pytest.approx(values.mean(), rel=1e-12)
            lost = 2.0 * 40**2 * np.finfo(np.float64).eps * values.mean() / values.std()  # of large sums
            assert row[f"{name}_error"]["stderr"] == pytest.approx(values.std(ddof=1) / 40**0.5, rel=lost)
            assert row[f"{name}_median"] == np.median(values)
        assert row["extreme"] == (losses[:, position, 1] > EXTREME * np.median(losses[:, position, 1])).sum()
        estimator = flow.at(position)
        for order, name in ((1, "mean"), (2, "connected_2"), (4, "connected_4")):
            found = estimator.result(order)
            place = int(np.flatnonzero((found.indices == 1).all(axis=1))[0])
            assert row[name]["value"] == found.value[place]
            assert row[name]["stderr"] == found.stderr[place]
            assert row[name]["unreliable"] == found.unreliable[place]
    assert (numbers["layers"], numbers["fill"], numbers["nested"]) == ("all", "prior", True)
    assert (numbers["noise_variance"], numbers["networks"], numbers["point"]) == (0.7, 40, 1)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


def test_extreme_networks_move_means_and_not_medians(tmp_path: Path) -> None:
    """A lost network is in no average; one a thousand times the others is counted, and in the mean."""
    found = RenormalizedRun(run_of(tmp_path, flow={}))
    before = flow_numbers(found)["rows"]
    found.kept_losses[3, 2] *= 1000.0
    found.kept_losses[4] = np.nan
    del found.__dict__["losses"]
    assert found.losses.shape == (39, 5, 2)
    after = flow_numbers(found)["rows"]
    assert after[2]["extreme"] == before[2]["extreme"] + 1
    assert after[1]["extreme"] == before[1]["extreme"]
    assert after[2]["test_median"] == pytest.approx(before[2]["test_median"], rel=0.5)


def test_text_of_a_flow(flow: RenormalizedRun) -> None:
    numbers = flow_numbers(flow)
    lines = flow_text(numbers).splitlines()
    assert lines[0].endswith("run.h5: flow of 40 networks over 5 cutoffs")
    assert lines[1].startswith("information  of all layers, noise variance 0.7; exactly zero for ")
    header = lines[4].split()
    assert header[:3] == ["cutoff", "sloppy", "train"]
    assert {len(line) for line in lines[4:10]} == {len(lines[4])}
    assert lines[9].split()[0] == "inf"
    assert "expected" not in header
    for row, pull in zip(numbers["rows"], (-1.25, 0.0, 3.0, None, 2.0), strict=True):
        row |= {"expected_train": 2.0, "pull_train": pull, "expected_test": None, "pull_test": None}
    text = flow_text(numbers | {"expected_networks": 17})
    header = text.splitlines()[4].split()
    assert header.count("pull") == 1
    assert "exact given the features of the first 17 networks" in text
    assert " -1.2 " in text.splitlines()[5]
    assert " +3.0 " in text.splitlines()[7]


def test_layers_in_words(flow: RenormalizedRun) -> None:
    numbers = flow_numbers(flow)
    for layers, words in (("readout", "the readout"), ([1, 2], "layers 1, 2")):
        assert f"information  of {words}, noise" in flow_text(numbers | {"layers": layers})
    assert "replaced by prior, anew at every cutoff" in flow_text(numbers | {"nested": False})


def test_without_test_points_there_is_no_column(tmp_path: Path) -> None:
    found = RenormalizedRun(run_of(tmp_path, networks=9, test=0, flow={}))
    numbers = flow_numbers(found)
    assert not found.has_test
    assert all(row["test_error"]["value"] is None for row in numbers["rows"])
    assert all(row["test_median"] is None for row in numbers["rows"])
    assert all(isinstance(row["extreme"], int) for row in numbers["rows"])
    assert "test error" not in flow_text(numbers)
    assert {scale["of"] for scale in numbers["critical_scales"]} == {"train_error"}


def test_one_network_has_no_errors(tmp_path: Path) -> None:
    numbers = flow_numbers(RenormalizedRun(run_of(tmp_path, networks=1, flow={})))
    assert all(row["train_error"]["stderr"] is None for row in numbers["rows"])
    assert all("connected_4" not in row for row in numbers["rows"])
    assert numbers["critical_scales"] == []
    json.dumps(numbers, allow_nan=False)
    assert "(?)" in flow_text(numbers)


def test_run_without_a_flow(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no flow in 'run\.h5': got a run without \[flow\]"):
        RenormalizedRun(run_of(tmp_path))


def test_silent_share_is_that_of_the_networks(tmp_path: Path) -> None:
    """Erf features are never silent; the sums by hand give mean and error."""
    found = RenormalizedRun(run_of(tmp_path, networks=8, flow={}))
    assert found.silent_share == (0.0, 0.0)
    shares = np.array([0.1, 0.4, 0.2, 0.3])
    found._arrays["silent"] = np.array([shares.sum(), (shares**2).sum(), 4.0])
    mean, error = found.silent_share
    assert mean == pytest.approx(0.25)
    assert error == pytest.approx(shares.std(ddof=1) / 2.0)
    found._arrays["silent"] = np.array([0.1, 0.01, 1.0])
    assert np.isnan(found.silent_share[1])


def test_errors_that_cannot_be_trusted_are_marked(flow: RenormalizedRun) -> None:
    numbers = flow_numbers(flow)
    flags = [bool(flag) for flag in flow.quantity("test_error").unreliable[:, 0]]
    assert [row["test_error"]["unreliable"] for row in numbers["rows"]] == flags
    numbers["rows"][1]["test_error"]["unreliable"] = True
    marked = flow_text(numbers).splitlines()[6].split()[3]
    assert marked.endswith(")!")
    assert "!: error not to be trusted" in flow_text(numbers)


def test_rounding_is_no_error() -> None:
    assert number_text({"value": 0.909090909090908728, "stderr": 1.1e-17}) == "0.909091(0)"
    assert number_text({"value": 0.5, "stderr": 1e-3}) == "0.5000(10)"
