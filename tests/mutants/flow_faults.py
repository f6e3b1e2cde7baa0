"""Faults of flows over cutoffs: their sums, quantities and couplings."""

from __future__ import annotations

from fault import Fault

FLOW_FAULTS = [
    Fault(
        "scatter over refills divided by their number",
        "pipeline/flow_state.py",
        "    total /= refills - 1\n",
        "    total /= refills\n",
        "analysis/test_flow_quantity.py::test_within_and_between_are_the_whole_and_those_of_the_networks",
    ),
    Fault(
        "outputs of single networks in the order of falling cutoffs",
        "pipeline/flow_state.py",
        "kept = flowed.outputs[: count * self.chains : self.chains, 0, :, :points].copy()",
        "kept = flowed.outputs[: count * self.chains : self.chains, 0, ::-1, :points].copy()",
        "analysis/test_flow_refills.py::test_kept_outputs_are_those_of_the_sums",
    ),
    Fault(
        "information of a spectrum one bin too high",
        "_kernels/renormalization.py",
        'np.searchsorted(EDGES, value, side="right")',
        'np.searchsorted(EDGES, value, side="right") + 1',
        "analysis/test_flow_refills.py::test_spectrum_adds_up_to_the_sloppy_shares",
    ),
    Fault(
        "couplings of a flow at the neighbouring cutoff",
        "analysis/renormalized_run.py",
        "CutoffSource(self.at(c), run.path, run.points, run.card) for c in range(len(self.cutoffs))",
        "CutoffSource(self.at(max(c - 1, 0)), run.path, run.points, run.card) "
        "for c in range(len(self.cutoffs))",
        "analysis/test_flow_couplings.py::test_couplings_are_those_of_the_action_at_every_cutoff",
    ),
    Fault(
        "error of a trimmed mean as of all networks",
        "analysis/flow_robust.py",
        "/ ((1.0 - 2.0 * cut / count) * count**0.5)",
        "/ count**0.5",
        "analysis/test_flow_robust.py::test_errors_cover_what_they_should",
    ),
    Fault(
        "error that many refills leave with three times the refills",
        "analysis/flow_refills.py",
        "least = max(error**2 - part / samples, 0.0) ** 0.5",
        "least = max(error**2 - part / samples / 3, 0.0) ** 0.5",
        "analysis/test_flow_refills.py::test_error_that_more_refills_would_save",
    ),
]
