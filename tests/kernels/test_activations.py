"""The C activations against mpmath, against each other and against their NumPy twins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from nnft._kernels import _core
from nnft._kernels.reference import activation_derivative_reference, activation_reference
from nnft.errors import UsageError

SEED = 20240601
KINDS = ["linear", "relu", "leaky_relu", "tanh", "erf", "sin", "cos", "gelu", "silu", "softplus", "sigmoid"]
KINDS += ["quadratic", "exp"]
PARAMETERS = {"leaky_relu": (0.75, -0.25, 0.0, 0.0), "quadratic": (0.5, -1.5, 0.25, 0.0)}
INSTRUCTION_SETS = _core.isa_names()
FUSED = [name for name in INSTRUCTION_SETS if name != "portable"] or ["portable"]

Array = npt.NDArray[Any]


def gauss_tail(z: mp.mpf) -> mp.mpf:
    """Phi(z)."""
    return mp.erfc(-z / mp.sqrt(2)) / 2


def logistic(z: mp.mpf) -> mp.mpf:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + mp.exp(-z))


def soft_plus(z: mp.mpf) -> mp.mpf:
    """log(1 + exp(z)), by its series where exp(z) is below the working precision."""
    u = mp.exp(z)
    return u - u * u / 2 if z < -60 else mp.log1p(u)


def bell(z: mp.mpf) -> mp.mpf:
    """Derivative of the logistic function."""
    u = mp.exp(-abs(z))
    return u / (1 + u) ** 2


EXACT: dict[tuple[str, bool], Callable[[mp.mpf], mp.mpf]] = {
    ("tanh", False): lambda z: z - z**3 / 3 if abs(z) < mp.mpf("1e-12") else mp.tanh(z),
    ("tanh", True): lambda z: mp.sech(z) ** 2,
    ("erf", False): mp.erf,
    ("erf", True): lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-z * z),
    ("sin", False): mp.sin,
    ("sin", True): mp.cos,
    ("cos", False): mp.cos,
    ("cos", True): lambda z: -mp.sin(z),
    ("gelu", False): lambda z: z * gauss_tail(z),
    ("gelu", True): lambda z: gauss_tail(z) + z * mp.npdf(z),
    ("silu", False): lambda z: z * logistic(z),
    ("silu", True): lambda z: logistic(z) + z * bell(z),
    ("softplus", False): soft_plus,
    ("softplus", True): logistic,
    ("sigmoid", False): logistic,
    ("sigmoid", True): bell,
    ("exp", False): mp.exp,
    ("exp", True): mp.exp,
}
# Largest error in units in the last place, float64 and float32; the same on every instruction set.
BOUNDS = {
    ("tanh", False): (1.5, 1.5),
    ("tanh", True): (3.0, 3.0),
    ("erf", False): (2.0, 2.25),
    ("erf", True): (1.5, 2.25),
    ("sin", False): (1.0, 0.51),
    ("sin", True): (1.0, 0.51),
    ("cos", False): (1.0, 0.51),
    ("cos", True): (1.0, 0.51),
    ("gelu", False): (3.0, 3.0),
    ("gelu", True): (3.5, 3.0),
    ("silu", False): (3.0, 3.0),
    ("silu", True): (3.5, 3.0),
    ("softplus", False): (2.0, 2.0),
    ("softplus", True): (2.0, 2.0),
    ("sigmoid", False): (2.0, 2.0),
    ("sigmoid", True): (3.0, 3.0),
    ("exp", False): (1.0, 1.0),
    ("exp", True): (1.0, 1.0),
}
# Derivatives with a zero: within 1/2 of it errors are measured in units of the last place of 1/4.
CROSSINGS = {("gelu", True): -0.7517915, ("silu", True): -1.2784645}


def evaluate(name: str, z: Array, derivative: bool = False, isa: str = "auto") -> Array:
    """Run the C core on a copy of the array."""
    out = np.empty_like(z)
    parameters = PARAMETERS.get(name, (0.0, 0.0, 0.0, 0.0))
    _core.activate(KINDS.index(name), parameters, np.ascontiguousarray(z), out, derivative, isa)
    return out


def sample(name: str, dtype: type[np.floating[Any]], count: int) -> Array:
    """Arguments of every magnitude, denser where the functions do something."""
    random = np.random.default_rng(SEED + KINDS.index(name))
    double = dtype is np.float64
    parts = [
        10.0 ** random.uniform(-3, math.log10(800 if double else 120), count),
        random.uniform(0, 8, 2 * count),
        10.0 ** random.uniform(-323 if double else -45, -3, count // 2),
        random.uniform(0, 40 if double else 15, count),
    ]
    if name in {"sin", "cos"}:
        zeros = np.pi / 2 * random.integers(1, 63000, count)
        parts += [
            random.uniform(0, 1e5, count),
            zeros,
            10.0 ** random.uniform(5, 300 if double else 38, count // 4),
        ]
    positive = np.concatenate(parts)
    return np.unique(np.concatenate([positive, -positive]).astype(dtype))


def errors_in_ulp(key: tuple[str, bool], z: Array, found: Array) -> Array:
    """Errors in units in the last place of the exact value (of 1/4 near a zero of a derivative)."""
    lowest, digits = (-1074, 53) if z.dtype == np.float64 else (-149, 24)
    largest = mp.mpf(float(np.finfo(z.dtype).max))
    errors = np.empty(z.size)
    with mp.workprec(1200 if key[0] in {"sin", "cos"} else 160):
        for i, (x, value) in enumerate(zip(z.tolist(), found.tolist(), strict=True)):
            exact = EXACT[key](mp.mpf(x))
            if math.isinf(value):
                errors[i] = 0.0 if abs(exact) > largest and (value > 0) == (exact > 0) else math.inf
                continue
            scale = abs(exact)
            if key in CROSSINGS and abs(x - CROSSINGS[key]) < 0.5:
                scale = max(scale, mp.mpf("0.25"))
            exponent = max(lowest, mp.frexp(scale)[1] - digits) if scale else lowest
            errors[i] = float(abs(mp.mpf(value) - exact) / mp.mpf(2) ** exponent)
    return errors


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("derivative", [False, True])
@pytest.mark.parametrize("name", sorted({name for name, _ in EXACT}))
@pytest.mark.parametrize("isa", ["portable", FUSED[-1]])
def test_error_is_a_few_units_in_the_last_place(
    name: str, derivative: bool, dtype: type[np.floating[Any]], isa: str
) -> None:
    z = sample(name, dtype, 60)
    errors = errors_in_ulp((name, derivative), z, evaluate(name, z, derivative, isa))
    bound = BOUNDS[name, derivative][0 if dtype is np.float64 else 1]
    assert errors.max() <= bound, f"at {z[errors.argmax()]!r}"
    assert errors.max() > 0.2  # no rounded function is exact at hundreds of points


@pytest.mark.parametrize("name", ["gelu", "erf", "silu", "sigmoid", "softplus", "tanh", "exp"])
def test_a_wrong_digit_is_seen(name: str) -> None:
    z = sample(name, np.float64, 20)
    shifted = evaluate(name, z) * (1 + 8 * np.finfo(float).eps)
    assert errors_in_ulp((name, False), z, shifted).max() > BOUNDS[name, False][0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("derivative", [False, True])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("isa", FUSED)
def test_fused_instruction_sets_give_the_same_bits(
    isa: str, name: str, derivative: bool, dtype: type[np.floating[Any]]
) -> None:
    random = np.random.default_rng(SEED)
    normal = random.standard_normal(20000) * 2.0 ** random.integers(-3, 6, 20000)
    words = random.integers(0, 2**63, 20000, dtype=np.uint64).view(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.concatenate([normal, words, -words]).astype(dtype)
    z = z[~np.isnan(z)]
    found, first = evaluate(name, z, derivative, isa), evaluate(name, z, derivative, FUSED[0])
    np.testing.assert_array_equal(found.view(np.uint8), first.view(np.uint8))


LIMITS = {  # values at -inf, -0.0, 0.0, inf; then slopes
    "linear": ((-math.inf, -0.0, 0.0, math.inf), (1.0, 1.0, 1.0, 1.0)),
    "relu": ((0.0, 0.0, 0.0, math.inf), (0.0, 0.0, 0.0, 1.0)),
    "leaky_relu": ((math.inf, 0.0, -0.0, math.inf), (-0.25, -0.25, -0.25, 0.75)),
    "tanh": ((-1.0, -0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0)),
    "erf": ((-1.0, -0.0, 0.0, 1.0), (0.0, 2 / math.sqrt(math.pi), 2 / math.sqrt(math.pi), 0.0)),
    "sin": ((math.nan, -0.0, 0.0, math.nan), (math.nan, 1.0, 1.0, math.nan)),
    "cos": ((math.nan, 1.0, 1.0, math.nan), (math.nan, 0.0, -0.0, math.nan)),
    "gelu": ((-0.0, -0.0, 0.0, math.inf), (-0.0, 0.5, 0.5, 1.0)),
    "silu": ((-0.0, -0.0, 0.0, math.inf), (-0.0, 0.5, 0.5, 1.0)),
    "softplus": ((0.0, math.log(2), math.log(2), math.inf), (0.0, 0.5, 0.5, 1.0)),
    "sigmoid": ((0.0, 0.5, 0.5, 1.0), (0.0, 0.25, 0.25, 0.0)),
    "quadratic": ((math.inf, 0.5, 0.5, math.inf), (-math.inf, -1.5, -1.5, math.inf)),
    "exp": ((0.0, 1.0, 1.0, math.inf), (0.0, 1.0, 1.0, math.inf)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_infinities_zeros_and_nan(isa: str, name: str, dtype: type[np.floating[Any]]) -> None:
    z = np.array([-math.inf, -0.0, 0.0, math.inf, math.nan], dtype=dtype)
    for derivative in (False, True):
        expected = np.array([*LIMITS[name][derivative], math.nan], dtype=dtype)
        found = evaluate(name, z, derivative, isa)
        np.testing.assert_array_equal(found, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_deep_tails_keep_their_digits(isa: str) -> None:
    z = np.array([-10.0, -20.0, -38.0])
    np.testing.assert_allclose(
        evaluate("gelu", z, isa=isa), [-7.619853024160527e-23, -5.507248237212467e-88, -1.09e-314], rtol=1e-2
    )
    with mp.workprec(160):
        exact = [float(EXACT["gelu", False](mp.mpf(x))) for x in z[:2].tolist()]
    np.testing.assert_allclose(evaluate("gelu", z[:2], isa=isa), exact, rtol=1e-15)
    assert evaluate("exp", np.array([-745.0]), isa=isa)[0] == 5e-324
    assert evaluate("silu", np.array([-750.0]), isa=isa)[0] < 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_every_length_and_alignment(isa: str, dtype: type[np.floating[Any]]) -> None:
    z = np.random.default_rng(SEED).standard_normal(100).astype(dtype)
    for name in KINDS:
        whole = evaluate(name, z, isa=isa)
        for count in range(40):
            start = count % 7
            out = np.full(60, 7.0, dtype=dtype)
            source, target = z[start : start + count], out[3 : 3 + count]
            parameters = PARAMETERS.get(name, (0.0, 0.0, 0.0, 0.0))
            _core.activate(KINDS.index(name), parameters, source, target, False, isa)
            np.testing.assert_array_equal(target, whole[start : start + count])
            assert (out[:3] == 7.0).all()
            assert (out[3 + count :] == 7.0).all()


@pytest.mark.parametrize("derivative", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_in_place(name: str, derivative: bool) -> None:
    z = np.random.default_rng(SEED).standard_normal(53)
    expected = evaluate(name, z, derivative)
    _core.activate(KINDS.index(name), PARAMETERS.get(name, (0.0, 0.0, 0.0, 0.0)), z, z, derivative, "auto")
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("name", KINDS)
def test_agrees_with_the_textbook_formula(name: str, isa: str) -> None:
    z = np.concatenate([np.linspace(-6, 6, 1001), [-0.0]])
    parameters = PARAMETERS.get(name, ())
    value, slope = (
        activation_reference(name, parameters, z),
        activation_derivative_reference(name, parameters, z),
    )
    np.testing.assert_allclose(evaluate(name, z, isa=isa), value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(evaluate(name, z, True, isa), slope, rtol=1e-13, atol=1e-15)


def test_textbook_slopes_are_slopes() -> None:
    z, step = np.linspace(-3, 3, 61) + 0.013, 1e-6
    for name in KINDS:
        p = PARAMETERS.get(name, ())
        rise = activation_reference(name, p, z + step) - activation_reference(name, p, z - step)
        slope = activation_derivative_reference(name, p, z)
        np.testing.assert_allclose(rise / (2 * step), slope, rtol=1e-7, atol=1e-8)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="'swish'"):
        activation_reference("swish", (), [0.0])
    with pytest.raises(UsageError, match="'swish'"):
        activation_derivative_reference("swish", (), [0.0])
