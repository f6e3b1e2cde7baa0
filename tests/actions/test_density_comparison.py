"""Two-sample tests between stored outputs and an Edgeworth density: level, power, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scale_mixtures import SEED, SMALLEST_P, THREE_POINTS, draws, mixture

import nnft
from nnft.actions.density import EdgeworthDensity
from nnft.actions.density_comparison import compare_samples, energy_test, holm
from nnft.errors import DataFileError, NumericalError, UsageError


def test_p_values_are_uniform_where_the_fields_follow_the_density() -> None:
    """Of the energy test, of a mode and of the radius, over independent samples and draws."""
    from scipy.stats import kstest

    density = mixture([[1.0, 0.3], [0.3, 0.7]], 20.0)
    rows = []
    for seed in range(150):
        result = density.compare(density.resampled(60, SEED + seed), SEED + seed, permutations=99)
        rows.append([result.energy_p_value, *result.raw_p_values, result.p_value])
    found = np.array(rows)
    spread = np.random.default_rng(SEED).random(len(found)) / 100.0
    # p-values of permutations are multiples of 1/100: made continuous
    assert kstest(found[:, 0] - spread, "uniform").pvalue > SMALLEST_P
    for column in found.T[1:4]:
        # those of distances of small samples have steps of some percent
        assert kstest(column, "uniform").statistic < 0.3
        assert 0.35 < column.mean() < 0.7
    # together they err on the safe side
    assert np.mean(found[:, 4] < 0.1) < 0.1 + 5.85 * np.sqrt(0.09 / len(found))


def test_wrong_densities_are_rejected() -> None:
    """A covariance that is wrong in one direction, and a Gaussian in place of a mixture of scales."""
    density = mixture(THREE_POINTS, 16.0)
    fields = density.resampled(5_000, SEED)
    wrong = EdgeworthDensity(
        density.metric + 0.2 * np.outer([1, -1, 0], [1, -1, 0]), density.four, density.six
    )
    assert wrong.compare(fields, 1).p_value < 1e-6
    energy, p_value = energy_test(draws(np.eye(3), 2, 1_000, 1), draws(np.eye(3), 1_000, 1_000, 2), 1, 999)
    assert p_value == 0.001
    assert energy > 0.0


def test_a_gaussian_is_rejected_where_the_edgeworth_density_is_not() -> None:
    """Exact draws of a linear network of width 16: only its radius tells, and only in many fields."""
    density = mixture(THREE_POINTS, 16.0)
    fields = draws(THREE_POINTS, 16, 30_000, SEED)
    result = density.compare(fields, SEED, permutations=99)
    assert (result.fields, result.draws, result.energy_fields) == (20_000, 20_000, 2_000)
    assert result.p_value > SMALLEST_P
    gaussian = density.truncated(0).compare(fields, SEED, permutations=99)
    assert gaussian.p_value < SMALLEST_P
    assert gaussian.names[int(gaussian.raw_p_values.argmin())] == "radius"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run.h5"
    spec = nnft.RunSpec.from_dict(
        {
            "network": {"widths": [12], "activation": "tanh", "weight_variance": 2.0, "outputs": 2},
            "inputs": {"points": [[1.0, 0.0], [0.0, 1.5], [0.8, 0.8]]},
            "ensemble": {"networks": 40_000, "seed": SEED},
            "estimate": {"correlators": [2, 4, 6], "outputs": 1},
            "store": {"fields": "all"},
        }
    )
    nnft.sample(spec, path).close()
    return path


def test_a_stored_run(network: Path) -> None:
    """A network of width 12: not Gaussian, but well described by its first cumulants."""
    with nnft.open(network) as run:
        metric = run.connected(2).dense()
        density = EdgeworthDensity(metric, run.connected(4).value, run.connected(6).value)
        assert density.positivity().negative_mass < 1e-3
        for output in (0, 1):
            result = density.compare(run, 1, output=output, permutations=99)
            assert result.p_value > SMALLEST_P
            assert density.truncated(0).compare(run, 1, output=output, permutations=99).p_value < SMALLEST_P
        # the same numbers from an array
        again = density.compare(run.fields(0, 20_000)[:, 1], 1, permutations=99)
        assert again.text() == result.text()
        # points that are integrated out
        pair = EdgeworthDensity(metric[np.ix_([2, 0], [2, 0])])
        chosen = pair.compare(run, 1, points=[2, 0], permutations=99)
        assert chosen.names == ("mode 0", "mode 1", "radius")
        with pytest.raises(UsageError, match=r"shape \(20000, 3\); needed \(M, 2\)"):
            pair.compare(run, 1)
        with pytest.raises(UsageError, match="point out of range"):
            pair.compare(run, 1, points=[2, 3])
        with pytest.raises(UsageError, match="no such output: got 2"):
            density.compare(run, 1, output=2)


def test_a_run_without_outputs(tmp_path: Path) -> None:
    spec = nnft.RunSpec.from_dict(
        {
            "network": {"widths": [4], "activation": "tanh"},
            "inputs": {"points": [[1.0], [0.5]]},
            "ensemble": {"networks": 400, "seed": 1},
        }
    )
    with (
        nnft.sample(spec, tmp_path / "run.h5") as run,
        pytest.raises((UsageError, DataFileError), match="store"),
    ):
        EdgeworthDensity(np.eye(2)).compare(run, 1)


def test_energy_distance_by_hand() -> None:
    """2 E|x - y| - E|x - x'| - E|y - y'| over all pairs, and the permutation p-value of three points."""
    ours, theirs = np.array([[0.0], [1.0]]), np.array([[3.0]])
    # cross pairs 3 and 2, own pairs 0, 1, 1, 0 and 0
    energy, p_value = energy_test(ours, theirs, 1, 4_000)
    assert energy == pytest.approx(2 * 2.5 - 0.5)
    # of the three ways to single out a point, {3} alone gives 4.5, {0} gives 3 and {1} gives 3 - 1.5
    assert abs(p_value - 1 / 3) < 5.85 * np.sqrt(2 / 9 / 4_000)


def test_results_do_not_depend_on_units_or_order() -> None:
    density = mixture(THREE_POINTS, 16.0)
    fields = density.resampled(500, SEED)
    scaled = mixture(1e6 * THREE_POINTS, 16.0)
    first, second = density.compare(fields, 3), scaled.compare(1e3 * fields, 3)
    assert second.energy == pytest.approx(first.energy, rel=1e-9)
    np.testing.assert_allclose(second.distances, first.distances, atol=1e-12)
    other = density.compare(fields[::-1], 3)
    np.testing.assert_array_equal(other.distances, first.distances)
    assert density.compare(fields, 3).text() == first.text()
    assert density.compare(fields, 4).text() != first.text()


def test_draws_of_the_comparison_are_not_those_of_the_user() -> None:
    """The same seed for both: otherwise a field would be compared with itself."""
    density = mixture([[1.0]], 30.0)
    result = density.compare(density.resampled(500, 1), 1)
    assert result.energy > 0.0
    assert np.all(result.distances > 0.0)


def test_holm() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.5])), [0.09, 0.04, 0.09, 0.5])
    np.testing.assert_array_equal(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_text_names_everything() -> None:
    density = mixture([[1.0]], 30.0)
    text = density.compare(density.resampled(100, 1), 2).text()
    for words in (
        "energy distance",
        "100 fields, 999 permutations",
        "Kolmogorov-Smirnov",
        "mode 0",
        "radius",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("fields", "options", "error", "words"),
    [
        (np.zeros((50, 3)), {}, UsageError, r"shape \(50, 3\); needed \(M, 2\)"),
        (np.zeros(50), {}, UsageError, r"shape \(50,\)"),
        (np.zeros((5, 2)), {}, NumericalError, "too few fields.*got 5, needed 20"),
        (np.full((50, 2), np.nan), {}, NumericalError, "nan"),
        (np.zeros((50, 2)), {"permutations": 0}, UsageError, "permutations"),
        (np.zeros((50, 2)), {"seed": -1}, UsageError, "seed"),
    ],
)
def test_unusable_fields(fields: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    density = mixture([[1.0, 0.3], [0.3, 0.7]], 20.0)
    with pytest.raises(error, match=words):
        density.compare(fields, **({"seed": 1} | options))


def test_samples_of_different_size() -> None:
    generator = np.random.default_rng(SEED)
    result = compare_samples(generator.normal(size=(300, 2)), generator.normal(size=(200, 2)), 1, 99)
    assert (result.fields, result.draws, result.energy_fields, result.permutations) == (300, 200, 200, 99)
    assert result.p_value > 0.005
