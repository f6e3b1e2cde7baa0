"""The abscissa of a fit over runs: 1/width, depth over width, or any numeric key of the cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.errors import UsageError, shorten

FloatArray = npt.NDArray[np.float64]

WIDTHS = "network.widths"
WIDTH = "network.width"
"""Of networks of cosines, whose widths are (width,)."""

LAYERS = "number of layers"
INPUTS = "input points"
IRRELEVANT = ("ensemble.", "estimate.", "store.", "version")


@dataclass(frozen=True, eq=False)
class Axis:
    """Abscissas of some runs.

    Attributes
    ----------
    x : ndarray of float64, shape (N,)
    label : str
        Such as ``"1/n"``.
    variable : str
        In what a power law is stated: ``"n"`` where x = 1/n, else the label.
    powers : tuple of int or None
        Powers of the model; None for those of the observable's series in 1/n.
    notes : tuple of str
    """

    x: FloatArray
    label: str
    variable: str
    powers: tuple[int, ...] | None
    notes: tuple[str, ...]


def flat_card(run: Run) -> dict[str, Any]:
    """Return the resolved card of a run by dotted key; equal values of all layers as one number."""
    found: dict[str, Any] = {}

    def visit(table: Mapping[str, Any], prefix: str) -> None:
        for name, value in table.items():
            if isinstance(value, Mapping):
                visit(value, f"{prefix}{name}.")
            else:
                found[prefix + name] = _one(value) if prefix + name != WIDTHS else value

    visit(run.card, "")
    return found


def _one(value: Any) -> Any:
    """Return the number that a list repeats, anything else as it is."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        return value[0] if isinstance(value[0], int | float) else value
    return value


def effective_width(widths: Sequence[int]) -> float:
    """Return the harmonic mean of hidden widths, 1/n = mean of 1/n_l."""
    return len(widths) / sum(1.0 / width for width in widths)


def where(runs: Sequence[Run], conditions: Mapping[str, Any]) -> list[Run]:
    """Return the runs whose cards have all these values.

    Raises
    ------
    UsageError
        If a key is in no card.
    """
    chosen = list(runs)
    for key, value in conditions.items():
        if not any(key in flat_card(run) for run in runs):
            raise UsageError(f"unknown key in --where: got {shorten(key, 40)}; {_near(key, runs)}")
        chosen = [
            run for run in chosen if flat_card(run).get(key) == (_one(value) if key != WIDTHS else value)
        ]
    return chosen


def _near(key: str, runs: Sequence[Run]) -> str:
    from difflib import get_close_matches

    known = sorted({name for run in runs for name in flat_card(run)})
    close = get_close_matches(key[:80], known, n=1, cutoff=0.5)
    return (
        f"did you mean {close[0]!r}?" if close else "use a key of the card, such as network.weight_variance"
    )


def make_axis(runs: Sequence[Run], against: str) -> Axis:
    """Return the abscissas of runs.

    Parameters
    ----------
    runs : sequence of Run
    against : str
        ``"width"``: x = 1/n; ``"depth"``: x = (L - 1)/n; or a dotted key of the card. n is the harmonic
        mean of the hidden widths.

    Raises
    ------
    UsageError
        Unknown key, no number, no hidden layer, no variation, or runs that also differ in something else
        at one abscissa.
    """
    notes: list[str] = []
    if against in ("width", "depth"):
        widths = [run.card["network"]["widths"] for run in runs]
        if not all(widths):
            raise UsageError(
                "no hidden layer in a member: got network.widths = []; leave it out by --min-width 1"
            )
        if any(len(set(hidden)) > 1 for hidden in widths):
            notes.append("unequal hidden widths: n is their harmonic mean, 1/n = mean of 1/n_l")
        inverse = np.array([1.0 / effective_width(hidden) for hidden in widths])
        layers = np.array([float(len(hidden)) for hidden in widths])
        own: tuple[str, ...] = (WIDTHS, WIDTH) if against == "width" else (WIDTHS, LAYERS)
        x, label = (inverse, "1/n") if against == "width" else (layers * inverse, "(L - 1)/n")
        axis = Axis(x, label, "n" if against == "width" else label, None, ())
    else:
        own = (against, INPUTS) if against.startswith("inputs.") else (against,)
        own = (*own, LAYERS) if against == WIDTHS else own
        own = (*own, WIDTHS) if against == WIDTH else own
        axis = Axis(_numbers(runs, against), against, against, (0, 1, 2), ())
    if len(np.unique(axis.x)) < 2:
        raise UsageError(
            f"members without variation in {against}: got {axis.label} = {axis.x[0]:g} in all of them; "
            "choose another --against"
        )
    notes += _differences(runs, axis.x, own)
    return Axis(axis.x, axis.label, axis.variable, axis.powers, tuple(notes))


def _numbers(runs: Sequence[Run], key: str) -> FloatArray:
    cards = [flat_card(run) for run in runs]
    if not all(key in card for card in cards):
        raise UsageError(
            f"unknown abscissa: got {shorten(key, 40)}; use width, depth or a key: {_near(key, runs)}"
        )
    values = [_one(card[key]) for card in cards]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"abscissa is no number in {shorten(key, 40)}: got {shorten(value, 40)}")
    return np.array(values, dtype=np.float64)


def _differences(runs: Sequence[Run], x: FloatArray, own: tuple[str, ...]) -> list[str]:
    """Say in what else the runs differ; refuse when runs of one abscissa do."""
    states = []
    for run in runs:
        state = {key: value for key, value in flat_card(run).items() if not key.startswith(IRRELEVANT)}
        state = {key: value for key, value in state.items() if not key.startswith("inputs.")}
        state |= {LAYERS: len(run.card["network"]["widths"]), INPUTS: run.points.tobytes()}
        states.append({key: value for key, value in state.items() if key not in own})
    keys = sorted({key for state in states for key in state})
    varied = [key for key in keys if any(state.get(key) != states[0].get(key) for state in states)]
    for place, state in enumerate(states):
        twin = int(np.flatnonzero(x == x[place])[0])
        for key in varied:
            if states[twin].get(key) != state.get(key):
                raise UsageError(
                    f"members of one abscissa differ in {key}: got {runs[twin].path.stem[:40]} and "
                    f"{runs[place].path.stem[:40]}; choose with --where KEY=VALUE"
                )
    return [f"members also differ in {key}" for key in varied]
