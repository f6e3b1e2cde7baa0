"""Learning curves of kernels: curves, records and texts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis import ridge_curve as curves
from nnft.analysis.ridge_curve import LEADING, MOST_ROWS
from nnft.analysis.ridge_curve import ridge_curve as curve_of
from nnft.analysis.ridge_source import power_law_source, table_source
from nnft.analysis.ridge_text import ridge_text
from nnft.errors import UsageError
from nnft.theory.averaged_predictor import averaged_predictor

FILE = Path(__file__).resolve().parents[1] / "reference" / "ridge.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]
}
LEVELS = "learning-curve-levels-P300-k0.05-n0.0"


def entry_table(folder: Path) -> Path:
    inputs = ENTRIES[LEVELS]["inputs"]
    rows = zip(inputs["target_power"], inputs["multiplicities"], inputs["eigenvalues"], strict=True)
    text = "target_power, multiplicity, eigenvalue\n" + "".join(f"{a}, {b}, {c}\n" for a, b, c in rows)
    path = folder / "spectrum.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reference_values_from_a_table(tmp_path: Path) -> None:
    inputs, values = ENTRIES[LEVELS]["inputs"], ENTRIES[LEVELS]["values"]
    result = curve_of(table_source(entry_table(tmp_path)), [inputs["P"]], inputs["kappa"])
    point = result.curve[0]
    found = {
        "kappa_eff": point.effective_ridge,
        "gamma": point.gamma,
        "bias": point.bias,
        "m2": point.square_error,
        "test_mse_clean": point.clean_error,
        "post_var": point.posterior_variance,
        "var_dataset": point.data_variance,
    }
    for name, number in found.items():
        assert number == pytest.approx(values[name], rel=4e-9), name
    np.testing.assert_allclose(point.learnability, values["learnability"], rtol=4e-9)
    np.testing.assert_allclose(point.ek_learnability, values["ek"]["learnability"], rtol=4e-9)
    assert point.ek_error == pytest.approx(values["ek"]["bias"], rel=4e-9)
    assert point.ek_posterior_variance == pytest.approx(values["ek"]["post_var"], rel=4e-9)


def test_reference_flow_of_a_power_law() -> None:
    entry = ENTRIES["powerlaw-a2.0-M100000-P1000-k0.5"]
    result = curve_of(power_law_source(2.0, None, 100_000), [1000.0], 0.5)
    values, point = entry["values"], result.curve[0]
    assert point.effective_ridge == pytest.approx(values["kappa_eff"], rel=4e-9)
    assert point.clean_error == pytest.approx(values["test_mse"], rel=4e-9)
    assert (point.flow_ridge, point.kept_modes) == (pytest.approx(values["rg_kappa"], rel=4e-9), 43)


def test_curve_is_sorted_and_complete() -> None:
    source = power_law_source(2.0, 1.5, 2000)
    result = curve_of(source, [300.0, 10.0, 10.0, 50.0], 0.01, 0.2)
    assert [point.points for point in result.curve] == [10.0, 50.0, 300.0]
    for point in result.curve:
        full = averaged_predictor(source.law.spectrum(2000, 0.2), point.points, 0.01)  # type: ignore[union-attr]
        assert point.gibbs_error == full.gibbs_error
        assert point.total_variance == full.total_variance
        assert point.learned_modes == pytest.approx(full.learnability.sum())
        assert point.law is not None
        assert len(point.learnability) == LEADING
    assert result.flow.points == 300.0
    assert curve_of(source).ridge == 0.0
    assert [point.points for point in curve_of(source).curve] == list(source.points)


def test_correction_is_closer_where_the_ridge_is_large() -> None:
    source = power_law_source(2.0, 2.0, 2000)
    point = curve_of(source, [1e4], 10.0).curve[0]
    plain, corrected = (
        np.abs(a - point.learnability).max() for a in (point.ek_learnability, point.ek_corrected)
    )
    assert corrected < 0.05 * plain
    assert np.isnan(curve_of(source, [10.0], 0.0).curve[0].ek_corrected).all()


def test_exponents_without_a_law_say_so() -> None:
    result = curve_of(power_law_source(0.9, None, 500), [20.0])
    assert result.curve[0].law is None
    assert any("no scaling law" in note for note in result.notes)
    assert power_law_source(2.0, None, 5, {3: 1.0}).law is None


def test_flow_rows_of_many_levels_are_dense_around_the_stop() -> None:
    result = curve_of(power_law_source(2.0, 2.0, 50_000), [200.0])
    rows = result.flow_rows()
    assert 20 < len(rows) <= MOST_ROWS + 2
    levels = [row["level"] for row in rows]
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-1]) == (50_000, 1)
    stop = int(result.curve[0].kept_modes)
    assert {stop - 2, stop - 1, stop, stop + 1, stop + 2} <= set(levels)
    for row in rows:
        assert row["integrated_out"] == (row["level"] > stop)
        assert row["ridge_after"] == pytest.approx(row["ridge_before"] + row["eigenvalue"], rel=1e-12)
        assert row["resolved"] == pytest.approx(200.0 * row["eigenvalue"] / row["ridge_after"])
    short = curve_of(power_law_source(2.0, 2.0, 30), [5.0])
    assert [row["level"] for row in short.flow_rows()] == list(range(30, 0, -1))


@pytest.mark.parametrize(
    ("points", "ridge", "noise", "words"),
    [
        ([0.0], 0.1, 0.0, "numbers of points"),
        ([], 0.1, 0.0, "numbers of points"),
        ([math.nan], 0.1, 0.0, "numbers of points"),
        ([1e16], 0.1, 0.0, "numbers of points"),
        ([10.0], -0.1, 0.0, "ridge"),
        ([10.0], math.nan, 0.0, "ridge"),
        ([10.0], 0.1, -1.0, "noise"),
        ([10.0], 0.1, math.inf, "noise"),
        (list(range(1, 1002)), 0.1, 0.0, "too much work"),
    ],
)
def test_impossible_curves(points: list[float], ridge: float, noise: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        curve_of(power_law_source(2.0, 2.0, 10), points, ridge, noise)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_WORK", 99)
    with pytest.raises(UsageError, match="10 levels"):
        curve_of(power_law_source(2.0, 2.0, 10), range(1, 11))


def test_record_is_plain_json_and_text_says_the_same() -> None:
    result = curve_of(power_law_source(2.0, 1.5, 2000), [10.0, 100.0], 0.01, 0.2)
    record = json.loads(json.dumps(result.to_dict(flow=True), allow_nan=False))
    assert record["curve"][1]["effective_ridge"] == result.curve[1].effective_ridge
    assert record["curve"][1]["law"]["learned_modes"] == result.curve[1].law.learned_modes  # type: ignore[union-attr]
    assert len(record["flow"]) == len(result.flow_rows())
    assert "flow" not in result.to_dict()
    assert (record["levels"], record["modes"], record["ridge"], record["noise"]) == (2000, 2000.0, 0.01, 0.2)
    text = ridge_text(result, flow=True)
    assert max(map(len, text.splitlines())) < 170
    point = result.curve[1]
    for number in (point.effective_ridge, point.flow_ridge, point.clean_error, point.posterior_variance,
                   point.data_variance, point.gibbs_error, point.flow_full_error):  # fmt: skip
        assert f"{number:.5g}" in text
    assert f"{point.learnability[3]:.6f}" in text
    for word in ("P = 100", "learning curve", "integrated out", "kept", "power law", "gamma"):
        assert word in text
    assert "integrated out" not in ridge_text(curve_of(power_law_source(2.0, 1.5, 2000), [10.0]))


def test_infinite_errors_are_null_and_said() -> None:
    peak = curve_of(power_law_source(2.0, 2.0, 20), [20.0], 0.0, 0.1)
    record = json.loads(json.dumps(peak.to_dict(), allow_nan=False))
    assert record["curve"][0]["clean_error"] is None
    assert record["curve"][0]["ek_corrected"] == [None] * LEADING
    assert "infinite" in ridge_text(peak)


def test_text_of_nothing_kept_and_of_everything_kept() -> None:
    source = power_law_source(2.0, 2.0, 20)
    nothing, everything = (ridge_text(curve_of(source, [p], 1.0), flow=True) for p in (0.01, 1e9))
    assert "stops at mode 1, 0 modes kept" in nothing
    assert "all 20 modes kept" in everything
