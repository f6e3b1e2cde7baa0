"""Activations of 8192 standard normals, against NumPy or SciPy into a given array."""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from harness import compare, interleave, rate, read_options, show
from nnft._kernels import _core
from nnft.samplers.initial import ACTIVATION_KINDS

Array = npt.NDArray[Any]
Peer = Callable[[Array, Array], object]

BUFFER = 8192
GOALS = {("tanh", "float64"): 1.1, ("erf", "float64"): 9.0}
PARAMETERS = {"leaky_relu": (1.0, 0.01, 0.0, 0.0), "quadratic": (0.5, 1.0, 1.0, 0.0)}


def _gelu(z: Array, out: Array) -> None:
    special.ndtr(z, out=out)
    np.multiply(out, z, out=out)


def _silu(z: Array, out: Array) -> None:
    special.expit(z, out=out)
    np.multiply(out, z, out=out)


def _quadratic(z: Array, out: Array) -> None:
    np.add(z, z.dtype.type(1), out=out)
    np.multiply(out, z, out=out)
    np.add(out, z.dtype.type(0.5), out=out)


def _leaky_relu(z: Array, out: Array) -> None:
    np.multiply(z, z.dtype.type(0.01), out=out)
    np.maximum(out, z, out=out)


PEERS: dict[str, tuple[str, Peer]] = {
    "tanh": ("NumPy", lambda z, out: np.tanh(z, out=out)),
    "erf": ("SciPy", lambda z, out: special.erf(z, out=out)),
    "relu": ("NumPy", lambda z, out: np.maximum(z, z.dtype.type(0), out=out)),
    "leaky_relu": ("NumPy", _leaky_relu),
    "sin": ("NumPy", lambda z, out: np.sin(z, out=out)),
    "cos": ("NumPy", lambda z, out: np.cos(z, out=out)),
    "exp": ("NumPy", lambda z, out: np.exp(z, out=out)),
    "gelu": ("SciPy", _gelu),
    "silu": ("SciPy", _silu),
    "softplus": ("NumPy", lambda z, out: np.logaddexp(z.dtype.type(0), z, out=out)),
    "sigmoid": ("SciPy", lambda z, out: special.expit(z, out=out)),
    "quadratic": ("NumPy", _quadratic),
}


def ours(name: str, z: Array, out: Array) -> Callable[[], object]:
    """Return a function that applies an activation of the C core."""
    kind, parameters = ACTIVATION_KINDS[name], PARAMETERS.get(name, (0.0, 0.0, 0.0, 0.0))
    return lambda: _core.activate(kind, parameters, z, out)


def peer_of(name: str, z: Array, out: Array) -> Callable[[], object]:
    """Return a function that applies the peer's activation."""
    function = PEERS[name][1]
    return lambda: function(z, out)


def main() -> None:
    """Print one line for each activation and precision, those with a goal first."""
    options = read_options(__doc__)
    rest = [(name, kind) for name in PEERS for kind in ("float64", "float32") if (name, kind) not in GOALS]
    for name, precision in [*GOALS, *rest]:
        goal = GOALS.get((name, precision))
        z = np.random.default_rng(1).standard_normal(BUFFER).astype(precision)
        out = np.empty_like(z)
        works = {"nnft": ours(name, z, out), PEERS[name][0]: peer_of(name, z, out)}
        seconds = options.seconds if goal else options.seconds / 5
        sides = {side: rate(work, BUFFER / 1e6, seconds, clock) for side, work in works.items()}
        samples = interleave(sides, options.rounds)
        show(compare(f"{name}, {precision}", samples, goal, options, "M/s"), options)


if __name__ == "__main__":
    main()
