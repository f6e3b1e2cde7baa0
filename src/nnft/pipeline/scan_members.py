"""The members of a scan: one specification for every combination of the scanned values."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from nnft.analysis.scan_index import MOST_MEMBERS
from nnft.errors import CardError, UsageError
from nnft.spec.card import LARGEST_CARD, parse_card
from nnft.spec.ensemble import draw_seed
from nnft.spec.given import reading_weights
from nnft.spec.plan import RunPlan, plan_run
from nnft.spec.problems import LINE_LIMIT, line, nearest, shown
from nnft.spec.regular_file import read_regular
from nnft.spec.run import RunSpec
from nnft.spec.toml_text import toml_text
from nnft.store.arrays import read_h5_arrays
from nnft.store.points import read_h5_points

LONGEST_NAME = 80
SEED_KEY = "ensemble.seed"
NETWORKS_KEY = "ensemble.networks"


@dataclass(frozen=True)
class CardSource:
    """A card before any value is set.

    Attributes
    ----------
    text, name : str
        Its TOML and what it is called in messages.
    folder : Path
        Where relative names of input files start from.
    tables : dict
        The parsed text.
    """

    text: str
    name: str
    folder: Path
    tables: dict[str, Any]

    @classmethod
    def read(cls, card: RunSpec | str | Path) -> CardSource:
        """Take a card file, or a specification made in Python.

        Raises
        ------
        CardError
            The file cannot be read or is no TOML.
        """
        if isinstance(card, RunSpec):
            text = toml_text(card.model_dump(exclude_none=True))
            return cls.of(text, "card", card._folder)
        path = Path(card)
        text = read_regular(path, LARGEST_CARD, CardError, "card").decode("utf-8-sig", "surrogateescape")
        return cls.of(text, path.name, path.absolute().parent)

    @classmethod
    def of(cls, text: str, name: str, folder: Path) -> CardSource:
        """Parse a card from its text."""
        return cls(text, name, folder, parse_card(text.encode("utf-8", "surrogateescape"), name))


@dataclass(frozen=True)
class Member:
    """A member with its specification.

    Attributes
    ----------
    name : str
    values : dict
        Value of every scanned key, as validated.
    spec : RunSpec
    plan : RunPlan
    """

    name: str
    values: Mapping[str, Any]
    spec: RunSpec
    plan: RunPlan

    @property
    def key(self) -> str:
        """The values as canonical text."""
        return canonical(self.values)


def canonical(value: object) -> str:
    """Return the canonical JSON of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def member_seed(seed: int, values: Mapping[str, Any]) -> int:
    """Return the seed of a member: the first 128 bits of a SHA-256, big-endian.

    Parameters
    ----------
    seed : int
        Seed of the card.
    values : mapping
        Validated values by dotted key.

    Notes
    -----
    The hashed text is ``{"seed":"7","values":{"network.widths":[8,8]}}``: JSON with sorted keys and no
    blanks.
    """
    text = canonical({"seed": str(seed), "values": dict(values)})
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def check_sets(sets: Mapping[str, Sequence[Any]], together: bool) -> dict[str, list[Any]]:
    """Return the scanned values as lists, after every check that needs no card.

    Raises
    ------
    UsageError
        Nothing to scan, an unknown key, no list of values, unequal lengths, too many members.
    """
    known = list(card_keys(RunSpec))
    if not sets:
        raise UsageError("nothing to scan: got no --set; give one, such as --set 'network.widths=[[8],[16]]'")
    for key, values in sets.items():
        if key not in known:
            tail = {name.rpartition(".")[2]: name for name in known}
            close = nearest(key, known) or tail.get(nearest(key.rpartition(".")[2], tail) or "")
            advice = f"did you mean {close!r}?" if close else "use a key of the card, such as network.widths"
            raise UsageError(line("unknown key", "--set", shown(key), advice))
        if not isinstance(values, list | tuple | np.ndarray):
            advice = "give a list with one item for each member, such as [1.0, 1.5]"
            raise UsageError(line("no list of values", f"--set {key}", shown(values), advice))
        if not len(values):
            raise UsageError(line("no values", f"--set {key}", "an empty list", "give at least one"))
    lengths = [len(values) for values in sets.values()]
    if together and len(set(lengths)) > 1:
        got = ", ".join(f"{len(values)} for {key}" for key, values in sets.items())
        raise UsageError(line("unequal lengths", "--together", got, "give as many values for each key"))
    count = lengths[0] if together else math.prod(lengths)
    if count > MOST_MEMBERS:
        raise UsageError(line("too many members", "--set", str(count), f"allowed: {MOST_MEMBERS}"))
    return {key: _plain(values, key) for key, values in sets.items()}


def _plain(value: Any, key: str) -> Any:
    """Return a value made of what JSON holds: sequences as lists, NumPy scalars as Python numbers."""
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item, key) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UsageError(line("no value of a card", f"--set {key}", shown(value), "give numbers, text or lists"))


