"""Pictures of densities of so few outputs that no bin of their histogram is full."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from nnft.plots import slices


def test_ratio_of_nothing_has_an_axis() -> None:
    class Empty:
        fields = np.linspace(-3.0, 3.0, 7)
        deviation, point, outputs = 1e-9, 0, None

        def series(self) -> list[tuple[np.ndarray, np.ndarray]]:
            return [(self.fields, np.full(7, np.nan))]

        def histogram(self) -> None:
            return None

    axes = Figure().add_subplot()
    slices.draw_ratio(axes, Empty())  # type: ignore[arg-type]
    low, high = axes.get_ylim()
    assert low < 1.0 < high
