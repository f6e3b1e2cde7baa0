"""Fisher information of regression: what the data of a network pin down, by weights or by directions.

For ``p(y | x) = N(f(x), kappa)``, independent outputs, and P inputs the information of one observation is
``I = J^T J / (P kappa)``, with J the derivatives of the outputs by the weights; all P together carry P I. Its
rank is at most P times the number of outputs. Programs that leave out the noise variance have kappa = 1, and
cutoffs larger by 1 / kappa.

Amari, Neural Computation 10, 251 (1998); Howard, Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027
(2025), arXiv:2405.17538, equations 47-52; Kronecker factors: Martens and Grosse, ICML 2015, arXiv:1503.05671.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array

_NUMBERS = 10_000_000


@dataclass(frozen=True)
class FisherDiagonal:
    """Diagonal of the Fisher information, averaged over inputs.

    Attributes
    ----------
    values : ndarray, shape (n,)
        I_ii of one observation.
    standard_errors : ndarray, shape (n,)
        Their sampling errors, were the inputs independent draws: spread over the inputs / sqrt(P). NaN for
        one input, and 0 where every input gives the same, so also where every input gives 0.
    zero_fraction : float
        Fraction of values that are exactly zero: weights that no input sees, below every cutoff > 0.
    inputs : int
        Number P of inputs.
    """

    values: Array
    standard_errors: Array
    zero_fraction: float
    inputs: int


@dataclass(frozen=True)
class FisherModes:
    """Eigenbasis of the Fisher information.

    Attributes
    ----------
    values : ndarray, shape (n,)
        Eigenvalues of one observation, ascending; those beyond the number of derivatives are exactly 0.
    vectors : ndarray, shape (n, n)
        Eigenvectors in columns.
    """

    values: Array
    vectors: Array


def _rows(jacobian: Array, noise_variance: float) -> tuple[Array, int]:
    """Derivatives as rows (P D, n), divided so that their product is I, and P."""
    rows = np.asarray(jacobian, dtype=np.float64)
    if rows.ndim not in {2, 3} or rows.size == 0 or not np.isfinite(rows).all():
        raise UsageError(
            f"derivatives of a Fisher information: got shape {rows.shape}; give finite (P, n) or (P, D, n)"
        )
    _check_noise(noise_variance)
    points = rows.shape[0]
    return rows.reshape(-1, rows.shape[-1]) / np.sqrt(points * noise_variance), points


def _check_noise(noise_variance: float) -> None:
    if not (noise_variance > 0.0 and np.isfinite(noise_variance)):
        raise UsageError(f"noise variance of a likelihood: got {noise_variance}; give a finite number > 0")


def _diagonal(each: Array) -> FisherDiagonal:
    """Average over inputs of what each carries, shape (P, n)."""
    points = len(each)
    values = np.mean(each, axis=0)
    spread = np.std(each, axis=0, ddof=1) if points > 1 else np.full(values.shape, np.nan)
    errors = spread / np.sqrt(points)
    return FisherDiagonal(values, errors, float(np.mean(values == 0.0)), points)


def fisher_diagonal(jacobian: Array, noise_variance: float) -> FisherDiagonal:
    """Diagonal of the Fisher information of one observation, with its sampling error over the inputs.

    Parameters
    ----------
    jacobian : ndarray, shape (P, n) or (P, D, n)
        Derivatives of D outputs at P inputs; the features of a readout, everything included.
    noise_variance : float
        Variance kappa > 0 of the likelihood.

    Raises
    ------
    UsageError
        If shapes or the noise variance do not fit.
    """
    rows, points = _rows(jacobian, noise_variance)
    return _diagonal(points * np.sum(rows.reshape(points, -1, rows.shape[-1]) ** 2, axis=1))


def layer_diagonal(inputs: Array, deltas: Array, noise_variance: float) -> FisherDiagonal:
    """Diagonal for the weights of one layer, without its derivatives in memory: exact.

    The derivative by ``W_ij`` is ``delta_i a_j``; values are in row-major order of W, shape (n_out, n_in).

    Parameters
    ----------
    inputs : ndarray, shape (P, n_in)
        Inputs a of the layer, everything included (the 1/sqrt(n_in) of weights of unit scale; a column of
        ones for a bias).
    deltas : ndarray, shape (P, n_out) or (P, D, n_out)
        Derivatives of the outputs by the preactivations of the layer.
    noise_variance : float
        Variance kappa > 0 of the likelihood.

    Notes
    -----
    Rows of W are taken in groups, so that about 80 MB are needed at a time.
    """
    a, delta = _layer(inputs, deltas, noise_variance)
    strength, squares = np.sum(delta**2, axis=1) / noise_variance, a**2
    group = max(1, _NUMBERS // squares.size)
    parts = [
        _diagonal(np.einsum("pi,pj->pij", strength[:, first : first + group], squares).reshape(len(a), -1))
        for first in range(0, strength.shape[1], group)
    ]
    values = np.concatenate([part.values for part in parts])
    errors = np.concatenate([part.standard_errors for part in parts])
    return FisherDiagonal(values, errors, float(np.mean(values == 0.0)), len(a))


def dense_fisher(jacobian: Array, noise_variance: float) -> Array:
    """Fisher information of one observation, shape (n, n); parameters as in `fisher_diagonal`."""
    rows, _ = _rows(jacobian, noise_variance)
    return np.asarray(rows.T @ rows)


def fisher_modes(jacobian: Array, noise_variance: float) -> FisherModes:
    """Eigenbasis of the Fisher information of one observation; parameters as in `fisher_diagonal`.

    Notes
    -----
    Singular values of the derivatives, not eigenvalues of their product: the errors of the eigenvalues are
    about ``eps sqrt(I I_max)``, and directions that P D < n inputs cannot see have exactly 0.
    """
    rows, _ = _rows(jacobian, noise_variance)
    factor = np.linalg.qr(rows).R if len(rows) > rows.shape[1] else rows
    _, singular, transposed = np.linalg.svd(factor, full_matrices=True)
    values = np.zeros(rows.shape[1])
    values[: len(singular)] = singular**2
    return FisherModes(values[::-1].copy(), transposed[::-1].T.copy())


@dataclass(frozen=True)
class KroneckerFactors:
    """Approximation of the information of the weights of one layer by a Kronecker product.

    For ``W_ij``, ``I_(ij)(kl) = sum_o <delta_i delta_k a_j a_l> / kappa``. The approximation averages inputs
    and deltas separately, ``G_ik A_jl``: ``kron(G, A)`` for W row-major, ``kron(A, G)`` in the column-major
    order of Martens and Grosse. It is exact for one input, and where either factor is the same for all
    inputs, as the deltas of a readout; otherwise it leaves out the correlation of the two over the inputs,
    an error that more inputs do not remove. Different layers are taken as independent.

    Attributes
    ----------
    inputs : ndarray, shape (n_in, n_in)
        ``A = <a a^T>``.
    deltas : ndarray, shape (n_out, n_out)
        ``G = sum_o <delta_o delta_o^T> / kappa``.
    """

    inputs: Array
    deltas: Array

    def dense(self) -> Array:
        """Information of the weights in row-major order, shape (n_out n_in, n_out n_in)."""
        return np.asarray(np.kron(self.deltas, self.inputs))

    def diagonal(self) -> Array:
        """Diagonal in the same order, shape (n_out n_in,)."""
        return np.outer(np.diagonal(self.deltas), np.diagonal(self.inputs)).ravel()

    def modes(self) -> tuple[Array, Array, Array]:
        """Eigenvalues (n_out, n_in), not sorted, and eigenvectors of G and of A in columns.

        The eigenvector (i, j) is the outer product of column i of the first and column j of the second.
        """
        outer, left = np.linalg.eigh(self.deltas)
        inner, right = np.linalg.eigh(self.inputs)
        return np.outer(np.maximum(outer, 0.0), np.maximum(inner, 0.0)), left, right


def kronecker_factors(inputs: Array, deltas: Array, noise_variance: float) -> KroneckerFactors:
    """Kronecker factors of one layer; parameters as in `layer_diagonal`.

    Raises
    ------
    UsageError
        If shapes or the noise variance do not fit.
    """
    a, delta = _layer(inputs, deltas, noise_variance)
    points = len(a)
    flat = delta.reshape(-1, delta.shape[-1])
    return KroneckerFactors(a.T @ a / points, flat.T @ flat / (points * noise_variance))


def _layer(inputs: Array, deltas: Array, noise_variance: float) -> tuple[Array, Array]:
    """Inputs (P, n_in) and deltas (P, D, n_out) of a layer."""
    a, delta = np.asarray(inputs, dtype=np.float64), np.asarray(deltas, dtype=np.float64)
    delta = delta[:, None, :] if delta.ndim == 2 else delta
    if a.ndim != 2 or delta.ndim != 3 or len(a) != len(delta) or len(a) == 0:
        raise UsageError(
            f"layer of a Fisher information: got inputs {a.shape} and deltas {delta.shape}; "
            "give (P, n_in) and (P, D, n_out)"
        )
    _check_noise(noise_variance)
    return a, delta
