"""What an analysis script gets from a result file: shapes, symmetry, relations between the numbers."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import nnft
from nnft.analysis.summary import summary, table_text, with_error
from nnft.errors import UsageError
from nnft.spec.run import RunSpec

NETWORKS, POINTS = 2000, 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nnft.Run:
    card = {
        "network": {"widths": [8, 6], "activation": "tanh", "outputs": 2, "weight_variance": 2.0},
        "inputs": {"points": [[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]},
        "ensemble": {"networks": NETWORKS, "seed": 20240602},
        "estimate": {"correlators": [2, 4], "bins": 50},
    }
    path = tmp_path_factory.mktemp("analysis") / "run.h5"
    nnft.sample(RunSpec.from_dict(card), path)
    return nnft.open(path)


def test_correlators_are_packed_and_dense(run: nnft.Run) -> None:
    for order, components in ((2, 6), (4, 15)):
        result = run.connected(order)
        assert result.indices.shape == (components, order)
        assert result.value.shape == result.stderr.shape == (components,)
        assert result.bins.shape == (50, components)
        assert result.n_networks == run.networks == NETWORKS
        dense = result.dense()
        assert dense.shape == (POINTS,) * order
        for axes in permutations(range(order)):
            assert np.array_equal(dense, dense.transpose(axes))
        assert np.array_equal(dense[tuple(result.indices.T)], result.value)
        assert (result.stderr > 0).all()


def test_moments_are_cumulants_and_pairings(run: nnft.Run) -> None:
    """E[f^4] = kappa_4 + 3 G_2^2 up to the bias of the square, which is far below the error bar."""
    second, fourth, moment = run.connected(2), run.connected(4), run.moment(4)
    assert np.allclose(run.moment(2).value, second.value, rtol=1e-12)
    diagonal = second.dense().diagonal()
    for point in range(POINTS):
        at = (point,) * 4
        wick = 3 * diagonal[point] ** 2
        row = int(np.flatnonzero((moment.indices == point).all(axis=1))[0])
        assert abs(moment.dense()[at] - fourth.dense()[at] - wick) < 0.2 * moment.stderr[row]
        assert wick > 5 * moment.stderr[row]


def test_kernels_of_the_layers(run: nnft.Run) -> None:
    last = run.kernel(3)
    assert last.value.shape == last.stderr.shape == (POINTS, POINTS)
    assert np.allclose(last.value, run.connected(2).dense(), rtol=1e-12)
    first = run.first_kernel()
    assert np.array_equal(first, 2.0 / 2 * run.points @ run.points.T)
    theory = run.nngp_kernel(1)
    assert theory is not None
    assert np.allclose(theory, first, rtol=1e-14)
    for layer in (1, 4):
        with pytest.raises(UsageError, match="layer"):
            run.kernel(layer)


def test_what_was_not_estimated_is_refused(run: nnft.Run) -> None:
    with pytest.raises(UsageError, match="6"):
        run.connected(6)
    with pytest.raises(UsageError, match=r"store\.fields"):
        run.fields()


def test_summary_holds_the_diagonal(run: nnft.Run) -> None:
    state = summary(run)
    dense = run.connected(4).dense()
    values = [record["G4"]["value"] for record in state["points"]]
    assert values == [dense[(point,) * 4] for point in range(POINTS)]
    text = table_text(state)
    assert all(line in text for line in ("G2 at n = inf", "[8, 6]", f"{NETWORKS} of {NETWORKS} networks"))


@pytest.mark.parametrize(
    ("value", "error", "unreliable", "shown"),
    [
        (1.23456, 0.0067, False, "1.2346(67)"),
        (-0.5, 0.25, True, "-0.50(25)!"),
        (1.5e-7, 2.0e-9, False, "1.500(20)e-07"),
        (12345.0, 0.0, False, "12345(0)"),
        (None, None, False, "-"),
        (2.0, None, False, "2(?)"),
        (9.999, 0.0999, False, "10.00(10)"),
    ],
)
def test_numbers_with_errors(value: float, error: float, unreliable: bool, shown: str) -> None:
    assert with_error({"value": value, "stderr": error, "unreliable": unreliable}) == shown


def test_closed_file_keeps_results_that_were_taken(run: nnft.Run) -> None:
    path: Path = run.path
    with nnft.open(path) as opened:
        result = opened.connected(2)
    assert np.isfinite(result.stderr).all()
