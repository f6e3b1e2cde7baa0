"""Networks of cosines as field theories: the kinds ``cos-net`` and ``free-scalar``."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from nnft.errors import CardError
from nnft.spec.fields import Integer, Real, Table
from nnft.spec.network import LARGEST_WIDTH, Width
from nnft.spec.problems import line, mistake, shown

Positive = Annotated[Real, Field(ge=1e-6, le=1e6)]
AmplitudeVariance = Annotated[Real, Field(ge=1e-12, le=1e6)]
Amplitudes = Literal["gaussian", "fixed"]
Outputs = Annotated[Integer, Field(ge=1, le=10**5)]

IN_BALL, FIXED = 1, 2
"""Bits of the last number of `CosineNetwork.kernel_parameters`."""

_WIDTH = f"a whole number from 1 to {LARGEST_WIDTH}"
_POSITIVE = "a number from 1e-6 to 1e6"
_AMPLITUDES = '"gaussian" or "fixed"'
_VARIANCE = "a number from 1e-12 to 1e6"
_OUTPUTS = "a whole number from 1 to 100000"
_OF_LAW: dict[str, tuple[str, ...]] = {"ball": ("cutoff", "mass"), "normal": ("momentum_variance",)}


class CosineNetwork(Table):
    """What all networks of cosines have in common, seen as networks of one hidden layer.

    ``f(x) = F sum_i a_i cos(b_i.x + c_i) / (|b_i|^2 + m^2)^(1/2)``, phases uniform in [-pi, pi), amplitudes
    of variance ``sigma_a^2 / N``. Momenta b and phases c are weights and biases of the first of two affine
    layers, which is never trained; amplitudes are the weights of the second.
    """

    width: Width = Field(description=_WIDTH)

    @property
    @abstractmethod
    def law(self) -> str:
        """Law of the momenta: ``"ball"`` or ``"normal"``."""

    @property
    @abstractmethod
    def momentum_scale(self) -> tuple[float, float]:
        """Radius of the ball and mass; or the variance of the momenta and 0."""

    def factor(self, dimension: int) -> float:
        """Number F in front of the sum, for inputs of a dimension."""
        del dimension
        return 1.0

    @property
    @abstractmethod
    def amplitude_law(self) -> str:
        """``"gaussian"`` or ``"fixed"``."""

    @property
    @abstractmethod
    def readout_variance(self) -> float:
        """sigma_a^2."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths, (N,)."""
        return (self.width,)

    @property
    def layers(self) -> int:
        """Number of affine layers, 2."""
        return 2

    @property
    def activation(self) -> str:
        """Name of the activation, ``"cos"``."""
        return "cos"

    @property
    def activation_parameters(self) -> tuple[float, ...]:
        """None; see `kernel_parameters`."""
        return ()

    @property
    def weight_variances(self) -> tuple[float, ...]:
        """``<|b|^2>`` up to a factor of the dimension, see `layer_variances`, and sigma_a^2."""
        return self.layer_variances(1)

    @property
    def bias_variances(self) -> tuple[float, ...]:
        """Variance pi^2/3 of the phases, and 0: amplitudes have no bias."""
        return (math.pi**2 / 3.0, 0.0)

    def layer_variances(self, dimension: int) -> tuple[float, ...]:
        """Return ``<|b|^2>`` and sigma_a^2 for inputs of a dimension."""
        scale, _ = self.momentum_scale
        square = scale**2 * dimension / (dimension + 2.0) if self.law == "ball" else scale
        return (square, self.readout_variance)

    def kernel_parameters(self, dimension: int) -> tuple[float, float, float, float]:
        """Return what the kernels take in place of parameters of an activation.

        Factor F; m^2, or -1 without a denominator; radius of the ball, or standard deviation of each
        component of a momentum; bits `IN_BALL` and `FIXED`.

        Raises
        ------
        CardError
            The factor is no number in so many dimensions.
        """
        scale, mass = self.momentum_scale
        factor = self.factor(dimension)
        if not (factor > 0.0 and math.isfinite(factor)):
            advice = "its factor is 0 or infinite: take fewer dimensions or another network.cutoff"
            raise CardError([line("impossible network", "inputs", f"dimension {dimension}", advice)])
        ball = self.law == "ball"
        code = (IN_BALL if ball else 0) + (FIXED if self.amplitude_law == "fixed" else 0)
        return (
            factor,
            mass**2 if ball else -1.0,
            scale if ball else math.sqrt(scale / dimension),
            float(code),
        )

    def describe(self) -> str:
        """Return momenta and amplitudes in words."""
        scale, mass = self.momentum_scale
        where = f"uniform in a ball, cutoff {scale!r}, mass {mass!r}"
        if self.law != "ball":
            where = f"normal, variance {scale!r} over the dimension"
        return f"momenta {where}; amplitudes {self.amplitude_law}, variance {self.readout_variance!r} / N"


