"""The result file of a run before it starts: may it be written, does it go on with another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.errors import CardError, DataFileError, UsageError, shorten
from nnft.pipeline.memory import require_wave
from nnft.spec.dataset import Dataset, make_dataset
from nnft.spec.given import reading_weights
from nnft.spec.plan import RunPlan, plan_run
from nnft.spec.run import RunSpec
from nnft.store.arrays import read_h5_arrays
from nnft.store.atomic import require_space
from nnft.store.output_path import check_output_path
from nnft.store.points import read_h5_points
from nnft.store.reader import read_run
from nnft.store.segment_files import fields_folder
from nnft.store.snapshot import RunSnapshot


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes
    ----------
    spec : RunSpec
        The specification, with what the card leaves open taken from the file on a resume.
    plan : RunPlan
    earlier : RunSnapshot or None
        What the file holds.
    action : str
        "start", "resume", "extend", or "nothing" for a run that is already complete.
    """

    spec: RunSpec
    plan: RunPlan
    earlier: RunSnapshot | None
    action: str


def read_card(card: str | os.PathLike[str]) -> RunSpec:
    """Read a card; its points may lie in an HDF5 file.

    Raises
    ------
    CardError
        All mistakes of the card, one line each.
    """
    return reading_weights(RunSpec.from_card(Path(card), read_dataset=read_h5_points), read_h5_arrays)


def check_target(path: Path, spec: RunSpec, card: Path | None, overwrite: bool, resume: bool) -> None:
    """Refuse a result file that must not be written, before anything is touched.

    Raises
    ------
    UsageError
        Exists and neither overwrite nor resume; no such folder; is the card or an input of the run; not a
        file.
    DataFileError
        Resume without a file.
    """
    if overwrite and resume:
        raise UsageError("contradiction: got both --overwrite and --resume; give one of them")
    exists = check_output_path(path)
    if card is not None and exists and path.samefile(card):
        raise UsageError(f"result file is the card: got {shorten(str(path))}; choose another name")
    if exists and any(_same_file(path, spec, source) for source in _files_read(spec)):
        raise UsageError(f"result file is the input file: got {shorten(str(path))}; choose another name")
    if exists and not overwrite and not resume:
        raise UsageError(f"result file exists: got {shorten(str(path))}; add --overwrite or --resume")
    if resume and not exists:
        raise DataFileError(f"nothing to resume: got no file {shorten(str(path))}; leave out --resume")


def _files_read(spec: RunSpec) -> list[str]:
    """Return the files that a card names: points, data, targets."""
    data = None if spec.training is None else spec.training.data
    named = [spec.inputs.file]
    if data is not None:
        named += [data.file, data.targets if isinstance(data.targets, str) else None]
    named.append(None if spec.training is None else spec.training.weights)
    return [name for name in named if name is not None]


def _same_file(path: Path, spec: RunSpec, source: str) -> bool:
    named = Path(source.partition(":/")[0])
    candidate = named if named.is_absolute() else spec._folder / named
    return candidate.exists() and os.path.samefile(path, candidate)


def make_start(path: Path, spec: RunSpec, resume: bool) -> Start:
    """Plan a run, or read the one it goes on with; the caller holds the lock.

    Raises
    ------
    CardError
        The card differs from the stored run in something that determines the numbers.
    DataFileError
        The stored run cannot be used.
    EnvironmentRefusal
        Too little space on the disk.
    """
    if not resume:
        plan = plan_run(spec)
        require_wave(plan)
        require_space(path.absolute().parent, 2 * (plan.snapshot_bytes + plan.wave_bytes) + plan.fields_bytes)
        return Start(spec, plan, None, "start")
    with read_run(path) as stored:
        earlier = stored.snapshot()
    old = stored_spec(earlier, path.name)
    spec = spec.resuming(old)
    problems = spec.difference(old)
    if spec.ensemble.networks < earlier.networks_done:
        problems.append(
            f"fewer networks than the file holds in ensemble.networks: got {spec.ensemble.networks}; "
            f"allowed: at least {earlier.networks_done}"
        )
    elif earlier.networks_done % earlier.block_size and spec.ensemble.networks > earlier.networks_done:
        problems.append(
            f"run cannot be extended in ensemble.networks: got {spec.ensemble.networks}; its last block is "
            f"short ({earlier.networks_done} networks are no multiple of the block size {earlier.block_size})"
        )
    if problems:
        raise CardError(problems)
    plan = plan_run(spec)
    if earlier.networks_done == plan.networks and earlier.complete:
        return Start(spec, plan, earlier, "nothing")
    done = earlier.fields.rows if earlier.fields else 0
    remaining = plan.fields_bytes * (1 - done / max(1, plan.fields_networks))
    require_space(path.absolute().parent, int(2 * (plan.snapshot_bytes + plan.wave_bytes) + remaining))
    return Start(spec, plan, earlier, "extend" if earlier.networks_planned != plan.networks else "resume")


def stored_spec(earlier: RunSnapshot, name: str) -> RunSpec:
    """Return the specification of a stored run, with the points and the data that the file keeps."""
    dataset = stored_dataset(earlier.training, earlier.data_source) if earlier.training else None
    return RunSpec.from_text(earlier.config["resolved"], points=earlier.points, dataset=dataset, name=name)


def stored_dataset(training: Mapping[str, NDArray[Any]], source: str) -> Dataset | None:
    """Return the data that a file keeps of a training, from the arrays below ``/training``.

    None where every network has data of its own: they are drawn again from the card, and their digest is part
    of that of the run.

    Raises
    ------
    DataFileError
        The file keeps none.
    """
    if "data/sha256" in training:
        return None
    try:
        inputs, targets = training["data/train_inputs"], training["data/train_targets"]
    except KeyError as error:
        raise DataFileError(
            f"no data of the training in the result file: got no /training/{error.args[0]}; train again"
        ) from error
    no_inputs, no_targets = np.zeros((0, inputs.shape[1])), np.zeros((0, targets.shape[1]))
    test = training.get("data/test_inputs", no_inputs), training.get("data/test_targets", no_targets)
    return make_dataset(inputs, targets, *test, source)


def segment_rows(plan: RunPlan) -> int:
    """Return the networks in a segment of kept outputs: whole blocks, about 64 MiB."""
    row = max(1, plan.fields_bytes // max(1, plan.fields_networks))
    blocks = max(1, (64 << 20) // (row * plan.block_size))
    return blocks * plan.block_size


def outputs_folder(path: Path) -> Path:
    """Return the folder of the kept outputs of a result file."""
    return fields_folder(path)
