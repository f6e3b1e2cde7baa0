"""Plain NumPy twin of the sampler of networks of cosines, ``core/waves.h``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft._kernels.reference_random import (
    NORMALS_PER_GROUP,
    Stream,
    normals_reference,
    polar_float64,
    words_reference,
)

FloatArray = npt.NDArray[np.float64]

_WAVES = 15
_MOMENTA, _UNIFORMS, _AMPLITUDES = 1, 2, 3


@dataclass(frozen=True)
class WaveLaw:
    """A network of cosines as its sampler sees it.

    Attributes
    ----------
    points : ndarray of float64, shape (P, d)
    width, outputs : int
        N and D.
    factor : float
        F in front of the sum.
    mass_square : float
        m^2; negative for no denominator.
    size : float
        Radius of the ball, or standard deviation of the components of a momentum.
    ball, fixed : bool
        Momenta uniform in a ball, else normal; amplitudes of one size, else Gaussian.
    variance : float
        sigma_a^2.
    key : int
        Of the random streams.
    """

    points: FloatArray
    width: int
    outputs: int
    factor: float
    mass_square: float
    size: float
    ball: bool
    fixed: bool
    variance: float
    key: int

    def _normals(self, network: int, part: int, rows: int) -> FloatArray:
        """Rows of N normals, each from a group of its own on."""
        per = NORMALS_PER_GROUP["float64"]
        groups = -(-self.width // per)
        stream = Stream(self.key, network, _WAVES << 12 | part)
        found = normals_reference(stream, 0, rows * groups, "float64")
        return found.reshape(rows, groups * per)[:, : self.width]

    def draws(self, network: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return momenta (N, d), phases (N,) and amplitudes (D, N) of one network."""
        dimension = self.points.shape[1]
        words = words_reference(Stream(self.key, network, _WAVES << 12 | _UNIFORMS), 0, self.width)
        polar = polar_float64(words)
        normals = self._normals(network, _MOMENTA, dimension).T
        momenta = self.size * normals
        if self.ball:
            lengths = self.size * polar.uniform ** (1.0 / dimension)
            momenta = lengths[:, None] * normals / np.linalg.norm(normals, axis=1)[:, None]
        amplitudes = self._normals(network, _AMPLITUDES, self.outputs)
        if self.fixed:
            amplitudes = np.sign(amplitudes)
        return momenta, np.pi * polar.eighth, np.sqrt(self.variance / self.width) * amplitudes

    def features(self, network: int) -> FloatArray:
        """Return ``F cos(b.x + c) / (b^2 + m^2)^(1/2)``, shape (N, P)."""
        momenta, phases, _ = self.draws(network)
        return cosine_features(momenta, phases, self.points, self.factor, self.mass_square)

    def network(self, network: int) -> tuple[FloatArray, FloatArray]:
        """Return the covariance (P, P) of an output given momenta and phases, and the outputs (D, P)."""
        features, amplitudes = self.features(network), self.draws(network)[2]
        return self.variance / self.width * features.T @ features, amplitudes @ features


def cosine_features(
    momenta: FloatArray, phases: FloatArray, points: FloatArray, factor: float, mass_square: float
) -> FloatArray:
    """Return features of all neurons at all points, shape (N, P); no denominator for a negative m^2."""
    gain = np.full(len(momenta), factor)
    if mass_square >= 0.0:
        gain /= np.sqrt(np.sum(momenta**2, axis=1) + mass_square)
    return np.asarray(gain[:, None] * np.cos(momenta @ points.T + phases[:, None]))
