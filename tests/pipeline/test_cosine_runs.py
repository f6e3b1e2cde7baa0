"""Networks of cosines from the card to the comparison with their exact correlators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.report_run import infinite_width
from nnft.analysis.run import open_run
from nnft.analysis.summary import summary, table_text
from nnft.errors import UsageError
from nnft.pipeline.compare_output import comparison_of_file
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.sample import sample
from nnft.spec import RunSpec
from nnft.theory.cos_network import BallMomenta, CosNetwork, free_scalar

SEED = 20240601
LIMIT = 4.5


def card(table: str, networks: int, seed: int = SEED, estimate: str = "") -> RunSpec:
    points = "[[0.0, 0.0], [0.7, 0.1], [1.5, -1.0]]"
    return RunSpec.from_text(
        f"[network]\n{table}\n[inputs]\npoints = {points}\n[ensemble]\nnetworks = {networks}\nseed = {seed}\n"
        f"block_size = 64\n[estimate]\n{estimate}\n"
    )


SCALAR = 'kind = "free-scalar"\nwidth = 6\ncutoff = 3.0\nmass = 1.0\namplitude_variance = 2.0'
BALL = 'kind = "cos-net"\nwidth = 6\nmomenta = "ball"\ncutoff = 3.0\nmass = 1.0\namplitude_variance = 2.0'
FIXED = BALL + '\namplitudes = "fixed"\noutputs = 2'


@pytest.fixture(scope="module")
def scalar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scalar") / "run.h5"
    sample(card(SCALAR, 60_000, estimate="correlators = [2, 4, 6]"), path).close()
    return path


def largest_pull(record: dict[str, Any], order: int) -> float:
    table = next(table for table in record["final"]["tables"] if table["order"] == order)
    return float(max(abs(pull) for pull in table["theory"][0]["pull"]))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_every_tuple_of_points_is_beside_its_exact_value(scalar: Path, order: int) -> None:
    record = comparison_of_file(scalar).record
    assert largest_pull(record, order) < LIMIT
    table = next(table for table in record["final"]["tables"] if table["order"] == order)
    law = free_scalar(2, 1.0, 3.0, 6)
    points = np.array(record["points"])
    for indices, value in zip(table["indices"], table["theory"][0]["value"], strict=True):
        assert value == pytest.approx(law.connected(points[indices]), rel=1e-9, abs=1e-13)
    assert table["theory"][0]["p_value"] > 1e-5


@pytest.mark.parametrize("table", [BALL, FIXED])
def test_amplitudes_of_both_laws(table: str, tmp_path: Path) -> None:
    """The kurtosis of fixed amplitudes is negative, that of Gaussian ones positive."""
    sample(card(table, 200_000), tmp_path / "run.h5").close()
    record = comparison_of_file(tmp_path / "run.h5").record
    assert largest_pull(record, 2) < LIMIT
    assert largest_pull(record, 4) < LIMIT
    with open_run(tmp_path / "run.h5") as run:
        kurtosis = run.excess_kurtosis()
    amplitudes = "fixed" if table == FIXED else "gaussian"
    law = CosNetwork(BallMomenta(2, 3.0, 1.0), 6, 2.0, amplitudes)
    expected = law.coincident_fourth_cumulant() / law.two_point(np.zeros(1))[0] ** 2
    assert np.all(abs(kurtosis.value - expected) < LIMIT * kurtosis.stderr)
    assert np.all((kurtosis.value < 0.0) == (amplitudes == "fixed"))


def test_outputs_share_their_features(tmp_path: Path) -> None:
    """Two outputs with one set of features: mean of f^2 g^2 from <h^4>, exact; zero without sharing."""
    sample(card(FIXED, 200_000), tmp_path / "run.h5").close()
    with open_run(tmp_path / "run.h5") as run:
        found = run.connected(4, "0011")
    law = CosNetwork(BallMomenta(2, 3.0, 1.0), 6, 2.0)
    first, second = (float(law.momenta.average(np.zeros(()), power)) for power in (1, 2))
    same = (found.indices == 0).all(axis=1)
    expected = 4.0 / 6.0 * (0.375 * second - 0.25 * first**2)
    assert abs(found.value[same] - expected)[0] < LIMIT * found.stderr[same][0]
    assert expected > 10.0 * found.stderr[same][0]


def test_show_compare_report_and_verify(scalar: Path, tmp_path: Path) -> None:
    with open_run(scalar) as run:
        state = summary(run)
        with pytest.raises(UsageError, match="nngp_kernel"):
            run.first_kernel()
    json.dumps(state)
    law = free_scalar(2, 1.0, 3.0, 6)
    assert state["points"][1]["G4_exact"] == pytest.approx(law.coincident_fourth_cumulant(), rel=1e-10)
    assert state["points"][1]["G2_infinite_width"] == pytest.approx(law.two_point(np.zeros(1))[0], rel=1e-10)
    text = table_text(state)
    assert "exact G2" in text
    assert "free-scalar, width 6, cutoff 3.0, mass 1.0" in text
    assert "exact at every width" in comparison_of_file(scalar).text
    assert "bit for bit" in recompute_bin(scalar)
    with open_run(scalar) as run:
        section = infinite_width(run)
    assert section is not None
    assert section.title == "Exact theory"
    assert len(section.tables) == 2
    with pytest.raises(UsageError, match="--plot"):
        comparison_of_file(scalar, plot=tmp_path / "x.svg")


def test_resumed_and_extended_runs_have_the_same_bits(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    sample(card(SCALAR, 4096), whole, threads=2).close()
    sample(card(SCALAR, 2048), parts, threads=1).close()
    sample(card(SCALAR, 4096), parts, resume=True, threads=2).close()

    def sums(path: Path) -> np.ndarray[Any, Any]:
        with open_run(path) as run:
            return np.asarray(run.estimator.sums["S4:0000"])

    assert np.array_equal(sums(whole), sums(parts))
