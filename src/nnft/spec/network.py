"""The architecture and the weight law of a multilayer perceptron."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from nnft.spec.fields import MOST_HIDDEN_LAYERS, Integer, Real, Table, VariancePerLayer, as_sequence
from nnft.spec.problems import mistake

ActivationName = Literal[
    "linear",
    "relu",
    "leaky_relu",
    "tanh",
    "erf",
    "sin",
    "cos",
    "gelu",
    "silu",
    "softplus",
    "sigmoid",
    "quadratic",
    "exp",
]

ACTIVATIONS: dict[ActivationName, tuple[tuple[str, float], ...]] = {
    "linear": (),
    "relu": (),
    "leaky_relu": (("slope_positive", 1.0), ("slope_negative", 0.01)),
    "tanh": (),
    "erf": (),
    "sin": (),
    "cos": (),
    "gelu": (),
    "silu": (),
    "softplus": (),
    "sigmoid": (),
    "quadratic": (("a0", 0.0), ("a1", 0.0), ("a2", 1.0)),
    "exp": (),
}
"""Names and default values of the parameters of every activation, in order."""

LARGEST_WIDTH = 10**7

Width = Annotated[Integer, Field(ge=1, le=LARGEST_WIDTH)]
Widths = Annotated[tuple[Width, ...], as_sequence(MOST_HIDDEN_LAYERS)]
Parameter = Annotated[Real, Field(ge=-1e6, le=1e6)]
Parameters = Annotated[tuple[Parameter, ...], as_sequence(8)]


class NetworkSpec(Table):
    """A multilayer perceptron with independent Gaussian weights and biases.

    Affine layers ``l = 1..L`` with ``L = len(widths) + 1``; weights of layer l have variance
    ``weight_variance / fan_in``, biases have variance ``bias_variance`` (Roberts, Yaida, Hanin,
    "The Principles of Deep Learning Theory", arXiv:2106.10165, eq. 2.19-2.20). The output is the last
    pre-activation; the activation acts on neither inputs nor outputs.

    Attributes
    ----------
    kind : str
        ``"mlp"``.
    widths : tuple of int
        Neurons of every hidden layer; empty for a linear model.
    activation : str
        One of `ACTIVATIONS`.
    activation_parameters : tuple of float
        In the order of `ACTIVATIONS`; defaults filled in.
    weight_variance, bias_variance : float or tuple of float
        One number, or one for every affine layer.
    outputs : int
        Output neurons D.
    """

    kind: Literal["mlp"] = Field("mlp", description='"mlp", "cos-net" or "free-scalar"')
    widths: Widths = Field(
        description=f"a list of at most {MOST_HIDDEN_LAYERS} whole numbers from 1 to {LARGEST_WIDTH}",
    )
    activation: ActivationName = Field(description="one of " + ", ".join(ACTIVATIONS))
    activation_parameters: Parameters = Field((), description="a list of numbers from -1e6 to 1e6")
    weight_variance: VariancePerLayer = Field(
        1.0, description="a number from 0 to 1e6, or a list with one for each layer"
    )
    bias_variance: VariancePerLayer = Field(
        0.0, description="a number from 0 to 1e6, or a list with one for each layer"
    )
    outputs: Annotated[Integer, Field(ge=1, le=10**5)] = Field(
        1, description="a whole number from 1 to 100000"
    )

    @field_validator("activation_parameters")
    @classmethod
    def _fill_parameters(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        name = info.data.get("activation")
        if name is None:
            return values
        known = ACTIVATIONS[name]
        if not values:
            return tuple(default for _, default in known)
        if len(values) != len(known):
            wanted = ", ".join(parameter for parameter, _ in known) or "none"
            raise mistake(
                "wrong number of values",
                f"the parameters of network.activation {name!r} are: {wanted}",
                f"{len(values)} values",
            )
        return values

    @field_validator("weight_variance", "bias_variance")
    @classmethod
    def _one_for_each_layer(
        cls, value: float | tuple[float, ...], info: ValidationInfo
    ) -> float | tuple[float, ...]:
        widths = info.data.get("widths")
        if widths is not None and isinstance(value, tuple) and len(value) != len(widths) + 1:
            raise mistake(
                "wrong number of values",
                f"allowed: one number, or {len(widths) + 1}, for the layers of network.widths and the output",
                f"{len(value)} values",
            )
        return value

    @property
    def layers(self) -> int:
        """Number L of affine layers."""
        return len(self.widths) + 1

    @property
    def weight_variances(self) -> tuple[float, ...]:
        """Weight variance of every affine layer, length L."""
        return self._spread(self.weight_variance)

    @property
    def bias_variances(self) -> tuple[float, ...]:
        """Bias variance of every affine layer, length L."""
        return self._spread(self.bias_variance)

    def layer_variances(self, dimension: int) -> tuple[float, ...]:
        """Return `weight_variances`; the dimension of the inputs does not matter."""
        del dimension
        return self.weight_variances

    def kernel_parameters(self, dimension: int) -> tuple[float, ...]:
        """Return what the kernels take: the parameters of the activation."""
        del dimension
        return self.activation_parameters

    def _spread(self, value: float | tuple[float, ...]) -> tuple[float, ...]:
        return value if isinstance(value, tuple) else (value,) * self.layers
