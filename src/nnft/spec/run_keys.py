"""What determines the numbers of a run, key by key."""

from __future__ import annotations

from nnft.spec.deformation import POWERS, Interaction
from nnft.spec.ensemble import EnsembleSpec, EstimateSpec, StoreSpec
from nnft.spec.mesh import Mesh
from nnft.spec.network import NetworkSpec
from nnft.spec.resolve import Resolution


def run_values(
    network: NetworkSpec,
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
