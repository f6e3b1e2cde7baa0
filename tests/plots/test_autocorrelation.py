"""Autocorrelation functions of chains: first-order autoregression has rho(t) = a^t and known times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2

from nnft.analysis.chain_statistics import autocorrelation_time
from nnft.plots.autocorrelation import Autocorrelation, autocorrelation

Array = npt.NDArray[np.float64]
SEED = 20240601


def autoregression(coefficient: float, shape: tuple[int, int, int], seed: int) -> Array:
    """Stationary chains x' = a x + sqrt(1 - a^2) xi, shape (networks, chains, draws)."""
    noise = np.random.default_rng(seed).normal(size=shape)
    values = np.empty(shape)
    values[..., 0] = noise[..., 0]
    for draw in range(1, shape[2]):
        values[..., draw] = (
            coefficient * values[..., draw - 1] + np.sqrt(1.0 - coefficient**2) * noise[..., draw]
        )
    return values


def found_in(values: Array, shared_target: bool = True) -> Autocorrelation:
    found = autocorrelation(values, shared_target)
    assert found is not None
    return found


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.8, -0.4])
@pytest.mark.parametrize("shared_target", [True, False])
def test_autoregression_has_its_function_and_time(coefficient: float, shared_target: bool) -> None:
    """Sees a shift by one lag, a factor (n - t)/n, and the bias -2 tau/n of means that are not known."""
    found = found_in(autoregression(coefficient, (400, 2, 250), SEED + 2), shared_target)
    lags = np.arange(1, 10)
    pulls = (found.function[lags] - coefficient**lags) / found.error[lags]
    assert np.abs(pulls).max() < 5.85
    assert found.function[0] == 1.0
    assert found.error[0] < 1e-12
    tau = 0.5 * (1.0 + coefficient) / (1.0 - coefficient)
    assert abs(found.tau - tau) < 5.85 * found.tau_error + 0.5 * tau * abs(coefficient) ** found.window
    if coefficient > 0.0:
        assert np.exp(-1.0 / found.decay_time) == pytest.approx(coefficient, abs=0.03)


def test_errors_of_the_function_are_standard_errors() -> None:
    """Over 60 ensembles: sees errors that are wrong by a factor 1.7 either way."""
    pulls = []
    for place in range(60):
        found = found_in(autoregression(0.6, (32, 1, 200), SEED + 100 + place))
        pulls.append((found.function[3] - 0.6**3) / found.error[3])
    sum_of_squares = float(np.square(pulls).sum())
    assert 5e-9 < chi2.sf(sum_of_squares, 60) < 1.0 - 5e-9


def test_time_is_that_of_the_diagnosis_where_networks_share_a_law() -> None:
    values = autoregression(0.7, (6, 3, 80), SEED + 3)
    time, found = autocorrelation_time(values.reshape(-1, 80)), found_in(values)
    assert (found.window, found.reliable) == (time.window, time.reliable)
    assert found.tau == pytest.approx(time.tau, rel=1e-12)
    assert found.tau_error == pytest.approx(time.tau_error, rel=1e-12)


def test_networks_with_laws_of_their_own_keep_their_means() -> None:
    """Means that differ are no autocorrelation, unless all networks should sample one law."""
    values = autoregression(0.3, (10, 2, 120), SEED + 4)
    shifted = values + np.linspace(-50.0, 50.0, 10)[:, None, None]
    own, plain = found_in(shifted, False), found_in(values, False)
    np.testing.assert_allclose(own.function, plain.function, atol=1e-10)
    assert own.tau == pytest.approx(plain.tau)
    assert found_in(shifted, True).function[9] > 0.99


def test_what_does_not_move_has_no_function() -> None:
    levels = np.linspace(1.0, 2.0, 5)[:, None, None] + np.zeros((5, 2, 30))
    assert autocorrelation(levels, False) is None
    assert autocorrelation(np.full((1, 1, 8), 0.1), True) is None


def test_short_chains_of_few_networks_have_no_errors_but_a_function() -> None:
    found = found_in(autoregression(0.5, (2, 1, 5), SEED + 5))
    assert len(found.function) == 5
    assert np.isnan(found.error).all()
    assert not found.reliable
