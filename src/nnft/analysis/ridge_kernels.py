"""Spectra of the kernels of infinitely wide networks: on a sphere, and on the training inputs of a card."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnft.analysis.ridge_source import FloatArray, RidgeSource, given_target, make_source
from nnft.analysis.trained_kernels import BY_QUADRATURE, MOST_PAIRS, pairs
from nnft.errors import UsageError, shorten
from nnft.spec.run import RunSpec

KERNELS = ("nngp", "ntk")
MOST_DEPTH = 100
NEGLIGIBLE = 1e-12
TANGENT_NOTE = (
    "tangent kernel: the mean is that of trained networks, variance (i) is not that of their ensemble"
)


@dataclass(frozen=True)
class SphereOptions:
    """A network of infinite width whose inputs are uniform on a sphere.

    Attributes
    ----------
    d : int
        Dimension of the inputs.
    activation : str
    depth : int
        Hidden layers.
    weight_variance, bias_variance : tuple of float
        One number, or one for each affine layer.
    radius : float
        ``|x|^2 / d``.
    degrees : int
        Highest degree that is listed; the variance above it is added to the ridge.
    """

    d: int
    activation: str
    depth: int = 1
    weight_variance: tuple[float, ...] = (1.0,)
    bias_variance: tuple[float, ...] = (0.0,)
    radius: float = 1.0
    degrees: int = 20

    def variances(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return both variances of every affine layer.

        Raises
        ------
        UsageError
            There is neither one number nor one for each layer, or one is negative.
        """
        layers = self.depth + 1
        found = []
        for name, given in (("weight_variance", self.weight_variance), ("bias_variance", self.bias_variance)):
            every = given * layers if len(given) == 1 else given
            if len(every) != layers or min(every) < 0.0:
                raise UsageError(
                    f"wrong {name} in --sphere: got {'/'.join(f'{v:g}' for v in given)[:50]}; "
                    f"give one number >= 0, or {layers} divided by /"
                )
            found.append(every)
        return found[0], found[1]


def sphere_source(
    options: SphereOptions, kernel: str = "nngp", target: Mapping[int, float] | None = None
) -> RidgeSource:
    """Spectrum of a network's kernel for inputs uniform on a sphere.

    Parameters
    ----------
    options : SphereOptions
    kernel : {'nngp', 'ntk'}
        The tangent kernel has rates 1 of all unit-scale weights, and of biases where there are any.
    target : mapping of int to float, optional
        Target powers by degree; left out: a target from the prior.

    Raises
    ------
    UsageError
        An option is out of range.
    NumericalError
        The kernel is not finite.
    """
    from nnft.spec.network import ACTIVATIONS
    from nnft.theory.dot_product_kernels import SphereNetwork
    from nnft.theory.sphere_spectrum import sphere_spectrum

    names = [name for name in ACTIVATIONS if name == options.activation]
    if not names:
        raise UsageError(
            f"unknown activation in --sphere: got {shorten(options.activation)}; "
            f"one of {', '.join(ACTIVATIONS)}"
        )
    if not 0 <= options.depth <= MOST_DEPTH:
        raise UsageError(f"depth out of range in --sphere: got {options.depth}; allowed: 0 to {MOST_DEPTH}")
    weights, biases = options.variances()
    network = SphereNetwork(
        options.activation,
        weights,
        biases,
        tuple(value for _, value in ACTIVATIONS[names[0]]),
        weight_rates=(1.0,) * len(weights),
        bias_rates=tuple(float(value > 0.0) for value in biases),
        radius_square=options.radius,
    )
    chosen = network.nngp if kernel == "nngp" else network.tangent
    found = sphere_spectrum(chosen, options.d, options.degrees)
    power = None if target is None else given_target(target, options.degrees + 1, 0)
    layers = "1 hidden layer" if options.depth == 1 else f"{options.depth} hidden layers"
    title = f"{kernel.upper()} of {options.activation} with {layers} on the sphere in d = {options.d}"
    notes = (TANGENT_NOTE,) if kernel == "ntk" else ()
    tail = found.tail if found.tail > NEGLIGIBLE * found.trace else 0.0
    if tail > 0.0:
        notes = (*notes, f"degrees above {options.degrees}: variance {tail:.4g} of {found.trace:.4g}, "
                 "added to the ridge as the flow would")  # fmt: skip
    levels = found.eigenvalues, found.multiplicities, power
    return make_source("sphere", title, levels, first=0, tail=tail, notes=notes)


