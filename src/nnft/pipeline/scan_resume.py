"""Going on with a scan: the members of the index, compared with the card and the values given now."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnft.analysis.scan_index import ScanIndex, ScanMember
from nnft.errors import CardError, DataFileError, shorten
from nnft.pipeline.scan_members import (
    SEED_KEY,
    CardSource,
    Member,
    build_members,
    canonical,
    naming_member,
    own_bins,
    validated,
    with_bins,
    with_ensemble,
)
from nnft.spec.plan import plan_run
from nnft.spec.problems import line
from nnft.spec.run import RunSpec

MOST_DIFFERENCES = 5


def continued(
    index: ScanIndex,
    source: CardSource | None,
    sets: Mapping[str, list[Any]] | None,
    together: bool,
) -> tuple[ScanIndex, list[Member]]:
    """Return the index and the members of a scan that goes on.

    Parameters
    ----------
    index : ScanIndex
        As stored; the caller holds the lock.
    source : CardSource or None
        The card given now; that of the index if None.
    sets : mapping or None
        The values given now, which hold all of the index and may add some; those of the index if None.
    together : bool
        As given now.

    Raises
    ------
    CardError
        The card or the values are those of another scan; a line for each difference.
    DataFileError
        The index contradicts its own card, or an input file has changed.
    """
    if sets is not None:
        refuse_other_sets(index, sets, together)
    sets = dict(index.sets) if sets is None else dict(sets)
    folder = Path(index.card_folder) if source is None else source.folder
    stored = CardSource.of(index.card, index.card_name, folder)
    given = source or stored
    seed, members = build_members(given, sets, index.together, index.seed)
    if SEED_KEY not in sets and seed != index.seed:
        raise CardError(line("another value", SEED_KEY, str(seed), f"the scan has {index.seed}"))
    records = {canonical(record.values): record for record in index.members}
    taken = {record.name for record in index.members}
    kept, rows = [], []
    for member in members:
        record = records.get(member.key)
        if record is None:
            kept.append(_added(member, taken))
        else:
            kept.append(_kept(member, record, stored, same_card=given.text == index.card))
        rows.append(record)
    if missing := set(records) - {member.key for member in members}:
        raise CardError(line("member left out", "--set", shorten(min(missing)), "give all old values"))
    merged = [_record(member, row) for member, row in zip(kept, rows, strict=True)]
    changed = dataclasses.replace(
        index,
        card=given.text,
        card_name=given.name,
        card_folder=str(given.folder),
        sets=sets,
        members=tuple(merged),
    )
    return changed, kept


def refuse_other_sets(index: ScanIndex, sets: Mapping[str, list[Any]], together: bool) -> None:
    """Refuse scanned keys or values that are not those of the index and more.

    Raises
    ------
    CardError
        A line for each difference.
    """
    problems = []
    for key in sets.keys() ^ index.sets.keys():
        known = index.sets.get(key)
        got = "nothing" if known else _shown(sets[key])
        advice = f"the scan has {_shown(known)}" if known else "the scan does not vary it"
        problems.append(line("another key", f"--set {key}", got, advice))
    if together != index.together and len(sets) > 1:
        word = "given" if together else "left out"
        problems.append(line("another order", "--together", word, "the scan began the other way"))
    if not problems and not together:
        for key, values in sets.items():
            old = [value for value in index.sets[key] if not _among(value, values)]
            if old:
                advice = f"the scan also has {_shown(old)}: give all old values and new ones"
                problems.append(line("value left out", f"--set {key}", _shown(values), advice))
    if problems:
        raise CardError(sorted(problems))


def _among(value: Any, values: Sequence[Any]) -> bool:
    """Tell whether a value is one of several; 1 and 1.0 are the same."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 50 else text[:47] + "..."


def _added(member: Member, taken: set[str]) -> Member:
    """Give a further member a name of its own."""
    name = member.name
    if name in taken:
        name = next(f"member-{k:03d}" for k in itertools.count(len(taken)) if f"member-{k:03d}" not in taken)
    taken.add(name)
    return dataclasses.replace(member, name=name)


def _kept(member: Member, record: ScanMember, stored: CardSource, same_card: bool) -> Member:
    """Return a member of the index with what its run left to ``auto`` taken from there.

    Raises
    ------
    CardError
        The card asks for other numbers.
    DataFileError
        The index contradicts itself.
    """
    old = _stored_spec(record, stored)
    with naming_member(record.name):
        spec = member.spec.resuming(old)
        plan = plan_run(spec)
        problems = [] if same_card else spec.difference(old)[:MOST_DIFFERENCES]
        if plan.networks < record.networks_done:
            got = str(plan.networks)
            advice = f"allowed: at least {record.networks_done}, which the file holds"
            problems.append(line("fewer networks", "ensemble.networks", got, advice))
        elif record.networks_done % record.block_size and plan.networks > record.networks_done:
            advice = f"its last block of {record.block_size} is short"
            problems.append(line("run cannot be extended", "ensemble.networks", str(plan.networks), advice))
        if problems:
            raise CardError(problems)
    return Member(record.name, record.values, spec, plan)


def _stored_spec(record: ScanMember, stored: CardSource) -> RunSpec:
    """Return the specification that the index describes."""
    try:
        spec, _ = validated(stored, record.values, 0)
        old = with_ensemble(spec, seed=record.seed, block_size=record.block_size)
        old = with_bins(old, record.bins)
        digest = old.digest()
    except CardError as error:
        raise DataFileError(f"scan index contradicts its card at member {record.name}: {error}") from error
    if digest != record.digest:
        raise DataFileError(
            f"another run than in the index at member {record.name}: got digest {digest[:12]}, "
            f"wanted {record.digest[:12]}; restore the input file"
        )
    return old


def _record(member: Member, record: ScanMember | None) -> ScanMember:
    """Return what the index says about a member from now on."""
    state: dict[str, Any] = {}
    if record is not None:
        state = {"networks_done": record.networks_done, "state": record.state}
        if record.state == "done" and member.plan.networks == record.networks_done:
            state["result_digest"] = record.result_digest
        elif record.state != "planned":
            state["state"] = "running"
    return ScanMember(
        name=member.name,
        values=member.values,
        seed=member.spec.ensemble.seed,
        digest=member.spec.digest(),
        block_size=member.plan.block_size,
        networks=member.plan.networks,
        bins=own_bins(member),
        **state,
    )
