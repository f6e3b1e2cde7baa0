"""Faults of flows along directions, conditional fills, networks of cosines, and the flow of the ridge."""

from __future__ import annotations

from fault import Fault

DIRECTIONS = "samplers/test_direction_flow.py"
CONDITIONAL = "samplers/test_conditional_flow.py"

DIRECTION_FAULTS = [
    Fault(
        "replacement along stiff directions not in coordinates",
        "samplers/direction_flow.py",
        "fill + self.roots * found.kept((numbers - fill) / self.roots, cutoff)",
        "fill + found.kept(numbers - fill, cutoff)",
        f"{DIRECTIONS}::test_flow_is_that_of_dense_eigenvectors",
    ),
    Fault(
        "directions without information kept",
        "samplers/fisher_directions.py",
        "return below + self.zeros if cutoff > 0.0 else below",
        "return below",
        f"{DIRECTIONS}::test_shares_and_zeros_of_directions",
    ),
    Fault(
        "singular values for the information",
        "samplers/fisher_directions.py",
        "return left[:, real], singular[real] ** 2, ",
        "return left[:, real], singular[real], ",
        f"{DIRECTIONS}::test_flow_is_that_of_dense_eigenvectors",
    ),
    Fault(
        "second moment for the spread of the information over the inputs",
        "samplers/fisher_directions.py",
        "np.maximum(points * np.sum(weights**2, axis=0) - 1.0, 0.0)",
        "points * np.sum(weights**2, axis=0)",
        f"{DIRECTIONS}::test_errors_of_the_information_of_directions",
    ),
    Fault(
        "conditional fill without the ridge",
        "samplers/conditional_flow.py",
        "self._between[:, :count] + flow.schedule.ridge * np.eye(count)",
        "self._between[:, :count] + 1e-9 * np.eye(count)",
        f"{CONDITIONAL}::test_flow_is_that_of_the_dense_law",
    ),
    Fault(
        "expected errors of a conditional fill without the variance",
        "samplers/conditional_flow.py",
        "np.mean(missed**2) + np.mean(variance[first:last])",
        "np.mean(missed**2)",
        f"{CONDITIONAL}::test_flow_is_that_of_the_dense_law",
    ),
    Fault(
        "targets not less what stiff coordinates explain",
        "samplers/conditional_flow.py",
        "left = self._targets - self._rows[:, :stiff] @ readout.numbers[:stiff]",
        "left = self._targets.copy()",
        f"{CONDITIONAL}::test_flow_is_that_of_the_dense_law",
    ),
    Fault(
        "momenta uniform in the radius, not in the ball",
        "_kernels/core/waves.h",
        "length = vd_mul(size, vd_load(root + i));",
        "length = vd_mul(size, vd_mul(vd_load(root + i), vd_load(root + i)));",
        "kernels/test_waves.py::test_twin",
    ),
    Fault(
        "gain of cosines without the mass",
        "_kernels/core/waves.h",
        "vd_sqrt(vd_fma(length, length, mass))",
        "vd_sqrt(vd_mul(length, length))",
        "kernels/test_waves.py::test_twin",
    ),
    Fault(
        "ridge of the modes without the mode itself",
        "theory/wilsonian_ridge.py",
        "unresolved = points * values < ridges[:-1]",
        "unresolved = points * values < ridges[1:]",
        "theory/test_ridge_flow.py::test_flow_by_its_definition_in_any_order",
    ),
    Fault(
        "variance that was integrated out not in the posterior",
        "theory/wilsonian_ridge.py",
        "gone = Remainder(flow.ridge - bare, ",
        "gone = Remainder(0.0, ",
        "theory/test_ridge_flow.py::test_a_gap_makes_the_flow_accurate",
    ),
    Fault(
        "infinite flow with the information of a network of width one",
        "pipeline/flow_infinite.py",
        "    rate = resolved.weight_rates[-1]\n",
        "    rate = 1.0\n",
        "stat/test_flow_infinite.py::test_wide_networks_follow_those_of_infinite_width",
    ),
]
