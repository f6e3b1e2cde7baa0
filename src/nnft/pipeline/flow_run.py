"""From a run of trained networks to their flow over cutoffs: they are trained again, to the same bits."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, UsageError, shorten
from nnft.pipeline.action_output import Printed
from nnft.pipeline.flow_expectation import check_expectation
from nnft.pipeline.flow_output import FlowView, flow_view
from nnft.pipeline.target import stored_dataset
from nnft.pipeline.train import train
from nnft.spec.given import reading_weights
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec
from nnft.store.arrays import read_h5_arrays


def flow_of_run(
    source: str | os.PathLike[str], output: str | os.PathLike[str], flow: Mapping[str, Any], **options: Any
) -> Run:
    """Follow the networks of a trained run over cutoffs, into a result file of its own.

    A run file holds no weights. Its networks are trained again by its card, its data and its seed, which must
    give the sums of the file to the bit.

    Parameters
    ----------
    source : str or path
        Run of ``nnft train``, complete.
    output : str or path
    flow : mapping
        Keys of the table [flow].
    options
        Further arguments of `nnft.train`.

    Raises
    ------
    UsageError
        The run is not one of trained networks, or not complete.
    CardError
        The table does not fit the networks.
    DataFileError
        The networks that were trained again are others than those of the file.
    """
    with open_run(source) as run:
        name = _check_source(run, output)
        spec = flow_spec(run, flow)
        wanted = {key: np.asarray(table) for key, table in run.stored.accumulators.items()}
    followed = train(spec, output, again=command_words(source, output, flow), **options)
    for key, table in wanted.items():
        if not np.array_equal(table, followed.stored.accumulators[key], equal_nan=True):
            followed.close()
            raise DataFileError(
                f"networks of the flow differ from those of {name} in /accumulators/{key}: they were trained "
                "on another machine or build; train them here again"
            )
    return followed


def _check_source(run: Run, output: str | os.PathLike[str]) -> str:
    """Refuse runs that have no flow; returns the short name of the file."""
    name = shorten(run.path.name)
    if run.training is None:
        raise UsageError(f"no training in {name}: got a run of random networks; give one of nnft train")
    if not run.complete:
        raise UsageError(
            f"run not complete in {name}: got {run.networks} networks; finish it with nnft train --resume"
        )
    if os.path.realpath(output) == os.path.realpath(run.path):
        raise UsageError(f"flow into its own source: got {name} twice; give another file with -o")
    return name


def command_words(
    source: str | os.PathLike[str], output: str | os.PathLike[str], flow: Mapping[str, Any]
) -> list[str]:
    """Return the words of the command line that follows a run."""
    words = ["nnft", "flow", os.fspath(source), "-o", os.fspath(output)]
    for key, value in flow.items():
        if key in ("anew", "tangents"):
            flag = "--fresh" if key == "anew" else "--no-tangents"
            words += [flag] if value == (key == "anew") else []
        else:
            text = value if isinstance(value, str) else ",".join(f"{part:.17g}" for part in np.ravel(value))
            words += [f"--{key.replace('_', '-')}", text]
    return words


def check_printed(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    flow: Mapping[str, Any],
    **wanted: Any,
) -> None:
    """Refuse what `flow_of_file` would refuse of a flow, before the flow is worked out.

    Parameters are those of `flow_of_run` and of `flow_of_file`.

    Raises
    ------
    UsageError
        No such point, no such picture, no law in closed form, or another table than that of the losses.
    CardError
        The table does not fit the networks.
    """
    view = FlowView(**wanted)
    view.check()
    if view.observable is not None or view.couplings or view.split or view.infinite:
        raise UsageError(
            "contradiction: got --cutoffs and another table; follow first, then print it of FILE"
        )
    with open_run(source) as run:
        _check_source(run, output)
        _check_point(run, view.point)
        spec = flow_spec(run, flow)
        plan = plan_run(spec)
    if view.theory:
        check_expectation(spec, plan)


def _check_point(run: Run, point: int) -> None:
    if not 0 <= point < len(run.points):
        raise UsageError(f"no such point in --point: got {point}; allowed: 0 to {len(run.points) - 1}")


def flow_spec(run: Run, flow: Mapping[str, Any]) -> RunSpec:
    """Return the specification of a trained run with a table [flow].

    Raises
    ------
    CardError
        The table does not fit the networks.
    """
    stored = run.stored
    text = _with_flow(stored.config["resolved"], flow)
    data = stored_dataset(stored.training, str(stored.attributes.get("/training@data_source", "")))
    spec = RunSpec.from_text(text, points=stored.points, dataset=data, name="the options")
    return reading_weights(spec, read_h5_arrays, run.path.absolute().parent)


def _with_flow(card: str, flow: Mapping[str, Any]) -> str:
    """Text of a card with a table [flow] in place of the one that it may have."""
    from nnft.spec.toml_text import toml_text

    tables = {key: value for key, value in tomllib.loads(card).items() if key != "flow"}
    return toml_text(tables | {"flow": dict(flow)})


def flow_of_file(path: str | os.PathLike[str], **wanted: Any) -> Printed:
    """Return what is wanted of the flow that a file holds, and draw its picture.

    Parameters
    ----------
    path : str or path
    wanted
        Attributes of `nnft.pipeline.flow_output.FlowView`; the table of losses if not given.

    Raises
    ------
    UsageError
        There is no flow in it, no such point, or nothing of the kind.
    NumericalError
        Too few networks, or no couplings at any cutoff.
    """
    view = FlowView(**wanted)
    view.check()
    with open_run(path) as run:
        _check_point(run, view.point)
        return flow_view(RenormalizedRun(run), view)
