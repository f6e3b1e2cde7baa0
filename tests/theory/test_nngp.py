"""Kernels of all layers: limits, repeated points, refusals and import cost."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.nngp import first_layer_kernel, nngp_kernel, tangent_kernel

POINTS = np.array([[1.0, 0.0, -0.5], [0.3, 0.8, 0.4], [1.0, 0.0, -0.5]])


def test_linear_network_in_closed_form() -> None:
    kernels = nngp_kernel(POINTS, "linear", [2.0, 0.5, 1.5], [0.1, 0.2, 0.3])
    gram = POINTS @ POINTS.T / 3.0
    np.testing.assert_allclose(kernels[0], 0.1 + 2.0 * gram, rtol=1e-15)
    np.testing.assert_allclose(kernels[2], 0.3 + 1.5 * (0.2 + 0.5 * (0.1 + 2.0 * gram)), rtol=1e-15)


@pytest.mark.parametrize("name", ["relu", "tanh", "softplus"])
def test_repeated_points_stay_equal(name: str) -> None:
    for kernel in nngp_kernel(POINTS, name, [1.5] * 4, [0.1] * 4):
        np.testing.assert_allclose(kernel[0], kernel[2], rtol=1e-14)
        assert kernel[0, 0] == pytest.approx(kernel[0, 2], rel=1e-15)
        assert np.array_equal(kernel, kernel.T)


def test_variances_of_each_layer_count() -> None:
    plain = nngp_kernel(POINTS, "relu", [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(plain[1][0, 0], 1.25 / 3.0, rtol=1e-15)
    np.testing.assert_allclose(plain[2][0, 0], 1.5 * 1.25 / 3.0, rtol=1e-15)


def test_tangent_kernel_of_a_linear_network() -> None:
    tangent = tangent_kernel(POINTS, "linear", [2.0] * 3, [0.0] * 3, weight_rate=2.0, bias_rate=0.0)
    np.testing.assert_allclose(tangent[-1], 3.0 * 8.0 * POINTS @ POINTS.T / 3.0, rtol=1e-14)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="variance"):
        nngp_kernel(POINTS, "relu", [1.0, 1.0], [0.0])
    with pytest.raises(UsageError, match="points"):
        first_layer_kernel(np.ones(3), 1.0, 0.0)


def test_no_slow_imports() -> None:
    code = (
        "import sys, numpy as np; from nnft.theory.nngp import nngp_kernel; "
        "[nngp_kernel(np.eye(3), name, [1.0] * 3, [0.1] * 3) for name in ('gelu', 'erf', 'tanh')]; "
        "print([m for m in ('scipy', 'pydantic', 'numba', 'h5py') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
