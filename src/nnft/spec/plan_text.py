"""A plan in words, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from nnft.spec.cosines import CosineNetwork
from nnft.spec.given import given_rows
from nnft.spec.plan import RunPlan
from nnft.spec.run import RunSpec
from nnft.spec.training_text import training_rows

COSINES = "f = F sum_i a_i cos(b_i.x + c_i) / (b_i^2 + m^2)^(1/2), phases uniform"
CONVENTIONS = "weights N(0, C_W / fan_in), biases N(0, C_b), output = last pre-activation"


def plan_rows(
    spec: RunSpec, plan: RunPlan, step: float | None = None, limit: float | None = None
) -> list[tuple[str, str]]:
    """Return labels and texts of everything known about a run before it starts.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
        ``plan_run(spec)``.
    step, limit : float, optional
        Step with which a training begins, and the largest stable one, where they were measured.
    """
    mesh = spec.mesh()
    cost = f"{plan.normals_per_network:,} normals, {plan.multiply_adds_per_network:,} multiply-adds"
    estimates = [
        (f"order {order}", _sector_text(plan, order, count))
        for order, count in plan.components_per_order.items()
    ]
    if plan.layer_components:
        estimates.append(("layers", f"{plan.layer_components:,} components, layer pairs: {plan.layer_pairs}"))
    return [
        *_network_rows(spec, plan),
        (
            "inputs",
            f"{plan.points} points of dimension {plan.dimension}, {mesh.source}, scale {spec.inputs.scale}",
        ),
        (
            "ensemble",
            f"{plan.networks:,} networks in {plan.blocks:,} blocks of {plan.block_size:,}, {plan.precision}",
        ),
        ("seed", str(spec.ensemble.seed)),
        ("method", f"{plan.method}: {plan.method_reason}"),
        ("estimator", f"{plan.estimator}: {plan.estimator_reason}"),
        *_deformation_rows(spec, plan),
        *_training_rows(spec, plan, step, limit),
        *estimates,
        ("outputs in a correlator", str(plan.outputs)),
        ("bins", f"{plan.bins} ({plan.bins_reason})"),
        ("cost of one network", cost),
        (
            "memory",
            f"{bytes_text(plan.memory_bytes)}, {bytes_text(plan.thread_bytes)} more for every further thread",
        ),
        ("accumulators", bytes_text(plan.accumulator_bytes)),
        ("result file", _file_size(plan)),
        ("fields", f"{bytes_text(plan.fields_bytes)} for {plan.fields_networks:,} networks"),
        ("time", f"about {time_text(plan.seconds)} on one core"),
        ("digest", spec.digest()),
        *(("note", note) for note in plan.notes),
    ]


def _file_size(plan: RunPlan) -> str:
    """What the file takes when it is done, and in between."""
    size = bytes_text(plan.snapshot_bytes)
    if plan.training is None or not plan.wave_bytes:
        return size
    return f"{size}; up to {bytes_text(plan.wave_bytes)} more while networks are trained"


def _network_rows(spec: RunSpec, plan: RunPlan) -> list[tuple[str, str]]:
    """What the networks are."""
    network = spec.network
    sizes = ("network", f"{plan.dimension} -> {_widths_text(network.widths)}{plan.network_outputs}")
    if isinstance(network, CosineNetwork):
        factor = f", factor {network.factor(plan.dimension):.6g}" if network.kind == "free-scalar" else ""
        convention = COSINES if network.law == "ball" else COSINES.partition(" / ")[0]
        return [("conventions", convention), sizes, ("cosines", f"{network.describe()}{factor}")]
    parameters = ", ".join(map(repr, network.activation_parameters))
    return [
        ("conventions", CONVENTIONS),
        sizes,
        ("activation", network.activation + (f"({parameters})" if parameters else "")),
        ("weight variance C_W", _variance_text(network.weight_variance)),
        ("bias variance C_b", _variance_text(network.bias_variance)),
    ]


def _training_rows(
    spec: RunSpec, plan: RunPlan, step: float | None, limit: float | None
) -> list[tuple[str, str]]:
    """What is known about the training, if there is one."""
    if plan.training is None:
        return []
    rows = training_rows(plan.training, spec.dataset(), plan.layers) + given_rows(spec)
    if step is not None and limit is not None:
        begun = "" if plan.training.step else f"; begins with {step:.4g}"
        rows.append(("step below", f"{limit:.4g}, the stability limit of the first networks{begun}"))
    if plan.training.algorithm != "exact":
        state = f"{bytes_text(plan.training.member_bytes)} for the state of a chain"
        wave = f"{bytes_text(plan.wave_bytes)} for the networks trained together"
        flow = f"{bytes_text(plan.flow_bytes)} for all snapshots"
        rows.append(("memory of training", f"{state}, {wave}, {flow}"))
    return rows


def _deformation_rows(spec: RunSpec, plan: RunPlan) -> list[tuple[str, str]]:
    """What is known about the insertion, if there is one."""
    interaction = spec.interaction()
    if interaction is None:
        return []
    rest = "a draw" if plan.readouts == 1 else f"{plan.readouts} draws"
    return [
        ("deformation", interaction.describe()),
        ("readouts", f"{rest} of the last layer of each network, each with a weight of its own"),
    ]


_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def bytes_text(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count} B" if power == 0 else f"{count / 1024**power:.1f} {_UNITS[power]}"


def time_text(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    for limit, length, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86400.0:.3g} days"


def _widths_text(widths: tuple[int, ...]) -> str:
    if len(widths) > 1 and len(set(widths)) == 1:
        return f"{widths[0]} ({len(widths)} layers) -> "
    return "".join(f"{width} -> " for width in _some(widths))


def _variance_text(variance: float | tuple[float, ...]) -> str:
    if not isinstance(variance, tuple):
        return f"{variance!r} in every layer"
    return ", ".join(_some(variance))


def _some(values: Sequence[float]) -> list[str]:
    """Return the values as text, long lists cut in the middle."""
    shown = [repr(value) for value in values]
    if len(shown) > 12:
        shown[6:-5] = [f"({len(shown) - 11} more)"]
    return shown


def _sector_text(plan: RunPlan, order: int, count: int) -> str:
    sectors = [sector for sector in plan.sectors if sector.order == order]
    patterns = ", ".join(f"{sector.pattern}: {sector.components:,}" for sector in sectors)
    return f"{count:,} components" + (f" ({patterns})" if len(sectors) > 1 else "")
