"""Weights of stored outputs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.estimators.insertion import deformation_energies, deformation_weights

FIELDS = np.array([[[1.0, -2.0], [0.5, 1.0]], [[0.0, 0.0], [0.0, 3.0]]])


def test_energies_by_hand() -> None:
    each = deformation_energies(FIELDS, phi2=[2.0, 0.0], phi4=24.0, phi6=[0.0, 720.0], cell=0.5)
    first = 0.5 * ((1 + 1) + (0.25 + 0.0625) + (16 + 64) + (1 + 1))
    assert each.tolist() == [first, 0.5 * (81 + 729)]
    total = deformation_energies(FIELDS, phi4=24.0, cell=2.0, invariance="total")
    assert total.tolist() == [2.0 * (1.25**2 + 25.0), 2.0 * 81.0]
    assert np.array_equal(deformation_energies(FIELDS), [0.0, 0.0])


def test_one_output_has_no_invariance_to_choose() -> None:
    each, total = (
        deformation_energies(FIELDS[:, :1], phi2=0.3, phi4=1.0, invariance=word) for word in ("each", "total")
    )
    assert np.array_equal(each, total)


def test_weights_are_relative_to_the_largest() -> None:
    weights = deformation_weights(FIELDS * 100, phi4=1.0)
    energies = deformation_energies(FIELDS * 100, phi4=1.0)
    assert weights.max() == 1.0
    assert weights.tolist() == np.exp(energies.min() - energies).tolist()
    assert deformation_weights(np.zeros((0, 1, 2)), phi4=1.0).shape == (0,)


def test_shapes_and_words_are_checked() -> None:
    with pytest.raises(UsageError, match=r"fields \(2, 2\)"):
        deformation_energies(FIELDS[:, 0], phi4=1.0)
    with pytest.raises(UsageError, match=r"couplings \(\), \(3,\), \(\)"):
        deformation_energies(FIELDS, phi4=[1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="each or total"):
        deformation_energies(FIELDS, phi4=1.0, invariance="all")
