"""``nnft action`` and ``nnft closure`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import Nnft, refused

import nnft as package

POINTS = "points = [[1.0, 0.5], [0.2, -1.0], [0.7, 0.9]]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Path:
    """Runs with orders up to 4 and 6, and one with repeated inputs."""
    place = tmp_path_factory.mktemp("actions")
    command = Nnft(place, kernel_cache)
    network = "weight_variance = 1.5\nbias_variance = 0.1"
    cards = {
        "four": {"points": POINTS, "networks": 4000, "network": network},
        "six": {"points": POINTS, "networks": 20_000, "correlators": "[2, 4, 6]", "network": network},
        "wide": {
            "points": POINTS, "networks": 20_000, "correlators": "[2, 4, 6]", "network": network,
            "widths": "[64, 64]",
        },
        "two": {"points": POINTS, "networks": 400, "correlators": "[2]"},
        "same": {"points": "points = [[1.0, 0.5], [1.0, 0.5]]", "networks": 4000},
        "few": {"points": POINTS, "networks": 8, "ensemble": "block_size = 1"},
        "grid": {
            "points": 'generator = "grid"\ncount = 3\ndimension = 1\nlow = 0.0\nhigh = 1.0', "networks": 4000,
            "network": network,
        },
    }  # fmt: skip
    for name, keys in cards.items():
        package.sample(command.card(f"{name}.toml", **keys), place / f"{name}.h5", progress=False).close()
    return place


@pytest.fixture
def there(folder: Path, kernel_cache: Path) -> Nnft:
    return Nnft(folder, kernel_cache)


def test_table_names_convention_and_cut(there: Nnft) -> None:
    done = there("action", "six.h5")
    assert done.code == 0, done.err
    assert done.err == ""
    for words in (
        "density exp(-S)",
        "kappa_4 > 0 (heavy tails) gives lambda_4 < 0",
        "3 of 3 modes kept",
        "order 6: couplings through 1/N^2",
        "quartic couplings lambda_4, on the input points",
        "sextic couplings lambda_6, in the eigenmodes of the kernel",
        "leading  through next",
    ):
        assert words in done.out


def test_json_is_what_python_gives(there: Nnft) -> None:
    done = there("action", "six.h5", "--json")
    record = json.loads(done.out)
    with package.open(there.folder / "six.h5") as run:
        found = package.action(run)
        for name, table in record["tables"].items():
            estimate = found.table(name)
            assert table["value"] == estimate.value.tolist()
            assert table["stderr"] == estimate.stderr.tolist()
            assert table["indices"] == estimate.indices.tolist()
    assert record["convention"].startswith("S = const + 1/2 A_ab")


def test_points_modes_order_and_cut(there: Nnft) -> None:
    record = json.loads(there("action", "six.h5", "--points", "2,0", "--order", "4", "--json").out)
    assert record["points"] == [2, 0]
    assert record["tables"]["quartic_leading"]["indices"][0] == [2, 2, 2, 2]
    assert "sextic" not in record["tables"]
    record = json.loads(there("action", "six.h5", "--modes", "2", "--json").out)
    assert record["spectrum"]["kept"] == 2
    assert record["spectrum"]["dropped_variance"] > 0
    record = json.loads(there("action", "six.h5", "--cut", "0.99", "--json").out)
    assert record["spectrum"]["kept"] == 1


def test_analysis_file(there: Nnft, tmp_path: Path) -> None:
    target = tmp_path / "action.h5"
    first = there("action", "six.h5", "-o", target)
    assert first.code == 0, first.err
    assert there("show", target).out == first.out
    assert there("verify", target, "--checksums-only").code == 0
    content = package.read_analysis(target, pseudo_values=True)
    with package.open(there.folder / "six.h5") as run:
        found = package.action(run)
        assert content.sources[0].result_digest == run.stored.text("result_digest")
        for table in content.tables:
            estimate = found.table(table.name)
            np.testing.assert_array_equal(table.value, estimate.value)
            np.testing.assert_array_equal(table.pseudo_values, estimate.bins)
    before = target.read_bytes()
    refused(there("action", "six.h5", "-o", target), 2, "exists", "--overwrite")
    assert target.read_bytes() == before
    assert there("action", "six.h5", "-o", target, "--overwrite").code == 0
    refused(there("action", "six.h5", "-o", "six.h5", "--overwrite"), 2, "six.h5")
    with h5py.File(there.folder / "six.h5") as run_file:
        assert run_file.attrs["filetype"] == b"nnft-run" or run_file.attrs["filetype"] == "nnft-run"


def test_covariance_on_request(there: Nnft) -> None:
    table = json.loads(there("action", "six.h5", "--json", "--covariance").out)["tables"]["quartic_next"]
    matrix = np.array(table["covariance"])
    np.testing.assert_allclose(np.sqrt(np.diagonal(matrix)), table["stderr"], rtol=1e-12)
    with package.open(there.folder / "six.h5") as run:
        np.testing.assert_allclose(matrix, package.action(run).quartic.covariance(), rtol=1e-9, atol=1e-30)
    refused(there("action", "six.h5", "--covariance"), 2, "--json")


def test_continuum_of_a_grid(there: Nnft) -> None:
    record = json.loads(there("action", "grid.h5", "--json").out)
    assert record["cell"] == 0.5
    mesh, continuum = record["tables"]["quartic_leading"], record["continuum"]["quartic_leading"]
    np.testing.assert_allclose(continuum["value"], np.array(mesh["value"]) / 0.5**4)
    assert "grid: cell 0.5" in there("action", "grid.h5").out


@pytest.mark.parametrize(
    ("words", "code", "inside"),
    [
        (("six.h5", "--order", "5"), 2, ("got 5", "use 4 or 6")),
        (("six.h5", "--order", "x"), 2, ("'x'",)),
        (("six.h5", "--points", "0,7"), 2, ("got 7", "0 to 2")),
        (("six.h5", "--points", "0,0"), 2, ("twice",)),
        (("six.h5", "--points", "a,b"), 2, ("0,3,5",)),
        (("six.h5", "--modes", "9"), 2, ("got 9",)),
        (("six.h5", "--modes", "2", "--cut", "0.1"), 2, ("contradiction",)),
        (("six.h5", "--cut", "7"), 2, ("got 7",)),
        (("six.h5", "--threads", "0"), 2, ("0",)),
        (("six.h5", "--order", "4", "--order", "6"), 2, ("twice",)),
        (("six.h5", "--nodes", "2"), 2, ("--modes",)),
        (("six.h5", "-o", "nowhere/a.h5"), 2, ("nowhere",)),
        (("six.h5", "--plot", "picture.gif"), 2, ("picture.gif", ".svg")),
        (("six.h5", "--plot", "nowhere/a.svg"), 2, ("nowhere",)),
        (("four.h5", "--order", "6"), 3, ("order 6", "[2, 4, 6]")),
        (("two.h5",), 3, ("order 4", "[2, 4]")),
        (("missing.h5",), 3, ("missing.h5",)),
        (("six.toml",), 3, ("six.toml",)),
        (("same.h5", "--modes", "2"), 5, ("singular kernel", "at most 1 modes")),
        (("few.h5",), 5, ("too few filled bins", "got 8", "needed 16")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_refusals(there: Nnft, words: tuple[str, ...], code: int, inside: tuple[str, ...]) -> None:
    before = sorted(path.name for path in there.folder.iterdir())
    refused(there("action", *words), code, *inside)
    assert sorted(path.name for path in there.folder.iterdir()) == before


def test_repeated_inputs_are_cut(there: Nnft) -> None:
    done = there("action", "same.h5")
    assert done.code == 0, done.err
    assert "1 of 2 modes kept" in done.out


def test_closure_of_one_run(there: Nnft) -> None:
    done = there("closure", "six.h5", "--json")
    record = json.loads(done.out)["runs"][0]
    with package.open(there.folder / "six.h5") as run:
        found = package.closure(run)
    assert record["measured"]["value"] == found.measured.value.tolist()
    assert record["p_value"] == found.test.p_value
    assert record["sextic_share"] == found.share
    text = there("closure", "six.h5").out
    assert "measured" in text
    assert "predicted" in text


def test_closure_over_widths(there: Nnft) -> None:
    done = there("closure", "six.h5", "wide.h5", "--tolerance", "0.7")
    assert done.code == 0, done.err
    assert "fit: share =" in done.out
    assert "from width 64 on" in done.out


@pytest.mark.parametrize(
    ("words", "code", "inside"),
    [
        (("four.h5",), 3, ("order 6", "closure")),
        (("six.h5", "--tolerance", "0"), 2, ("tolerance",)),
        (("six.h5", "--points", "3"), 2, ("got 3",)),
        ((), 2, ("RUNS",)),
        (("missing.h5",), 3, ("missing.h5",)),
        (("few.h5",), 3, ("order 6",)),
        (("six.h5", "--plot", "a.bmp"), 2, ("a.bmp",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_closure_refusals(there: Nnft, words: tuple[str, ...], code: int, inside: tuple[str, ...]) -> None:
    refused(there("closure", *words), code, *inside)
