"""What determines the numbers of a run, key by key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from nnft.spec.cosines import CosineNetwork
from nnft.spec.deformation import POWERS, Interaction
from nnft.spec.ensemble import EnsembleSpec, EstimateSpec, StoreSpec
from nnft.spec.mesh import Mesh
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.problems import line
from nnft.spec.resolve import Resolution

REPRESENTATIVES = {"training": ("training.algorithm",), "flow": ("flow.cutoffs",)}
"""What stands for a whole table in a message."""


def run_values(
    network: AnyNetwork,
    ensemble: EnsembleSpec,
    estimate: EstimateSpec,
    store: StoreSpec,
    resolution: Resolution,
    mesh: Mesh,
) -> dict[str, object]:
    """Return the determining values that every run has, by dotted key."""
    points, dimension = mesh.points.shape
    return {
        "network.kind": network.kind,
        **_law_values(network),
        "network.widths": list(network.widths),
        "network.activation": network.activation,
        "network.activation_parameters": list(network.activation_parameters),
        "network.weight_variance": list(network.weight_variances),
        "network.bias_variance": list(network.bias_variances),
        "network.outputs": network.outputs,
        "inputs": f"{points} points of dimension {dimension}, sha256 {mesh.sha256}",
        "ensemble.seed": ensemble.seed,
        "ensemble.method": ensemble.method,
        "ensemble.precision": ensemble.precision,
        "ensemble.block_size": resolution.block_size,
        "estimate.correlators": list(estimate.correlators),
        "estimate.estimator": estimate.estimator,
        "estimate.layers": estimate.layers,
        "estimate.outputs": resolution.outputs,
        "estimate.bins": resolution.bins,
        "estimate.layer_pairs": resolution.layer_pairs,
        "store.fields": store.fields,
    }


def deformation_values(interaction: Interaction, readouts: int) -> dict[str, object]:
    """Return the determining values of a deformation."""
    couplings = zip(POWERS, interaction.couplings.tolist(), strict=True)
    values: dict[str, object] = {f"deformation.{name}": numbers for name, numbers in couplings}
    values["deformation.cell"] = interaction.cell
    values["deformation.invariance"] = interaction.invariance
    values["deformation.readouts"] = readouts
    return values


def differences(card: Mapping[str, object], file: Mapping[str, object], ridge: float | None) -> list[str]:
    """Return a line for each determining key in which a stored run differs from a card.

    Parameters
    ----------
    card, file : mapping
        Determining values by dotted key.
    ridge : float, optional
        Ridge over temperature, for a card that gives the ridge.
    """
    lines = []
    for key in _worth_a_line(card, file):
        name, pair = key, [values.get(key, "none") for values in (card, file)]
        if key == "training.temperature" and ridge is not None:
            name = "training.ridge"
            pair = [float(f"{value * ridge:.12g}") if isinstance(value, float) else value for value in pair]
        got, has = map(_shown_value, _without_common_words(pair))
        lines.append(line("another value", name, got, f"the file has {has}"))
    return lines


def _worth_a_line(card: Mapping[str, object], file: Mapping[str, object]) -> list[str]:
    """Return the keys that differ; one of a table that only one side has."""
    both = {key.partition(".")[0] for key in card} & {key.partition(".")[0] for key in file}
    found = []
    for key in dict(card) | dict(file):
        table = key.partition(".")[0]
        if card.get(key) != file.get(key) and (table in both or key in REPRESENTATIVES.get(table, (key,))):
            found.append(key)
    return found


def _without_common_words(pair: list[object]) -> list[object]:
    """Return two descriptions with a digest at their ends; of what differs in the digest only, the digest."""
    parts = [value.rpartition(", sha256 ") if isinstance(value, str) else ("", "", "") for value in pair]
    if parts[0][1] and parts[0][0] == parts[1][0]:
        return [f"sha256 {part[2]}" for part in parts]
    return pair


def _shown_value(value: object) -> str:
    """Return a value on one short line; of a digest its beginning."""
    text = json.dumps(value) if not isinstance(value, str) else value
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1..", text)
    return text if len(text) <= 120 else text[:117] + "..."


def _law_values(network: AnyNetwork) -> dict[str, object]:
    """Return what determines momenta and amplitudes of a network of cosines."""
    if not isinstance(network, CosineNetwork):
        return {}
    scale, mass = network.momentum_scale
    return {
        "network.momenta": network.law,
        "network.cutoff" if network.law == "ball" else "network.momentum_variance": scale,
        "network.mass": mass,
        "network.amplitudes": network.amplitude_law,
        "network.amplitude_variance": network.readout_variance,
    }
