"""Flows along directions of the information, against dense eigenvectors and numbers worked out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits
from training_twins import Case, data, training

from nnft._kernels.reference_renormalization import (
    factors_reference,
    projected_reference,
    replacement_reference,
)
from nnft._kernels.renormalization import EDGES
from nnft.errors import UsageError
from nnft.samplers.direction_flow import DirectionFlow
from nnft.samplers.renormalized import FlowSchedule, Renormalization
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave
from nnft.samplers.training_problem import on_cache_lines

Array = npt.NDArray[Any]

CUTOFFS = (0.0, 1e-7, 3e-3, 0.02, 0.1, 0.5, 2.0, np.inf)
NOISE, FIRST, MEMBERS = 0.3, 2, 3
BASES = ("eigenbasis", "layer-eigenbasis", "kronecker")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices in one thread of BLAS, as runs do it."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def case_of(widths: tuple[int, ...] = (6, 9), outputs: int = 2, **options: Any) -> Case:
    return training(*data(11, 3, outputs), widths=widths, **options)


def trained(case: Case, mesh: Array, test: Any = None, threads: int = 1) -> tuple[TrainedEnsemble, Wave]:
    ensemble = case.ensemble(Schedule("gd", 0.02, 1.0), mesh, test=test, threads=threads)
    wave = ensemble.start(FIRST, MEMBERS)
    ensemble.advance(wave, 10)
    return ensemble, wave


def schedule_of(case: Case, layers: tuple[int, ...], **options: Any) -> FlowSchedule:
    rates = [1.0 / fan_in for _, fan_in, _ in case.law.shapes]
    return FlowSchedule(CUTOFFS, layers, NOISE, rates, [1.0] * len(rates), **options)


def roots_of(case: Case) -> list[Array]:
    """Number over coordinate of every layer, flat."""
    return [
        np.tile(np.sqrt([1.0 / fan_in] * fan_in + [1.0] * biased), rows)
        for rows, fan_in, biased in case.law.shapes
    ]


def jacobian_of(case: Case, theta: Array, points: Array, layer: int) -> Array:
    """Derivatives (X D, numbers) by the coordinates of one layer, over sqrt(kappa X)."""
    values, deltas = factors_reference(case.law, theta, points)[layer - 1]
    rows = np.einsum("oix,jx->xoij", deltas, values).reshape(len(points) * len(deltas), -1)
    return rows * roots_of(case)[layer - 1] / np.sqrt(NOISE * len(points))


def kronecker_root(case: Case, theta: Array, points: Array, layer: int) -> Array:
    """A matrix whose square is the Kronecker product of the two factors, dense."""
    _, fan_in, biased = case.law.shapes[layer - 1]
    values, deltas = factors_reference(case.law, theta, points)[layer - 1]
    scaled = values * np.sqrt([1.0 / fan_in] * fan_in + [1.0] * biased)[:, None]
    inner = scaled @ scaled.T / len(points)
    outer = np.einsum("oix,okx->ik", deltas, deltas) / (NOISE * len(points))
    strengths, vectors = np.linalg.eigh(np.kron(outer, inner))
    root: Array = np.sqrt(np.maximum(strengths, 0.0))[:, None] * vectors.T
    return root


def numbers_by_hand(
    case: Case, basis: str, layers: tuple[int, ...], theta: Array, other: Array, points: Array, cutoff: float
) -> Array:
    """Numbers at one cutoff by dense eigenvectors."""
    ends = np.cumsum([0, *(rows * (fan_in + biased) for rows, fan_in, biased in case.law.shapes)])
    places = {layer: np.arange(ends[layer - 1], ends[layer]) for layer in layers}
    roots = np.concatenate(roots_of(case))
    out = theta.copy()
    if basis == "eigenbasis":
        blocks = [np.concatenate(list(places.values()))]
        matrices = [np.concatenate([jacobian_of(case, theta, points, k) for k in layers], axis=1)]
    else:
        blocks = list(places.values())
        make = kronecker_root if basis == "kronecker" else jacobian_of
        matrices = [make(case, theta, points, layer) for layer in layers]
    for block, matrix in zip(blocks, matrices, strict=True):
        out[block] = projected_reference(matrix, theta[block], other[block], roots[block], cutoff)
    return out


@pytest.mark.parametrize("layers", [(3,), (1, 2, 3), (1,), (2, 3)])
@pytest.mark.parametrize("basis", BASES)
def test_flow_is_that_of_dense_eigenvectors(basis: str, layers: tuple[int, ...]) -> None:
    case = case_of()
    mesh, test = data(4, 3, seed=1)[0], data(7, 3, 2, seed=2)
    ensemble, wave = trained(case, mesh, test)
    inputs = data(6, 3, seed=3)[0]
    for fill, anew in (("prior", False), ("gaussian", True), ("zero", False)):
        schedule = schedule_of(case, layers, fill=fill, width=0.7, refills=2, anew=anew, basis=basis)
        found = DirectionFlow(ensemble, schedule, inputs, mesh, test).run(wave.theta, FIRST)
        deviations = {
            "prior": np.sqrt(case.law.variances),
            "zero": np.zeros(len(case.law.variances)),
            "gaussian": 0.7 * np.concatenate(roots_of(case)),
        }[fill]
        for m, r, c in itertools.product((0, 2), range(2), range(len(CUTOFFS))):
            theta = case.flat(wave.theta[m])
            group = r * len(CUTOFFS) + c if anew else r
            other = replacement_reference(case.law, layers, deviations, FIRST + m, group)
            numbers = numbers_by_hand(case, basis, layers, theta, other, inputs, CUTOFFS[c])
            outputs = case.law.outputs(numbers, mesh)[0]
            scale = max(1.0, abs(outputs).max())
            assert abs(found.outputs[m, r, c] - outputs).max() < 1e-8 * scale, (fill, c)
            missed = case.law.outputs(numbers, test[0]) - test[1].T
            assert found.errors[m, r, c, 1] == pytest.approx(np.mean(missed**2), rel=1e-8)


@pytest.mark.parametrize("layers", [(3,), (1, 2, 3)])
@pytest.mark.parametrize("basis", BASES)
def test_ends_are_the_trained_and_the_replaced_network(basis: str, layers: tuple[int, ...]) -> None:
    """Bit for bit, and the second one that of the flow of parameters where all layers are replaced."""
    case = case_of(outputs=1)
    mesh = data(4, 3, seed=1)[0]
    ensemble, wave = trained(case, mesh)
    found = DirectionFlow(ensemble, schedule_of(case, layers, basis=basis), mesh, mesh).run(wave.theta, FIRST)
    assert np.array_equal(found.outputs[:, 0, 0], ensemble.observe(wave)[0])
    kernels = ensemble.kernels(wave)[0]
    assert np.array_equal(found.tangents[:, 0], kernels[:, kernels.shape[1] // 2 :])
    plain = Renormalization(ensemble, schedule_of(case, layers), mesh, mesh).run(wave.theta, FIRST)
    if layers == (1, 2, 3):
        assert np.array_equal(found.outputs[:, :, -1], plain.outputs[:, :, -1])
    assert found.outputs[:, :, -1] == pytest.approx(plain.outputs[:, :, -1], rel=1e-12, abs=1e-13)
    assert found.shares[:, 0].tolist() == [0.0] * MEMBERS
    assert found.shares[:, -1].tolist() == [1.0] * MEMBERS


def test_shares_and_zeros_of_directions() -> None:
    """Four inputs and two outputs: a readout has four directions for each, the layer below eight."""
    case, inputs = case_of(), data(4, 3, seed=3)[0]
    ensemble, wave = trained(case, inputs)
    for basis, layers, seen, whole in (
        ("eigenbasis", (3,), 8, 20), ("eigenbasis", (1, 2, 3), 8, 107), ("layer-eigenbasis", (2, 3), 16, 83),
        ("kronecker", (2,), 8 * 4, 63),
    ):  # fmt: skip
        flow = DirectionFlow(ensemble, schedule_of(case, layers, basis=basis), inputs, inputs)
        found = flow.run(wave.theta, FIRST)
        assert found.zeros == pytest.approx(1.0 - seen / whole, rel=1e-12)
        values = flow.spectrum(wave.theta[0])
        assert len(values) == seen
        assert found.spectra[0].sum() == whole
        assert found.spectra[0, 0] == whole - seen
        below = np.searchsorted(EDGES, 1e-3, side="left")
        assert found.spectra[0, : below + 2].sum() == whole - seen + np.sum(values < 1e-3)
        readout = case.law.matrices(case.flat(wave.theta[1]))[-1][:, :9]
        assert found.squares is not None
        assert found.squares[1, 0, 0] == pytest.approx(np.sum(readout**2), rel=1e-13)
        wanted = [(whole - seen + np.sum(values < cutoff)) / whole for cutoff in CUTOFFS[1:]]
        assert found.shares[0, 1:] == pytest.approx(wanted, rel=1e-12)
        total = sum(np.sum(jacobian_of(case, case.flat(wave.theta[0]), inputs, k) ** 2) for k in layers)
        if basis != "kronecker":
            assert values.sum() == pytest.approx(total, rel=1e-11)


def test_errors_of_the_information_of_directions() -> None:
    """Spread over the inputs along each direction, over sqrt(X) and its mean; none with factors."""
    case, inputs = case_of(outputs=1), data(5, 3, seed=3)[0]
    ensemble, wave = trained(case, inputs)
    theta = case.flat(wave.theta[1])
    found = DirectionFlow(ensemble, schedule_of(case, (2,), basis="eigenbasis"), inputs, inputs)
    rows = jacobian_of(case, theta, inputs, 2)
    vectors = np.linalg.eigh(rows.T @ rows)[1][:, -5:]
    each = len(inputs) * (rows @ vectors) ** 2
    wanted = each.std(axis=0, ddof=1) / np.sqrt(len(inputs)) / each.mean(axis=0)
    pair = found.run(wave.theta, FIRST).uncertainty[1]
    assert pair == pytest.approx([np.median(wanted), np.mean(wanted)], rel=1e-8)
    for basis, points in (("kronecker", inputs), ("eigenbasis", inputs[:1])):
        flow = DirectionFlow(ensemble, schedule_of(case, (1,), basis=basis), points, inputs)
        assert np.isnan(flow.run(wave.theta, FIRST).uncertainty).all()


def test_bits_do_not_depend_on_threads_or_neighbours() -> None:
    case = case_of((6, 40))
    mesh = data(4, 3, seed=1)[0]
    for basis, layers in itertools.product(BASES, ((3,), (1, 2))):
        one, wave = trained(case, mesh)
        two, _ = trained(case, mesh, threads=2)
        schedule = schedule_of(case, layers, basis=basis)
        runs = [DirectionFlow(e, schedule, case.problem.inputs, mesh) for e in (one, two)]
        whole, shared = (run.run(wave.theta, FIRST) for run in runs)
        alone = runs[0].run(wave.theta[1:2].copy(), FIRST + 1)
        for name in vars(whole):
            a, b, c = (getattr(flow, name) for flow in (whole, shared, alone))
            assert a.tobytes() == b.tobytes(), name
            assert a[1:2].tobytes() == c.tobytes(), name


def test_networks_that_diverged_are_nan() -> None:
    case, mesh = case_of(), data(4, 3, seed=1)[0]
    ensemble, wave = trained(case, mesh)
    wave.theta[1] = np.inf
    found = DirectionFlow(ensemble, schedule_of(case, (1, 2), basis="eigenbasis"), mesh, mesh)
    flow = found.run(wave.theta, FIRST)
    assert np.isnan(flow.outputs[1]).all()
    assert np.isfinite(flow.outputs[[0, 2]]).all()


# ---- two features by hand: f = a . x, kappa = 1/2, two Fisher inputs

CORRELATED = np.array([[1.0, 1.0], [0.0, 1.0]])
ORTHOGONAL = np.array([[1.0, 1.0], [1.0, -1.0]]) * np.array([1.0, np.sqrt(2.0)])
GOLDEN = (1.0 + np.sqrt(5.0)) / 2.0


def linear(design: Array, targets: Array, readouts: Array) -> tuple[TrainedEnsemble, Array]:
    """Networks whose hidden layer is the identity, so that inputs are features; readouts (M, n)."""
    count = design.shape[1]
    case = training(
        design, targets, widths=(count,), activation="linear", weight=[1.0, float(count)], bias=0.0
    )
    ensemble = case.ensemble(Schedule("gd", 0.1, 1.0), np.eye(count))
    theta = np.stack([case.padded(np.concatenate([np.eye(count).ravel(), row])) for row in readouts])
    return ensemble, on_cache_lines(theta)


def hand_flow(design: Array, readouts: Array, fill: str) -> dict[str, Any]:
    """Flows by weights and by directions over cutoffs 0, 3/2 and infinity, in the weights themselves."""
    ensemble, theta = linear(design, np.array([[1.0], [0.0]]), readouts)
    flows = {}
    for kind, basis in ((Renormalization, "diagonal"), (DirectionFlow, "eigenbasis")):
        schedule = FlowSchedule((0.0, 1.5, np.inf), (2,), 0.5, [1.0, 1.0], [1.0, 1.0], fill, basis=basis)
        test = np.array([[1.0, 1.0]]), np.array([[1.0]])
        flows[basis] = kind(ensemble, schedule, design, np.eye(2), test).run(theta, 0)
    return flows


def test_correlated_design_by_hand() -> None:
    """Information ((1, 1), (1, 2)): weights 1 and 2; directions g^2 along (1, g) and g^-2 along (-g, 1)."""
    found = hand_flow(CORRELATED, np.array([[3.0, -1.0]]), "zero")
    assert found["diagonal"].outputs[0, 0, 1] == pytest.approx([0.0, -1.0], abs=1e-14)
    along = (3.0 - GOLDEN) / (1.0 + GOLDEN**2)
    assert found["eigenbasis"].outputs[0, 0, 1] == pytest.approx([along, along * GOLDEN], rel=1e-13)
    assert found["diagonal"].shares[0].tolist() == found["eigenbasis"].shares[0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("fill", ["prior", "zero"])
def test_orthogonal_design_has_the_same_flow_in_both_bases(fill: str) -> None:
    found = hand_flow(ORTHOGONAL, np.array([[3.0, -1.0], [0.2, 0.7]]), fill)
    for name in ("outputs", "errors", "shares", "zeros"):
        a, b = (getattr(found[basis], name) for basis in ("diagonal", "eigenbasis"))
        assert a == pytest.approx(b, rel=1e-12, abs=1e-13), name
    wrong = hand_flow(CORRELATED, np.array([[3.0, -1.0], [0.2, 0.7]]), fill)
    assert abs(wrong["diagonal"].outputs - wrong["eigenbasis"].outputs).max() > 0.1


def test_losses_of_posterior_readouts_by_hand() -> None:
    """Posterior readouts, targets 1 and 0: expected losses 235/121 by weights, 0.563 by directions.

    At cutoff 3/2, at the input (1, 1) against 1; 1500 draws see, at |z| = 4.5, deviations of 17 %.
    """
    precision = CORRELATED.T @ CORRELATED / 0.5 + np.eye(2)
    covariance = np.linalg.inv(precision)
    mean = covariance @ CORRELATED.T @ np.array([1.0, 0.0]) / 0.5
    draws = np.random.default_rng(20240601).multivariate_normal(mean, covariance, 1500)
    o = GOLDEN**4 / (1.0 + GOLDEN**2)
    stiff = 2.0 * GOLDEN**2 + 1.0
    wanted = {
        "diagonal": 235.0 / 121.0, "eigenbasis": (1.0 - 2.0 * o / stiff) ** 2 + o / stiff + 2.0 - o,
    }  # fmt: skip
    for basis, flow in hand_flow(CORRELATED, draws, "prior").items():
        losses = flow.errors[:, 0, 1, 1]
        error = losses.std() / np.sqrt(len(losses))
        assert abs(losses.mean() - wanted[basis]) < 4.5 * error
        assert 4.5 * error < 0.17 * wanted[basis]


def test_scale_below_which_a_posterior_does_not_flow() -> None:
    """Directions of information iota have posterior variance 1 / (1 + P iota): at the prior if P iota << 1.

    So the loss of networks without targets rises by less than the fraction cutoff / Lambda_c of it, Lambda_c
    = 1 / (P sigma_a^2), which is here 1/12. At Lambda_c / 30 four directions of ten are sloppy and the
    expected loss is 0.5 % larger, at 30 Lambda_c 42 %; |z| < 4.5 sees 14 % in 1000 posterior draws.
    """
    rng = np.random.default_rng(20240601)
    points, count = 12, 10
    design = rng.standard_normal((points, count)) * np.geomspace(1.0, 0.02, count)
    information, vectors = np.linalg.eigh(design.T @ design / points)
    variances = 1.0 / (1.0 + points * information)
    readouts = (rng.standard_normal((1000, count)) * np.sqrt(variances)) @ vectors.T
    scale = 1.0 / points
    cutoffs = (0.0, scale / 30.0, scale, 30.0 * scale, np.inf)
    ensemble, theta = linear(design, np.zeros((points, 1)), readouts)
    test = rng.standard_normal((40, count)), np.zeros((40, 1))
    schedule = FlowSchedule(cutoffs, (2,), 1.0, [1.0] * 2, [1.0] * 2, basis="eigenbasis")
    found = DirectionFlow(ensemble, schedule, design, np.eye(count), test).run(theta, 0)
    losses, each = found.errors[:, 0, :, 1], np.mean((test[0] @ vectors) ** 2, axis=0)
    wanted = np.array([np.sum(each * np.where(information < c, 1.0, variances)) for c in cutoffs])
    for c, share in ((1, 1.0 / 30.0), (2, 1.0)):
        assert 0.0 <= wanted[c] / wanted[0] - 1.0 < share
    assert wanted[3] > 1.3 * wanted[0]
    assert 0.3 < found.shares[0, 1] < 0.7
    for c in range(1, len(cutoffs)):
        rise = losses[:, c] - losses[:, 0]
        error = rise.std() / np.sqrt(len(rise))
        assert abs(rise.mean() - (wanted[c] - wanted[0])) < 4.5 * error
        assert 4.5 * error < 0.14 * wanted[0]
    assert losses[:, 3].mean() > 1.2 * losses[:, 1].mean()


@pytest.mark.parametrize("changes", [{"basis": "diagonal"}, {"basis": "other"}, {"fill": "conditional"}])
def test_other_bases_and_fills_are_refused(changes: dict[str, Any]) -> None:
    case, mesh = case_of(), data(2, 3)[0]
    ensemble, _ = trained(case, mesh)
    given = {"basis": "eigenbasis", "fill": "prior"} | changes
    with pytest.raises(UsageError, match="unknown fill or basis"):
        DirectionFlow(ensemble, schedule_of(case, (3,), **given), mesh, mesh)