def card_keys(model: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key of a card that holds a value."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        tables = [kind for kind in kinds if hasattr(kind, "model_fields")]
        if tables:  # of several kinds: each key once
            yield from dict.fromkeys(key for table in tables for key in card_keys(table, f"{prefix}{name}."))
        else:
            yield prefix + name


def build_members(
    source: CardSource, sets: Mapping[str, list[Any]], together: bool, seed: int | None = None
) -> tuple[int, list[Member]]:
    """Validate and plan every member.

    Parameters
    ----------
    source : CardSource
    sets : mapping
        From `check_sets`.
    together : bool
        Walk the keys in step.
    seed : int, optional
        Instead of a drawn one where the card has none.

    Returns
    -------
    seed : int
        From which the members' seeds were derived.
    members : list of Member

    Raises
    ------
    CardError
        A member is no valid card, or two members are the same run; names the member.
    DataFileError
        The input points cannot be read.
    """
    rows = list(zip(*sets.values(), strict=True)) if together else list(itertools.product(*sets.values()))
    members: list[Member] = []
    names: set[str] = set()
    seen: dict[str, str] = {}
    first: RunSpec | None = None
    for number, row in enumerate(rows):
        given = dict(zip(sets, row, strict=True))
        spec, values = validated(source, given, number)
        if first is not None and not any(key.startswith("inputs.") for key in sets):
            spec._mesh = first.mesh()
        if first is not None and spec.training is not None and spec.training.data == _data_of(first):
            spec._dataset = first.dataset()
        first = first or spec
        if seed is None or not spec.ensemble.seed_was_drawn:
            seed = draw_seed() if spec.ensemble.seed_was_drawn else spec.ensemble.seed
        if SEED_KEY not in sets:
            spec = with_ensemble(spec, seed=member_seed(seed, values))
        name = _name(values, number, names)
        with naming_member(name):
            plan = plan_run(spec)
            _refuse_twin(spec, name, SEED_KEY in sets, seen)
        members.append(Member(name, values, spec, plan))
    return seed or 0, members


def _data_of(spec: RunSpec) -> object:
    """Return the table of the data of a training, or None."""
    return None if spec.training is None else spec.training.data


def validated(source: CardSource, given: Mapping[str, Any], number: int) -> tuple[RunSpec, dict[str, Any]]:
    """Return the specification of one combination, and its values as the specification holds them."""
    tables = copy.deepcopy(source.tables)
    for key, value in given.items():
        table: Any = tables
        *path, last = key.split(".")
        for part in path:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table
        if isinstance(table, dict):
            table[last] = value
    name = f"member {number + 1} of {source.name}"
    spec = RunSpec.from_dict(tables, folder=source.folder, read_dataset=read_h5_points, name=name)
    reading_weights(spec, read_h5_arrays)
    return spec, {key: _held(spec, key) for key in given}


def with_ensemble(spec: RunSpec, **changes: object) -> RunSpec:
    """Return a specification with validated values of its ensemble replaced."""
    changed = spec.model_copy(update={"ensemble": spec.ensemble.model_copy(update=changes)})
    changed.__dict__.pop("resolution", None)
    return changed


def with_bins(spec: RunSpec, bins: int) -> RunSpec:
    """Return a specification with the bins of a member of the index; 0 for those of its card."""
    if not bins:
        return spec
    changed = spec.model_copy(update={"estimate": spec.estimate.model_copy(update={"bins": bins})})
    changed.__dict__.pop("resolution", None)
    return changed


def own_bins(member: Member) -> int:
    """Return the bins that the index keeps of a member: those of trained networks, else 0."""
    return 0 if member.spec.training is None else member.plan.bins


@contextmanager
def naming_member(name: str) -> Iterator[None]:
    """Put the name of a member in front of every line of a `CardError`."""
    try:
        yield
    except CardError as error:
        lines = [f"member {name}: {problem}" for problem in error.problems]
        problems = [text if len(text) <= LINE_LIMIT else text[: LINE_LIMIT - 3] + "..." for text in lines]
    else:
        return
    raise CardError(problems)


def _held(spec: RunSpec, key: str) -> Any:
    """Return a value of a specification by its dotted key, as JSON holds it."""
    value: Any = spec
    for part in key.split("."):
        value = getattr(value, part)
    return json.loads(canonical(value))


def _refuse_twin(spec: RunSpec, name: str, seeds_scanned: bool, seen: dict[str, str]) -> None:
    """Refuse a member whose every number is determined as that of one before."""
    identity: dict[str, object] = spec.determining() | {NETWORKS_KEY: spec.ensemble.networks}
    if not seeds_scanned:
        del identity[SEED_KEY]
    twin = seen.setdefault(canonical(identity), name)
    if twin != name:
        raise CardError(line("run given twice", "--set", f"the same as {twin}", "give it once"))


def _name(values: Mapping[str, Any], number: int, names: set[str]) -> str:
    """Return a file name made of the values, or of the number where they make none."""
    last = [key.rpartition(".")[2] for key in values]
    labels = [short if last.count(short) == 1 else key for key, short in zip(values, last, strict=True)]
    parts = [f"{label}-{_word(value)}" for label, value in zip(labels, values.values(), strict=True)]
    name = "_".join(parts)
    if len(name) > LONGEST_NAME or not re.fullmatch(r"[A-Za-z0-9_.+-]+", name) or name.lower() in names:
        free = (f"member-{k:03d}" for k in itertools.count(number))
        name = next(word for word in free if word not in names)
    names.add(name.lower())
    return name


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(_word(item) for item in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def values_text(values: Mapping[str, Any]) -> str:
    """Return scanned values as a short text."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
