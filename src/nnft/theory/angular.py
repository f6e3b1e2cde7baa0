"""Gaussian averages of products of piecewise linear activations, exact up to rounding.

A product of m homogeneous functions factorises: the radial integral is E[R**m] = r (r+2)...(r+m-2)
for even m, and on the sphere the integrand is a trigonometric polynomial between the great circles
where one argument vanishes (the construction behind the kernels of Cho and Saul, NIPS 2009). Every
piece is integrated by a Gauss-Legendre rule, so no kink is ever inside an integration interval.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array

MAX_ANGULAR_DIMENSION = 3
_ORDER = 24
_LONGEST_ARC = 0.4
_CANDIDATE_AXES = 256


def _radial_moment(rank: int, factors: int) -> float:
    return math.prod(rank + 2.0 * j for j in range(factors // 2))


def _piecewise_rule(breaks: Array, order: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights between successive breaks (last axis)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(breaks, axis=-1)[..., None]
    middle = 0.5 * (breaks[..., 1:] + breaks[..., :-1])[..., None]
    shape = (*breaks.shape[:-1], -1)
    return (middle + half * nodes).reshape(shape), (half * weights).reshape(shape)


def _circle(factor: Array) -> tuple[Array, Array]:
    angles = np.arctan2(factor[:, 1], factor[:, 0])[np.linalg.norm(factor, axis=1) > 0.0]
    kinks = np.concatenate([angles + 0.5 * math.pi, angles - 0.5 * math.pi]) % (2.0 * math.pi)
    breaks = np.unique(np.concatenate([[0.0, math.pi, 2.0 * math.pi], kinks]))
    phi, weights = _piecewise_rule(breaks, _ORDER)
    return np.stack([np.cos(phi), np.sin(phi)]), weights / (2.0 * math.pi)


def _generic_frame(normals: Array) -> Array:
    """Rotation whose third axis is far from perpendicular to every normal (rows of length one)."""
    index = np.arange(_CANDIDATE_AXES) + 0.5
    height = 1.0 - index / _CANDIDATE_AXES
    azimuth = index * math.pi * (1.0 + math.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    axes = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=1)
    clearance = np.min(np.abs(axes @ normals.T), axis=1, initial=1.0)
    third = axes[int(np.argmax(clearance))]
    first = np.cross(third, np.eye(3)[int(np.argmin(np.abs(third)))])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(third, first), third])


def _azimuth_breaks(normals: Array) -> Array:
    """Azimuths where two great circles meet, refined so that no arc is longer than 0.4."""
    first, second = np.triu_indices(normals.shape[0], 1)
    crossings = np.cross(normals[first], normals[second]).reshape(-1, 3)
    crossings = crossings[np.linalg.norm(crossings, axis=1) > 1e-12]
    angles = np.arctan2(crossings[:, 1], crossings[:, 0])
    breaks = np.unique(
        np.concatenate([[0.0, 2.0 * math.pi], angles % (2 * math.pi), (angles + math.pi) % (2 * math.pi)])
    )
    pieces = [
        np.linspace(low, high, 1 + math.ceil((high - low) / _LONGEST_ARC))[:-1]
        for low, high in itertools.pairwise(breaks)
    ]
    return np.concatenate([*pieces, [2.0 * math.pi]])


def _sphere(factor: Array) -> tuple[Array, Array]:
    lengths = np.linalg.norm(factor, axis=1)
    normals = factor[lengths > 0.0] / lengths[lengths > 0.0, None]
    frame = _generic_frame(normals)
    turned = normals @ frame.T
    phi, phi_weights = _piecewise_rule(_azimuth_breaks(turned), _ORDER)
    horizontal = np.outer(np.cos(phi), turned[:, 0]) + np.outer(np.sin(phi), turned[:, 1])
    kinks = np.arctan2(np.abs(turned[:, 2]), -horizontal * np.sign(turned[:, 2]))
    ends = np.tile([0.0, math.pi], (phi.size, 1))
    theta, theta_weights = _piecewise_rule(np.sort(np.concatenate([ends, kinks], axis=1), axis=1), _ORDER)
    sine = np.sin(theta)
    directions = np.stack([sine * np.cos(phi)[:, None], sine * np.sin(phi)[:, None], np.cos(theta)])
    weights = phi_weights[:, None] * theta_weights * sine / (4.0 * math.pi)
    return frame.T @ directions.reshape(3, -1), weights.ravel()


def angular_nodes(factor: Array, factors: int) -> tuple[Array, Array]:
    """Nodes for the average of a product of homogeneous functions of z = factor @ u, u standard normal.

    Parameters
    ----------
    factor : ndarray, shape (k, r)
        Square root of the covariance, rank r at most 3.
    factors : int
        Even number of homogeneous factors of degree one in the integrand.

    Returns
    -------
    z : ndarray, shape (k, N)
        Arguments.
    weights : ndarray, shape (N,)
        Weights; they contain the radial moment.

    Raises
    ------
    UsageError
        If the rank is above 3 or the number of factors is odd.
    """
    size, rank = factor.shape
    if rank > MAX_ANGULAR_DIMENSION:
        raise UsageError(f"too many dimensions for a kinked activation: got {rank}; at most 3")
    if factors % 2:
        raise UsageError(f"odd number of homogeneous factors: got {factors}; use an even number")
    if rank == 0:
        return np.zeros((size, 1)), np.ones(1)
    if rank == 1:
        directions, weights = np.array([[1.0, -1.0]]), np.array([0.5, 0.5])
    else:
        directions, weights = _circle(factor) if rank == 2 else _sphere(factor)
    return factor @ directions, weights * _radial_moment(rank, factors)
