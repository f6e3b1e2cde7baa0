"""A layout of sums as the small arrays of a result file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.estimators.layout import EstimatorKind, LayerPairs, SumLayout, sum_layout

KINDS: tuple[EstimatorKind, ...] = ("conditional", "direct", "reweighted")
PAIR_CHOICES: tuple[LayerPairs, ...] = ("all", "diagonal")

Arrays = dict[str, npt.NDArray[Any]]


def layout_arrays(layout: SumLayout) -> Arrays:
    """Return a layout as arrays.

    Returns
    -------
    dict of str to ndarray of int64
        ``layout``, five numbers: place of the kind in conditional, direct, reweighted; number of points;
        outputs; last layer; place of the layer pairs in all, diagonal. ``orders`` and ``layers``.
    """
    numbers = [
        KINDS.index(layout.kind),
        layout.n_points,
        layout.outputs,
        layout.last_layer,
        PAIR_CHOICES.index(layout.layer_pairs),
    ]
    return {
        "layout": np.array(numbers, dtype=np.int64),
        "orders": np.array(layout.orders, dtype=np.int64),
        "layers": np.array(layout.layers, dtype=np.int64),
    }


def read_layout(arrays: Mapping[str, npt.NDArray[Any]]) -> SumLayout:
    """Return the layout that `layout_arrays` described.

    Raises
    ------
    KeyError, ValueError, IndexError, UsageError
        An array is missing or makes no sense.
    """
    kind, n_points, outputs, last_layer, pairs = (int(number) for number in arrays["layout"])
    return sum_layout(
        n_points,
        KINDS[kind],
        [int(order) for order in arrays["orders"]],
        outputs=outputs,
        last_layer=last_layer,
        layers=[int(layer) for layer in arrays["layers"]],
        layer_pairs=PAIR_CHOICES[pairs],
    )