class CosNetSpec(CosineNetwork):
    """A network of cosines (Halverson, arXiv:2112.04527; Howard et al., arXiv:2405.17538, eq. 77).

    Attributes
    ----------
    kind : str
        ``"cos-net"``.
    width : int
        Number N of cosines.
    momenta : str
        ``"ball"``: uniform in a ball, with the denominator; ``"normal"``: normal, without.
    cutoff, mass : float
        Radius of the ball and m; of momenta in a ball.
    momentum_variance : float
        sigma_b^2: components have the variance sigma_b^2 / d; of normal momenta.
    amplitudes : str
        ``"gaussian"``, or ``"fixed"``: all of one size, with signs drawn at random.
    amplitude_variance : float
        sigma_a^2.
    outputs : int
        Outputs D, which share momenta and phases.
    """

    kind: Literal["cos-net"] = Field(description='"mlp", "cos-net" or "free-scalar"')
    momenta: Literal["ball", "normal"] = Field(description='"ball" or "normal"')
    cutoff: Positive | None = Field(None, description=_POSITIVE)
    mass: Positive | None = Field(None, description=_POSITIVE)
    momentum_variance: Positive | None = Field(None, description=_POSITIVE)
    amplitudes: Amplitudes = Field("gaussian", description=_AMPLITUDES)
    amplitude_variance: AmplitudeVariance = Field(1.0, description=_VARIANCE)
    outputs: Outputs = Field(1, description=_OUTPUTS)

    @field_validator("cutoff", "mass", "momentum_variance")
    @classmethod
    def _belongs_to_the_momenta(cls, value: float | None, info: ValidationInfo) -> float | None:
        law, name = info.data.get("momenta"), str(info.field_name)
        if law is None:
            return value
        needed = name in _OF_LAW[law]
        if needed and value is None:
            raise mistake("missing key", f'give {_POSITIVE}: momenta = "{law}" need it', "nothing")
        if not needed and value is not None:
            allowed = " and ".join(_OF_LAW[law])
            raise mistake("contradiction", f'momenta = "{law}" have {allowed}: leave it out', shown(value))
        return value

    @property
    def law(self) -> str:
        """Law of the momenta."""
        return self.momenta

    @property
    def momentum_scale(self) -> tuple[float, float]:
        """Radius of the ball and mass; or the variance of the momenta and 0."""
        return (self.cutoff or 0.0, self.mass or 0.0) if self.law == "ball" else (
            self.momentum_variance or 0.0, 0.0,
        )  # fmt: skip

    @property
    def amplitude_law(self) -> str:
        """``"gaussian"`` or ``"fixed"``."""
        return self.amplitudes

    @property
    def readout_variance(self) -> float:
        """sigma_a^2."""
        return self.amplitude_variance


class FreeScalarSpec(CosineNetwork):
    """A network of cosines whose propagator is that of the free scalar with a sharp cutoff.

    The factor ``F = (2 vol / ((2 pi)^d sigma_a^2))^(1/2)``, with the volume of the ball and the dimension d
    of the inputs, makes it ``theta(Lambda - |p|) / (p^2 + m^2)`` at every width and variance of the
    amplitudes (Halverson, arXiv:2112.04527; Howard et al., arXiv:2405.17538, eq. 82-84).

    Attributes
    ----------
    kind : str
        ``"free-scalar"``.
    width : int
        Number N of cosines.
    cutoff, mass : float
        Lambda and m.
    amplitudes, amplitude_variance, outputs
        As in `CosNetSpec`.
    """

    kind: Literal["free-scalar"] = Field(description='"mlp", "cos-net" or "free-scalar"')
    cutoff: Positive = Field(description=_POSITIVE)
    mass: Positive = Field(description=_POSITIVE)
    amplitudes: Amplitudes = Field("gaussian", description=_AMPLITUDES)
    amplitude_variance: AmplitudeVariance = Field(1.0, description=_VARIANCE)
    outputs: Outputs = Field(1, description=_OUTPUTS)

    @property
    def law(self) -> str:
        """Law of the momenta, ``"ball"``."""
        return "ball"

    @property
    def momentum_scale(self) -> tuple[float, float]:
        """Radius of the ball and mass."""
        return self.cutoff, self.mass

    @property
    def amplitude_law(self) -> str:
        """``"gaussian"`` or ``"fixed"``."""
        return self.amplitudes

    @property
    def readout_variance(self) -> float:
        """sigma_a^2."""
        return self.amplitude_variance

    def factor(self, dimension: int) -> float:
        """Number F in front of the sum; infinite or 0 where it is no number of double precision."""
        half = 0.5 * dimension
        volume = half * math.log(math.pi) + dimension * math.log(self.cutoff) - math.lgamma(half + 1.0)
        square = math.log(2.0) + volume - dimension * math.log(2.0 * math.pi)
        exponent = 0.5 * (square - math.log(self.amplitude_variance))
        return math.exp(exponent) if abs(exponent) < 700.0 else 0.0
