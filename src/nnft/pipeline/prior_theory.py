"""Exact and infinite-width kernels of networks before any training, kept beside the results of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.samplers.initial import first_kernel
from nnft.spec.cosines import CosineNetwork
from nnft.spec.run import RunSpec
from nnft.theory.nngp import nngp_kernel

FloatArray = npt.NDArray[np.float64]

MOST_PAIRS = 600


def prior_kernels(spec: RunSpec) -> dict[str, np.ndarray[Any, Any]]:
    """Return the kernels of all layers on the input points, shape (L, P, P), where they are quick.

    Those of infinite width; for networks of cosines those of every width: the covariance of phases and of
    the outputs.
    """
    network, points = spec.network, spec.mesh().points
    if len(points) * (len(points) + 1) // 2 > MOST_PAIRS:
        return {}
    if isinstance(network, CosineNetwork):
        kernels = _cosine_kernels(network, points)
    else:
        kernels = nngp_kernel(
            points,
            network.activation,
            network.weight_variances,
            network.bias_variances,
            network.activation_parameters,
        )
    return {"nngp_kernel": np.stack(kernels)} if np.isfinite(kernels).all() else {}


def _cosine_kernels(network: CosineNetwork, points: FloatArray) -> list[FloatArray]:
    from nnft.analysis.cosines import cosine_kernel, cosine_law

    dimension = points.shape[1]
    first = first_kernel(points, network.layer_variances(dimension)[0], network.bias_variances[0])
    law = cosine_law(network.model_dump(), dimension)
    if law is None:
        raise ValueError("network of cosines without a law")
    try:
        return [first, cosine_kernel(law, points)]
    except UsageError:  # distances of more waves than can be averaged
        return [np.full_like(first, np.nan)] * 2
