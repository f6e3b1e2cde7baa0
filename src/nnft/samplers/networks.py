"""From a network of a card to the sampler of its ensemble at initialization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.samplers.initial import InitialEnsemble
from nnft.spec.cosines import CosineNetwork
from nnft.spec.network_kinds import AnyNetwork


def network_ensemble(
    network: AnyNetwork,
    points: npt.NDArray[np.float64],
    outputs: int,
    seed: int,
    method: str,
    precision: str,
) -> InitialEnsemble:
    """Return the sampler of a network.

    Parameters
    ----------
    network : AnyNetwork
    points : ndarray of float64, shape (P, d)
    outputs : int
        Outputs that are drawn where outputs are asked for.
    seed : int
    method : {'collapsed', 'explicit'}
        Networks of cosines draw their momenta, phases and amplitudes whatever it says.
    precision : {'float64', 'float32'}

    Raises
    ------
    UsageError
        The method or precision is unknown.
    NumericalError
        The kernel of the first layer overflows.
    """
    dimension = points.shape[1]
    return InitialEnsemble(
        points,
        network.widths,
        network.activation,
        network.kernel_parameters(dimension),
        network.layer_variances(dimension),
        network.bias_variances,
        outputs,
        seed,
        "waves" if isinstance(network, CosineNetwork) else method,
        precision,
    )
