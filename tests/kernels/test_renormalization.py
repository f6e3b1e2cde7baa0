"""Flows of trained networks below cutoffs, against their NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from training_twins import Case, data, training

from nnft._kernels.reference_renormalization import (
    renormalized_reference,
    replacement_reference,
    spectrum_reference,
    squared_slopes_reference,
)
from nnft._kernels.renormalization import EDGES, SPECTRUM
from nnft.errors import UsageError
from nnft.samplers.renormalized import FlowSchedule, Renormalization
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave
from nnft.spec.flow_resolution import SPECTRUM_NUMBERS

Array = npt.NDArray[Any]

CUTOFFS = (0.0, 3e-3, 0.02, 0.1, 0.5, 2.0, np.inf)
NOISE = 0.3
FIRST, MEMBERS = 2, 3


def case_of(widths: tuple[int, ...] = (6, 9), outputs: int = 2, points: int = 11, **options: Any) -> Case:
    return training(*data(points, 3, outputs), widths=widths, **options)


def trained(case: Case, mesh: Array, test: Any = None, threads: int = 1) -> tuple[TrainedEnsemble, Wave]:
    ensemble = case.ensemble(Schedule("gd", 0.02, 1.0), mesh, test=test, threads=threads)
    wave = ensemble.start(FIRST, MEMBERS)
    ensemble.advance(wave, 10)
    return ensemble, wave


def schedule_of(case: Case, layers: tuple[int, ...], **options: Any) -> FlowSchedule:
    """Coordinates of unit scale: weight = coordinate / sqrt(fan-in)."""
    rates = [1.0 / fan_in for _, fan_in, _ in case.law.shapes]
    return FlowSchedule(CUTOFFS, layers, NOISE, rates, [1.0] * len(rates), **options)


def rates_of(case: Case) -> Array:
    parts = [
        np.tile([1.0 / fan_in] * fan_in + [1.0] * biased, rows) for rows, fan_in, biased in case.law.shapes
    ]
    return np.concatenate(parts)


def chosen_of(case: Case, layers: tuple[int, ...]) -> Array:
    parts = [
        np.full(rows * (fan_in + biased), layer in layers)
        for layer, (rows, fan_in, biased) in enumerate(case.law.shapes, start=1)
    ]
    return np.concatenate(parts)


def information_of(case: Case, theta: Array, layers: tuple[int, ...], points: Array) -> Array:
    found = rates_of(case) * squared_slopes_reference(case.law, theta, points) / (NOISE * len(points))
    return np.where(chosen_of(case, layers), found, np.inf)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "linear"])
@pytest.mark.parametrize("widths", [(), (5,), (6, 9)])
def test_information_of_every_parameter(widths: tuple[int, ...], activation: str) -> None:
    """Also on many points, which the kernel takes in blocks, and for a wide readout."""
    layers = tuple(range(1, len(widths) + 2))
    for points, wider in ((1, widths), (70, (*widths, 130)), (9, widths)):
        case = case_of(wider, activation=activation, points=5)
        layers = tuple(range(1, len(wider) + 2))
        inputs = data(points, 3, seed=4)[0]
        ensemble, wave = trained(case, inputs[:1])
        flow = Renormalization(ensemble, schedule_of(case, layers), inputs, inputs[:1])
        expected = information_of(case, case.flat(wave.theta[1]), layers, inputs)
        found = np.concatenate(
            [
                np.hstack([weights, biases[:, None]] if len(biases) else [weights]).ravel()
                for weights, biases in flow.information(wave.theta[1])
            ]
        )
        assert abs(found - expected).max() < 1e-12 * expected.max()
        assert (found[expected == 0.0] == 0.0).all()


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("fill", ["prior", "zero", "gaussian"])
@pytest.mark.parametrize("layers", [(3,), (1, 2, 3), (1,), (2, 3)])
def test_flow_is_that_of_the_twin(layers: tuple[int, ...], fill: str, anew: bool) -> None:
    case = case_of()
    mesh, test = data(4, 3, seed=1)[0], data(7, 3, 2, seed=2)
    ensemble, wave = trained(case, mesh, test)
    schedule = schedule_of(case, layers, fill=fill, width=0.7, refills=2, anew=anew)
    inputs = data(6, 3, seed=3)[0]
    found = Renormalization(ensemble, schedule, inputs, mesh, test).run(wave.theta, FIRST)
    deviations = {
        "prior": np.sqrt(case.law.variances),
        "zero": np.zeros(len(case.law.variances)),
        "gaussian": 0.7 * np.sqrt(rates_of(case)),
    }[fill]
    assert found.spectra.shape == (MEMBERS, SPECTRUM)
    for m in range(MEMBERS):
        theta = case.flat(wave.theta[m])
        information = information_of(case, theta, layers, inputs)
        chosen = information[chosen_of(case, layers)]
        assert found.spectra[m].tolist() == spectrum_reference(chosen, EDGES).tolist()
        assert found.shares[m] == pytest.approx([(chosen < cutoff).mean() for cutoff in CUTOFFS], abs=1e-15)
        for r in range(2):
            sets = range(r * len(CUTOFFS), (r + 1) * len(CUTOFFS)) if anew else [r]
            others = [replacement_reference(case.law, layers, deviations, FIRST + m, k) for k in sets]
            flow = renormalized_reference(information, theta, others, np.array(CUTOFFS))
            for c, numbers in enumerate(flow):
                _agrees(case, numbers, found.outputs[m, r, c], found.errors[m, r, c], mesh, test)


def _agrees(case: Case, numbers: Array, outputs: Array, errors: Array, mesh: Array, test: Any) -> None:
    wanted = case.law.outputs(numbers, mesh)[0]
    assert abs(outputs - wanted).max() < 1e-12 * max(1.0, abs(wanted).max())
    assert errors[0] == pytest.approx(case.law.squares(numbers) / case.law.targets.size, rel=1e-11)
    missed = case.law.outputs(numbers, test[0]) - test[1].T
    assert errors[1] == pytest.approx(np.mean(missed**2), rel=1e-11)


@pytest.mark.parametrize("layers", [(3,), (1, 2, 3)])
def test_no_cutoff_is_the_trained_network_bit_for_bit(layers: tuple[int, ...]) -> None:
    case = case_of(outputs=1)
    mesh = data(4, 3, seed=1)[0]
    ensemble, wave = trained(case, mesh)
    outputs, _ = ensemble.observe(wave)
    kernels, _ = ensemble.kernels(wave)
    found = Renormalization(ensemble, schedule_of(case, layers), mesh, mesh).run(wave.theta, FIRST)
    assert np.array_equal(found.outputs[:, 0, 0], outputs)
    assert np.array_equal(found.tangents[:, 0], kernels[:, kernels.shape[1] // 2 :])
    assert np.isnan(found.errors[..., 1]).all()


def test_bits_do_not_depend_on_threads_or_neighbours() -> None:
    case = case_of((6, 40), points=70)
    mesh = data(4, 3, seed=1)[0]
    for layers in ((3,), (1, 2)):
        one, wave = trained(case, mesh)
        two, _ = trained(case, mesh, threads=2)
        runs = [Renormalization(e, schedule_of(case, layers), mesh, mesh) for e in (one, two)]
        whole, shared = (run.run(wave.theta, FIRST) for run in runs)
        alone = runs[0].run(wave.theta[1:2].copy(), FIRST + 1)
        for name in ("outputs", "errors", "shares", "zeros", "tangents", "spectra"):
            a, b, c = (getattr(flow, name) for flow in (whole, shared, alone))
            assert a.tobytes() == b.tobytes()
            assert a[1:2].tobytes() == c.tobytes()


def test_silent_features_have_exactly_no_information() -> None:
    """A relu feature that vanishes on all Fisher inputs is replaced at the smallest positive cutoff."""
    case = case_of((40,), activation="relu", outputs=1, bias=0.0)
    inputs = data(1, 3, seed=5)[0]
    ensemble, wave = trained(case, inputs)
    flow = Renormalization(ensemble, schedule_of(case, (2,)), inputs, inputs)
    found = flow.run(wave.theta, FIRST)
    silent = [(case.law.inputs_and_slopes(case.flat(t), inputs)[0][1] == 0.0).mean() for t in wave.theta]
    assert found.zeros.tolist() == silent
    assert min(silent) > 0.2
    assert (found.shares[:, 1] >= found.zeros).all()
    assert (found.shares[:, 0] == 0.0).all()


def test_edges_of_a_spectrum_are_those_of_cutoffs() -> None:
    """Ten for a decade; every decade has an edge, to the bit what is written as a cutoff."""
    assert EDGES[::10].tolist() == [float(f"1e{k}") for k in range(-16, 17)]
    assert np.diff(np.log10(EDGES)) == pytest.approx(0.1, abs=1e-5)
    assert len(EDGES) + 2 == SPECTRUM == SPECTRUM_NUMBERS
    found = spectrum_reference(np.array([0.0, 1e-17, 0.001, 0.00125, 1.0, 1e16, 1e20]), EDGES)
    assert found[[0, 1, -1]].tolist() == [1.0, 1.0, 2.0]
    places = np.flatnonzero(found[2:-1])
    assert EDGES[places].tolist() == [0.001, 1.0]
    assert found[2:-1][places].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"cutoffs": ()},
        {"cutoffs": (1.0, 1.0)},
        {"cutoffs": (-1.0, 1.0)},
        {"cutoffs": (float("nan"),)},
        {"layers": (4,)},
        {"layers": ()},
        {"fill": "ones"},
        {"noise_variance": 0.0},
        {"refills": 0},
    ],
)
def test_schedules_that_make_no_sense(changes: dict[str, Any]) -> None:
    case = case_of()
    mesh = data(2, 3)[0]
    ensemble, _ = trained(case, mesh)
    given = {
        "cutoffs": (1.0,), "layers": (3,), "noise_variance": 1.0,
        "weight_rates": [1.0] * 3, "bias_rates": [1.0] * 3,
    }  # fmt: skip
    with pytest.raises(UsageError):
        Renormalization(ensemble, FlowSchedule(**(given | changes)), mesh, mesh)
