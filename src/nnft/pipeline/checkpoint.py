"""From the state of a run to a snapshot file, and back."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.kstatistics import samples_needed
from nnft.estimators.results import Estimate
from nnft.store.atomic import FileIdentity
from nnft.store.segments import FieldWriter
from nnft.store.snapshot import HistoryEntry, RunSnapshot
from nnft.store.writer import write_snapshot

QUICK_NUMBERS = 1 << 24
"""Sums in all bins up to which every snapshot has all estimates; larger runs have them at the end only,
and without the moments, which follow from the sums."""


def utc_now() -> str:
    """Return the time as ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Checkpoints:
    """Publishes snapshots of a run.

    Parameters
    ----------
    path : Path
    engine : Engine or TrainEngine
    fields : FieldWriter or None
    provenance : mapping of str to str
    card : str or None
        The card's text as given.
    earlier : RunSnapshot or None
        What the file held when the run was resumed.
    action : str
        "start", "resume" or "extend".
    """

    def __init__(
        self,
        path: Path,
        engine: Any,
        fields: FieldWriter | None,
        provenance: Mapping[str, str],
        card: str | None,
        earlier: RunSnapshot | None,
        action: str,
    ) -> None:
        self.path, self.engine, self.fields = path, engine, fields
        self.seconds = 0.0
        self._expected: FileIdentity | None = None
        spec, plan = engine.spec, engine.plan
        version = json.loads(provenance["versions"])["nnft"]
        now = utc_now()
        entry = HistoryEntry(action, engine.networks_done, now, version)
        config = {"resolved": spec.to_toml(), "plan": json.dumps(dataclasses.asdict(plan), sort_keys=True)}
        if card is not None:
            config["card"] = card
        mesh = spec.mesh()
        self._fixed: dict[str, Any] = {
            "run_id": earlier.run_id if earlier else uuid.uuid4().hex,
            "digest": spec.digest(),
            "nnft_version": version,
            "created_at": earlier.created_at if earlier else now,
            "seed": spec.ensemble.seed,
            "block_size": plan.block_size,
            "networks_planned": plan.networks,
            "config": config,
            "points": mesh.points,
            "provenance": dict(provenance),
            "history": (*(earlier.history if earlier else ()), entry),
            "mesh_source": mesh.source,
            "mesh_sha256": mesh.file_sha256 or "",
        }
        self._runtime = dict(earlier.runtime) if earlier else {}
        self._start_done = engine.networks_done
        self._sampling_before = self._runtime.get("seconds_sampling", 0.0)

    def commit(
        self,
        sampling_seconds: float,
        final: bool = False,
        theory: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        """Write the kept outputs, then the snapshot that names them.

        Parameters
        ----------
        sampling_seconds : float
            Wall time in the kernels since the start or resume.
        final : bool
            Whether all estimates are computed however long it takes.
        theory : mapping, optional

        Raises
        ------
        NumericalError
            If a sum overflowed; nothing is written.
        EnvironmentRefusal
            If the disk refuses; the last snapshot stands.
        """
        begun = time.monotonic()
        engine = self.engine
        engine.check_finite()
        if self.fields is not None:
            self.fields.flush()
        work = sum(engine.estimator.layout.sizes.values()) * engine.plan.bins
        quick = work <= QUICK_NUMBERS
        estimates = all_estimates(engine.estimator, moments=quick) if final or quick else {}
        runtime = self._runtime | {"seconds_sampling": self._sampling_before + sampling_seconds}
        if sampling_seconds > 0:
            runtime["networks_per_second"] = (engine.networks_done - self._start_done) / sampling_seconds
        snapshot = RunSnapshot(
            **self._fixed,
            updated_at=utc_now(),
            networks_done=engine.networks_done,
            accumulators={name: array for name, array in engine.estimator.to_arrays().items() if array.size},
            runtime=runtime,
            estimates=estimates,
            theory=theory or {},
            fields=None if self.fields is None else self.fields.manifest(),
            **self._further(final or quick),
        )
        self._expected = write_snapshot(self.path, snapshot, expected=self._expected)
        self.seconds = time.monotonic() - begun


    def _further(self, evaluated: bool) -> dict[str, Any]:
        """Return what else stands in the snapshot, by its attributes; flows are evaluated if asked for."""
        del evaluated
        return {}


def all_estimates(estimator: CorrelatorEstimator, moments: bool = True) -> dict[str, dict[str, Any]]:
    """Return every estimate that has enough networks, as ``/estimates`` holds them.

    There is none where the effective sample size of a deformed ensemble is too small.

    Parameters
    ----------
    estimator : CorrelatorEstimator
    moments : bool
        Whether moments are among them.
    """
    layout, networks = estimator.layout, estimator.n_networks
    found: dict[str, dict[str, Any]] = {}
    size = estimator.effective_sample_size()
    if size is not None and not size.sufficient:
        return found
    for table in layout.tables.values():
        single = len(set(table.pattern)) == 1
        suffix = "" if single else "_" + "".join(map(str, table.pattern))
        if networks >= samples_needed(layout.kind, table.order):
            result = estimator.result(table.order, table.pattern)
            record = _record(result, layout.kind, table.order, table.pattern)
            found[f"connected_{table.order}{suffix}"] = record
        if networks and moments:
            moment = estimator.moment(table.order, table.pattern)
            found[f"moment_{table.order}{suffix}"] = _record(moment, layout.kind, table.order, table.pattern)
    if "S4:0000" in layout.tables and networks >= samples_needed(layout.kind, 4):
        found["excess_kurtosis"] = _record(estimator.excess_kurtosis(), layout.kind, 4, (0, 0, 0, 0))
    if layout.kind == "trained-conditional" and networks:
        found["covariance_within"] = _record(estimator.within(), layout.kind, 2, (0, 0))
        if "S2:00" in layout.tables and networks >= samples_needed(layout.kind, 2):
            found["covariance_between"] = _record(estimator.between(), layout.kind, 2, (0, 0))
    kind = "reweighted" if size is not None else "conditional"
    for layer in layout.layers if networks >= 2 else ():
        kernel = estimator.layer_kernel(layer)
        found[f"kernel_layer_{layer}"] = _record(kernel.metric, kind, 2, (0, 0))
        found[f"vertex_layer_{layer}"] = _record(kernel.vertex, kind, 4, (0, 0, 1, 1))
    return found


def _record(estimate: Estimate, kind: str, order: int, pattern: tuple[int, ...]) -> dict[str, Any]:
    return {
        "indices": estimate.indices,
        "value": estimate.value,
        "stderr": estimate.stderr,
        "unreliable": estimate.unreliable.astype(np.int8),
        "order": order,
        "pattern": "".join(map(str, pattern)),
        "estimator": kind,
        "networks": estimate.n_networks,
    }
