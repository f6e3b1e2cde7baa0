"""Stationary laws of Langevin chains in one dimension, by the transition kernel on a grid.

All integrands are smooth and vanish at the ends of the grid, so the trapezoid rule converges faster than
any power (Trefethen and Weideman, SIAM Review 56, 385 (2014)).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array

Function = Callable[[Array], Array]


def _spacing(grid: Array) -> float:
    spacings = np.diff(grid)
    if grid.ndim != 1 or grid.size < 3 or not np.allclose(spacings, spacings[0]) or spacings[0] <= 0.0:
        raise UsageError("grid of a chain: got uneven points; give at least 3 evenly spaced ones, increasing")
    return float(spacings[0])


def boltzmann_density(energy: Function, temperature: float, grid: Array) -> Array:
    """Density ``exp(-E / T)`` on a grid, normalised by the trapezoid rule, shape of the grid."""
    exponent = -energy(grid) / temperature
    weights = np.exp(exponent - np.max(exponent))
    return np.asarray(weights / (np.sum(weights) * _spacing(grid)), dtype=np.float64)


def _transition(gradient: Function, temperature: float, step: float, grid: Array) -> Array:
    """Density of the proposal ``x - step E' + sqrt(2 step T) xi`` at row's point, given column's point."""
    spread = 2.0 * step * temperature
    if _spacing(grid) > np.sqrt(spread):
        raise UsageError(f"grid of a chain: got spacing {_spacing(grid):.3g}; give below {spread**0.5:.3g}")
    away = grid[:, None] - (grid - step * gradient(grid))
    return np.asarray(np.exp(-(away**2) / (2.0 * spread)) / np.sqrt(2.0 * np.pi * spread), dtype=np.float64)


def ula_density(gradient: Function, temperature: float, step: float, grid: Array) -> Array:
    """Stationary density of the unadjusted Langevin algorithm at a finite step.

    Parameters
    ----------
    gradient : callable
        Derivative of the energy, elementwise.
    temperature, step : float
        Temperature and step.
    grid : ndarray, shape (n,)
        Evenly spaced points, with a spacing well below ``sqrt(2 step T)``, that cover the law.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    UsageError
        If the grid is uneven or too coarse.
    """
    spacing = _spacing(grid)
    balance = _transition(gradient, temperature, step, grid) * spacing - np.eye(grid.size)
    balance[grid.size // 2] = spacing
    norm = np.zeros(grid.size)
    norm[grid.size // 2] = 1.0
    return np.asarray(np.linalg.solve(balance, norm), dtype=np.float64)


def mala_acceptance_of(
    energy: Function, gradient: Function, temperature: float, step: float, grid: Array
) -> float:
    """Mean acceptance of the Metropolis-adjusted Langevin algorithm in equilibrium, any energy.

    The acceptance has a kink where it reaches one, so the error falls with the square of the spacing.
    Parameters are as in `ula_density`.
    """
    forward = _transition(gradient, temperature, step, grid) * boltzmann_density(energy, temperature, grid)
    return float(np.sum(np.minimum(forward, forward.T)) * _spacing(grid) ** 2)


def density_moment(density: Array, grid: Array, order: int) -> float:
    """Moment ``<x^order>`` of a density on a grid."""
    return float(np.sum(density * grid**order) * _spacing(grid))
