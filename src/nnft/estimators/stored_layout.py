"""Sums and their layout as the arrays of a result file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import DataFileError, UsageError, shorten
from nnft.estimators.layout import KINDS, PAIR_CHOICES, WEIGHT_SUMS, SumLayout, sum_layout

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]


def layout_arrays(layout: SumLayout) -> Arrays:
    """Return a layout as arrays.

    Returns
    -------
    dict of str to ndarray of int64
        ``layout``, five numbers: place of the kind in conditional, direct, reweighted, trained,
        trained-conditional; number of points; outputs; last layer; place of the layer pairs in all,
        diagonal. ``orders`` and ``layers``.
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


@dataclass(frozen=True, eq=False)
class StoredSums:
    """What an estimator is made of.

    Attributes
    ----------
    layout : SumLayout
    counts : ndarray of int64, shape (bins,)
        Networks in each bin.
    sums : dict of str to ndarray of float64, shape (bins, m)
    shift : ndarray of float64, shape (Q,) or (P,)
    layer_shifts : dict of int to ndarray of float64, shape (Q,)
    weight_shift : float
    draws : int
        Samples of one network.
    """

    layout: SumLayout
    counts: npt.NDArray[np.int64]
    sums: dict[str, FloatArray]
    shift: FloatArray
    layer_shifts: dict[int, FloatArray]
    weight_shift: float = 0.0
    draws: int = 1

    def to_arrays(self) -> Arrays:
        """Return all of it as named arrays; the sums are not copied."""
        layout = self.layout
        arrays: Arrays = {"count": self.counts, shift_name(layout): self.shift}
        arrays |= layout_arrays(layout)
        if layout.kind == "reweighted":
            arrays["weight_shift"] = np.array(self.weight_shift)
        if layout.has_mean:
            arrays["draws"] = np.array(self.draws, dtype=np.int64)
        arrays |= {f"layer_shift/{layer}": shift for layer, shift in self.layer_shifts.items()}
        arrays |= {f"sums/{name}": stored for name, stored in self.sums.items()}
        with_points = [name for name in self.sums if name not in WEIGHT_SUMS]
        return arrays | {f"indices/{name}": layout.indices(name) for name in with_points}


def read_sums(arrays: Mapping[str, npt.NDArray[Any]]) -> StoredSums:
    """Return what `StoredSums.to_arrays` described; sums that are float64 already are not copied.

    Raises
    ------
    DataFileError
        If an array is missing or does not fit the layout.
    """
    try:
        layout = read_layout(arrays)
        counts = np.array(arrays["count"], dtype=np.int64)
        sums: dict[str, FloatArray] = {}
        for name, size in layout.sizes.items():
            stored = np.asarray(arrays[f"sums/{name}"], dtype=np.float64)
            if stored.shape != (len(counts), size):
                raise UsageError(f"wrong shape of sums/{name}: got {stored.shape}")
            sums[name] = stored
        return StoredSums(
            layout,
            counts,
            sums,
            arrays[shift_name(layout)],
            {layer: arrays[f"layer_shift/{layer}"] for layer in layout.layers},
            float(arrays["weight_shift"]) if layout.kind == "reweighted" else 0.0,
            int(arrays["draws"]) if layout.has_mean else 1,
        )
    except (KeyError, ValueError, TypeError, IndexError, UsageError) as error:
        raise unusable(error) from error


def unusable(error: Exception) -> DataFileError:
    """Return the refusal of arrays that make no estimator."""
    return DataFileError(
        f"unusable estimator in the result file: got {shorten(str(error), 100)}; restore the file"
    )


def shift_name(layout: SumLayout) -> str:
    """Return what the shift is stored as: that of a packed metric, or of a field with a mean."""
    return "field_shift" if layout.has_mean else "shift"
