"""First correction to the equivalent kernel, for a Poisson-distributed and for a fixed number of points.

The replica action ``1/2 sum_a f_a K^-1 f_a - P int dmu exp(-sum_a (f_a - y)^2 / 2 kappa)``, n -> 0, has the
equivalent kernel as its quadratic part; its quartic vertex is the first correction (Malzahn, Opper, NIPS
2001; Cohen, Malka, Ringel, Phys. Rev. Research 3, 023034 (2021); Ringel et al., arXiv:2502.18553, equations
2.18-2.21 and 2.30-2.31). All replicas count: with one alone the cubic terms do not cancel. With V the
covariance of the equivalent kernel, v its diagonal and Delta = mean - y,

    delta f(x) = P / kappa^2 [ int dmu(x') V(x, x') v(x') Delta(x')
                               - int int dmu(x') dmu(x'') V(x, x') V(x', x'') Delta(x'') ].

The second term belongs to a fixed number of points alone. The first has the sign of a larger ridge: for
constant v it is that of kappa -> kappa + v.
"""

from __future__ import annotations

from dataclasses import dataclass

from nnft.theory.activations import Array
from nnft.theory.data_averages import Spectrum
from nnft.theory.equivalent_kernel import FiniteMeasure, equivalent_kernel, equivalent_process


@dataclass(frozen=True)
class FirstCorrection:
    """Change of the mean predictor at first order beyond the equivalent kernel.

    Attributes
    ----------
    poisson : ndarray, shape (J,)
        For a Poisson-distributed number of points of mean P.
    fixed_extra : ndarray, shape (J,)
        What a fixed number P adds.
    """

    poisson: Array
    fixed_extra: Array

    @property
    def fixed(self) -> Array:
        """For a fixed number of points, shape (J,)."""
        return self.poisson + self.fixed_extra


def first_correction(measure: FiniteMeasure, points: float, ridge: float) -> FirstCorrection:
    """First correction at the J points of a measure.

    Parameters
    ----------
    measure : FiniteMeasure
    points : float
        P > 0.
    ridge : float
        kappa > 0; the correction is small where v and Delta^2 are far below it.

    Raises
    ------
    UsageError
        If P or the ridge is out of range.
    """
    mean, covariance = equivalent_process(measure, points, ridge)
    weighted = measure.weights * (mean - measure.target)
    factor = points / ridge**2
    once = covariance @ weighted
    return FirstCorrection(
        poisson=factor * covariance @ (covariance.diagonal() * weighted),
        fixed_extra=-factor * covariance @ (measure.weights * once),
    )


def gaussian_feature_correction(spectrum: Spectrum, points: float, ridge: float) -> FirstCorrection:
    """First correction mode by mode for Gaussian features, as a change of the learnability.

    ``delta f_k = P / kappa^2 V_k Delta_k (sum_j V_j + 2 V_k)``, and ``- V_k`` more in the bracket for a fixed
    number of points; modes do not mix.

    Parameters
    ----------
    spectrum : Spectrum
    points : float
        P > 0.
    ridge : float
        kappa > 0.

    Returns
    -------
    FirstCorrection
        Arrays of shape (M,): changes of ``<f_k> / y_k``.

    Notes
    -----
    Ringel et al., arXiv:2502.18553, equation 2.31: for Gaussian features ``sum_j V_j <phi_k phi_j^2 phi_l>``
    is ``delta_kl (sum_j V_j + 2 V_k)``.
    """
    plain = equivalent_kernel(spectrum, points, ridge)
    variances = plain.variances
    scale = points / ridge**2 * variances * (plain.learnability - 1.0)
    total = float(spectrum.multiplicities @ variances)
    return FirstCorrection(scale * (total + 2.0 * variances), -scale * variances)
