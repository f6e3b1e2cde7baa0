"""Writing of run files: one snapshot, one new file, published in one step."""

from __future__ import annotations

import os
from typing import Any

from nnft.store.atomic import FileIdentity, publish
from nnft.store.content import CheckedContent
from nnft.store.schema import RUN_FILE
from nnft.store.snapshot import RunSnapshot

_SEED_LIMIT = 1 << 128


def write_snapshot(
    path: str | os.PathLike[str], snapshot: RunSnapshot, *, expected: FileIdentity | None = None
) -> FileIdentity:
    """Publish `snapshot` as the run file `path`; the file it replaces stays as ``<path>.previous``.

    The caller holds the `RunLock` of `path`. Arrays are written one after the other without a copy if they
    are C-contiguous and little-endian. The same snapshot gives the same bytes.

    Parameters
    ----------
    path : str or path
        Run file.
    snapshot : RunSnapshot
        Content.
    expected : FileIdentity, optional
        What the last call returned: refuses if another file stands there by now.

    Returns
    -------
    FileIdentity
        Identity of the new file.

    Raises
    ------
    ValueError
        The snapshot does not fit the schema: names the path, got and wanted.
    EnvironmentRefusal
        Disk, quota or permissions refuse; the file at `path` is intact.
    """
    root = _root_attributes(snapshot)
    content = CheckedContent(RUN_FILE, root, snapshot.datasets(), snapshot.attributes())
    counted = int(content.arrays["/accumulators/count"].sum())
    counted += int(content.arrays.get("/training/diverged/networks", 0))
    if counted != snapshot.networks_done:
        raise ValueError(f"/accumulators/count: got {counted} in all, wanted {snapshot.networks_done}")
    return publish(path, content.write, expected=expected)


def _root_attributes(snapshot: RunSnapshot) -> dict[str, Any]:
    if not 0 <= snapshot.seed < _SEED_LIMIT:
        raise ValueError(f"/@seed: got {snapshot.seed}, wanted 0 to 2^128 - 1")
    if snapshot.block_size < 1 or not 0 <= snapshot.networks_done <= snapshot.networks_planned:
        raise ValueError(
            f"counters: got block_size {snapshot.block_size}, networks_done {snapshot.networks_done} of "
            f"{snapshot.networks_planned}, wanted block_size >= 1 and 0 <= networks_done <= networks_planned"
        )
    texts = ("nnft_version", "run_id", "digest", "created_at", "updated_at")
    numbers = ("block_size", "networks_planned", "blocks_planned", "networks_done", "blocks_done", "complete")
    return {
        "seed": str(snapshot.seed),
        **{name: getattr(snapshot, name) for name in texts},
        **{name: int(getattr(snapshot, name)) for name in numbers},
    }
