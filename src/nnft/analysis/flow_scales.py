"""Critical scales of a flow: where the loss begins to rise, from the losses of single networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.theory.critical_scale import CriticalScale, Verdict, bootstrap_critical_scales

DELTAS = (0.05, 0.5)
REPLICATES = 1000
FEWEST = 8


def critical_scales(flow: RenormalizedRun) -> list[dict[str, Any]]:
    """Return the critical scales of training and test error, ready for JSON.

    The losses without replacement and with everything replaced are those of the same networks. Errors come
    from a bootstrap over networks with the seed of the run.

    Returns
    -------
    list of dict
        For each error and each part of the rise: ``of``, ``delta``, ``verdict``, ``sentence``, ``value``,
        ``low``, ``high`` (95 % interval), ``log_error``. Empty below eight networks.
    """
    losses = flow.losses
    if len(losses) < FEWEST or len(flow.cutoffs) < 3:
        return []
    found = []
    for column, name in enumerate(("train_error", "test_error")):
        part = losses[:, :, column]
        if not np.isfinite(part).all():
            continue
        generator = np.random.default_rng(int(flow.run.card["ensemble"]["seed"]))
        scales = bootstrap_critical_scales(
            flow.cutoffs[1:-1], part[:, 1:-1], part[:, 0], part[:, -1], generator, deltas=DELTAS,
            replicates=REPLICATES,
        )  # fmt: skip
        found += [_record(name, scale) for scale in scales]
    return found


def _record(name: str, scale: CriticalScale) -> dict[str, Any]:
    return {
        "of": name,
        "delta": scale.delta,
        "verdict": scale.verdict.value,
        "sentence": scale.sentence,
        "value": _plain(scale.value),
        "low": _plain(scale.interval[0]),
        "high": _plain(scale.interval[1]),
        "log_error": _plain(scale.log_error),
    }


def scale_lines(scales: list[dict[str, Any]]) -> list[str]:
    """Return the critical scales in words."""
    lines = []
    for scale in scales:
        name = f"{scale['of'].replace('_', ' ')}, {scale['delta']:.0%} of the rise"
        if scale["verdict"] == Verdict.FOUND.value:
            low, high = (_bound(scale[end]) for end in ("low", "high"))
            lines.append(f"critical scale of the {name}: {scale['value']:.4g} (95 % in {low} to {high})")
        else:
            lines.append(f"critical scale of the {name}: {scale['sentence']}")
    return lines


def _bound(value: float | None) -> str:
    return "no bound" if value is None else f"{value:.4g}"


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