def card_source(path: str | os.PathLike[str], kernel: str = "nngp") -> RidgeSource:
    """Spectrum of the kernel of a card's network, at infinite width, on its training inputs.

    Eigenvalues of K / P0 on the P0 training inputs, and squared projections of the targets of the output
    ``training.observe``: spectrum and target for the law that draws one of these inputs at random.

    Parameters
    ----------
    path : str or path
        Card with a table [training].
    kernel : {'nngp', 'ntk'}
        Prior covariance of an output, or tangent kernel of the layers that train, with their rates.

    Raises
    ------
    CardError, DataFileError
        The card or its data cannot be used.
    UsageError
        No training, or more points than kernels are computed for.
    NumericalError
        The kernel is not finite or not positive semidefinite.
    """
    from nnft.store.points import read_h5_points

    spec = RunSpec.from_card(os.fspath(path), read_dataset=read_h5_points)
    data = spec.dataset()
    count = len(data.train_inputs)
    most = MOST_PAIRS[spec.network.activation in BY_QUADRATURE]
    if pairs(count) > most:
        raise UsageError(
            f"too many training points for the kernel of {spec.network.activation}: got {count}; "
            f"at most {(math.isqrt(8 * most + 1) - 1) // 2}"
        )
    matrix, ridge = _kernel(spec, kernel, data.train_inputs)
    return replace(
        _projected(matrix, data.train_targets[:, spec.training.observe if spec.training else 0],
                   f"{kernel.upper()} of {shorten(Path(path).name)} on its {count} training inputs"),
        ridge=ridge,
        points=(float(count),),
        notes=(
            f"P counts points drawn at random from the {count} inputs, with repetition; for new inputs read "
            f"P far below {count}",
            "noise of the card's labels is a part of the target here",
            *((TANGENT_NOTE,) if kernel == "ntk" else ()),
        ),
    )  # fmt: skip


def _kernel(spec: RunSpec, kernel: str, inputs: FloatArray) -> tuple[FloatArray, float]:
    """Kernel on the inputs, and the ridge of the card; without one, or for a tangent kernel, 0."""
    from nnft.analysis.cosines import cosine_kernel, cosine_law
    from nnft.spec.training_resolution import resolve_training
    from nnft.theory.nngp import nngp_kernel
    from nnft.theory.training_kernel import layer_rates, training_kernel

    network, training = spec.network, spec.training
    if training is None:
        raise UsageError("no data in the card: got no table [training]; give one")
    resolved = resolve_training(training, network, spec.dataset(), "auto", 1)
    law = cosine_law(network.model_dump(), inputs.shape[1])
    if law is not None:
        matrix, mobility = cosine_kernel(law, inputs), resolved.weight_mobilities[-1] * network.widths[-1]
        if kernel == "nngp":
            return matrix, resolved.ridge
        return matrix * (mobility / network.weight_variances[-1]), 0.0
    variances = network.weight_variances, network.bias_variances
    if kernel == "nngp":
        parameters = network.activation_parameters
        return nngp_kernel(inputs, network.activation, *variances, parameters)[-1], resolved.ridge
    rates = layer_rates(network.widths, inputs.shape[1], resolved.weight_mobilities, resolved.bias_mobilities)
    parameters = network.activation_parameters
    return training_kernel(inputs, network.activation, *variances, parameters, *rates), 0.0


def _projected(matrix: FloatArray, target: FloatArray, title: str) -> RidgeSource:
    """Eigenvalues over the number of points, largest first, with the power of the target in each mode."""
    from nnft.theory.gaussian_process import kernel_eigenvalues

    count = len(target)
    values, vectors = kernel_eigenvalues(matrix)
    values, vectors = values[::-1] / count, vectors[:, ::-1]
    values = np.where(values > count * np.finfo(np.float64).eps * values[0], values, 0.0)
    power = (vectors.T @ target) ** 2 / count
    return make_source("card", title, (values, np.ones(count), power))
