"""Peers that draw every weight: NumPy, one network at a time or batched, and JAX.

All do the same work: weights of three hidden layers and of one readout neuron, its outputs on P points,
and the sums of the second and (on request) fourth moments, P^2 and P^4 numbers. Scales are applied to the
pre-activations, the moments are one matrix product for many networks: whatever is cheapest for the peer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles import HIDDEN_LAYERS

Array = npt.NDArray[Any]
Work = Callable[[], object]
Peers = dict[str, tuple[Work, int]]


def _moments(fields: Array, fourth: bool) -> list[Array]:
    """Sums over networks of the second and, if asked for, the fourth moments of fields (M, P)."""
    sums = [fields.T @ fields]
    if fourth:
        pairs = (fields[:, :, None] * fields[:, None, :]).reshape(len(fields), -1)
        sums.append(pairs.T @ pairs)
    return sums


def numpy_loop(points: Array, width: int, count: int, fourth: bool) -> Work:
    """One network at a time: its weights in one array that is drawn anew."""
    dtype, random = points.dtype, np.random.Generator(np.random.SFC64(1))
    inputs = np.ascontiguousarray(points.T)
    first, readout = np.empty((width, len(inputs)), dtype), np.empty(width, dtype)
    weights = np.empty((width, width), dtype)
    fields = np.empty((count, points.shape[0]), dtype)

    def work() -> list[Array]:
        for m in range(count):
            state = inputs
            for layer in range(HIDDEN_LAYERS):
                drawn = weights if layer else first
                random.standard_normal(out=drawn, dtype=dtype.type)
                state = drawn @ state
                state *= dtype.type(drawn.shape[1] ** -0.5)
                np.tanh(state, out=state)
            random.standard_normal(out=readout, dtype=dtype.type)
            fields[m] = readout @ state * dtype.type(width**-0.5)
        return _moments(fields, fourth)

    return work


def numpy_batched(points: Array, width: int, count: int, fourth: bool) -> Work:
    """`count` networks at once, layer by layer, as stacks of matrices."""
    dtype, random = points.dtype, np.random.Generator(np.random.SFC64(2))
    inputs = np.ascontiguousarray(points.T)
    first, readout = np.empty((count, width, len(inputs)), dtype), np.empty((count, 1, width), dtype)
    weights = np.empty((count, width, width), dtype)

    def work() -> list[Array]:
        state = inputs
        for layer in range(HIDDEN_LAYERS):
            drawn = weights if layer else first
            random.standard_normal(out=drawn, dtype=dtype.type)
            state = drawn @ state
            state *= dtype.type(drawn.shape[2] ** -0.5)
            np.tanh(state, out=state)
        random.standard_normal(out=readout, dtype=dtype.type)
        return _moments((readout @ state)[:, 0] * dtype.type(width**-0.5), fourth)

    return work


def jax_mapped(points: Array, width: int, count: int, fourth: bool) -> Work | None:
    """Return one compiled program, ``lax.map`` over networks, Threefry keys; None without JAX."""
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    numbers = jax.numpy
    inputs, dtype = numbers.asarray(points.T), points.dtype

    def network(key: Any) -> Any:
        keys = jax.random.split(key, HIDDEN_LAYERS + 1)
        state = inputs
        for layer in range(HIDDEN_LAYERS):
            shape = (width, state.shape[0])
            scale = dtype.type(shape[1] ** -0.5)
            state = numbers.tanh(scale * (jax.random.normal(keys[layer], shape, dtype) @ state))
        return dtype.type(width**-0.5) * (jax.random.normal(keys[HIDDEN_LAYERS], (width,), dtype) @ state)

    @jax.jit
    def ensemble(key: Any) -> Any:
        return _moments(jax.lax.map(network, jax.random.split(key, count)), fourth)

    calls = iter(range(1 << 62))
    base = jax.random.key(3, impl="threefry2x32")
    return lambda: jax.block_until_ready(ensemble(jax.random.fold_in(base, next(calls))))


def peers(points: Array, width: int, precision: str, *, fourth: bool, compiled: bool = True) -> Peers:
    """Return every peer there is here.

    Parameters
    ----------
    points : ndarray, shape (P, d)
    width : int
    precision : str
    fourth : bool
        Whether fourth moments are summed.
    compiled : bool
        Whether JAX takes part, which compiles for seconds.

    Returns
    -------
    dict of str to (function, int)
        What one call does, and its number of networks.
    """
    inputs = np.ascontiguousarray(points, dtype=precision)
    few = max(2, min(8, (1 << 21) // width**2))
    found: Peers = {
        "NumPy loop": (numpy_loop(inputs, width, few, fourth), few),
        f"NumPy batches of {few}": (numpy_batched(inputs, width, few, fourth), few),
    }
    mapped = jax_mapped(inputs, width, few, fourth) if compiled else None
    if mapped is not None:
        found["JAX jit lax.map"] = (mapped, few)
    return found


def absent(found: Peers) -> str:
    """Return a remark on peers that are missing."""
    return "" if any(name.startswith("JAX") for name in found) else "JAX did not take part"
