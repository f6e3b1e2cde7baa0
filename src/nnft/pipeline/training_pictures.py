"""From the file of a trained run to its pictures: errors, predictor, chains, flows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, UsageError, shorten
from nnft.pipeline.training_curves import HIGHEST_ORDER, flow_curves, loss_curves
from nnft.pipeline.training_outcome import chain_traces, trained_predictor
from nnft.plots.files import check_picture
from nnft.plots.training import draw_chains, draw_flows, draw_loss, draw_predictor


def picture_of_file(
    path: str | os.PathLike[str],
    what: str,
    *,
    order: int | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Path:
    """Draw a trained run.

    Parameters
    ----------
    path : str or path
        Run file.
    what : str
        "loss", "predictor", "chains" or "flows".
    order : int, optional
        For "flows": this connected correlator only, 1 to 4.
    output : str or path, optional
        Picture; ends in .svg, .png or .pdf and is replaced if it exists. Default: ``<run>-<what>.svg`` in the
        current folder.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    NnftError
        Everything that the file or the picture refuses, and one line where there is nothing to draw.
    """
    if what not in PICTURES:
        raise UsageError(f"unknown picture: got {shorten(what)}; allowed: {', '.join(PICTURES)}")
    if order is not None and what != "flows":
        raise UsageError(f"--order goes with flows: got {order} for {what}; leave it out")
    if order is not None and not 1 <= order <= HIGHEST_ORDER:
        raise UsageError(f"no flow of this order: got {order}; allowed: 1 to {HIGHEST_ORDER}")
    picture = check_picture(output if output is not None else f"{Path(path).stem}-{what}.svg")
    with open_run(path) as run:
        if run.training is None:
            raise UsageError(
                f"no training in {shorten(run.path.name)}: got a run of nnft sample; use nnft train"
            )
        if run.networks == 0 or not run.estimator.n_networks:
            raise DataFileError(f"no network in {shorten(run.path.name)}: got {_left(run)}; see nnft status")
        if what == "flows":
            return draw_flows(flow_curves(run, order), picture)
        return PICTURES[what](run, picture)


def _left(run: Run) -> str:
    stored = run.stored.training
    diverged = int(stored["diverged/networks"]) if "diverged/networks" in stored else 0
    return f"{run.networks} done, {diverged} of them diverged"


PICTURES: dict[str, Callable[[Run, Path], Path]] = {
    "loss": lambda run, path: draw_loss(loss_curves(run), path),
    "predictor": lambda run, path: draw_predictor(trained_predictor(run), path, run.path.name),
    "chains": lambda run, path: draw_chains(chain_traces(run), path),
    "flows": lambda run, path: draw_flows(flow_curves(run), path),
}
"""What can be drawn of a trained run."""
