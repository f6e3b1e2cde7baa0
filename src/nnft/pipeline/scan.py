"""A scan: one run for every combination of the scanned values, in one process, resumable anywhere."""

from __future__ import annotations

import dataclasses
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnft.analysis.scan_index import INDEX_NAME, ScanIndex, ScanMember, open_scan
from nnft.analysis.summary import summary
from nnft.errors import DataFileError, NnftError, NumericalError, StoppedEarly, UsageError
from nnft.pipeline.checkpoint import utc_now
from nnft.pipeline.machine import choose_threads, nnft_version
from nnft.pipeline.sample import sample
from nnft.pipeline.scan_folder import check_folder, check_member_file, publish_index, remove_members
from nnft.pipeline.scan_members import SEED_KEY, CardSource, Member, build_members, check_sets, own_bins
from nnft.pipeline.scan_resume import continued
from nnft.pipeline.stop import StopFlag
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec
from nnft.store.atomic import environment_errors, require_space
from nnft.store.lock import RunLock
from nnft.store.reader import read_run

LONGEST_REMARK = 190


def scan(
    card: RunSpec | str | os.PathLike[str] | None,
    sets: Mapping[str, Sequence[Any]] | None,
    folder: str | os.PathLike[str],
    *,
    together: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    threads: int | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
    break_lock: bool = False,
    stop: StopFlag | None = None,
    command: str = "",
    tell: Callable[[str], None] | None = None,
) -> ScanIndex:
    """Sample, or train, a family of runs into a folder.

    Parameters
    ----------
    card : RunSpec, str, path or None
        The card that all members share; None on a resume takes it from the index. Members whose
        specification has a training are trained.
    sets : mapping of str to sequence, or None
        Values of the members by dotted key, such as ``{"network.widths": [[8, 8], [16, 16]]}``. A resume
        takes those of the index if not given; further values add members.
    folder : str or path
        Made if it does not exist.
    together : bool
        Walk the keys in step instead of taking all combinations.
    overwrite, resume : bool
        What to do with an existing scan.
    threads, progress, break_lock, stop, command
        As for `nnft.pipeline.sample.sample`.
    max_seconds : float, optional
        Wall time of the whole scan.
    tell : callable, optional
        Receives one-line remarks.

    Returns
    -------
    ScanIndex
        A member that failed is in ``failed`` with its error; the others are done.

    Raises
    ------
    CardError, UsageError
        The card, a value or the call is wrong; nothing was created.
    DataFileError
        The index or an input file cannot be used.
    EnvironmentRefusal
        Lock, disk or permissions refuse; what was committed stays.
    StoppedEarly
        Stopped with everything committed; the message has the command that goes on.
    """
    begun = time.monotonic()
    path, flag, say = Path(folder), stop or StopFlag(), tell or (lambda remark: None)
    choose_threads(threads)
    check_folder(path, overwrite, resume)
    wanted = None if not sets and resume else check_sets(sets or {}, together)
    source = CardSource.read(card) if card is not None else None  # type: ignore[arg-type]
    if source is None and not resume:
        raise UsageError("no card: got nothing to sample; give CARD, or --resume with the folder of a scan")
    prepared = None if resume else make_index(path, source, wanted, together)  # type: ignore[arg-type]
    if prepared is not None:
        require_room(path if path.exists() else path.absolute().parent, *prepared)
        for note in seed_notes(prepared[0], source):
            say(note)
    if flag.stopping:
        raise StoppedEarly("stopped before anything was written; start it again", flag.exit_code or 75)
    with environment_errors(path):
        path.mkdir(exist_ok=True)
    with RunLock(path / INDEX_NAME, break_lock=break_lock) as lock:
        for message in lock.messages:
            say(message)
        check_folder(path, overwrite, resume)
        index, members = prepared or continued(open_scan(path), source, wanted, together)
        require_room(path, index, members)
        if overwrite and index.path.exists():
            remove_members(path)
        work = ScanWork(index, members, lock, flag, say)
        work.publish()
        deadline = None if max_seconds is None else begun + max_seconds
        work.run(deadline, {"threads": threads, "progress": progress, "command": command})
    return work.index


def make_index(
    folder: Path, source: CardSource, sets: Mapping[str, list[Any]], together: bool
) -> tuple[ScanIndex, list[Member]]:
    """Validate all members of a new scan and return its index; see `build_members`."""
    seed, members = build_members(source, sets, together)
    now = utc_now()
    index = ScanIndex(
        folder=folder,
        card_name=source.name,
        card_folder=str(source.folder),
        card=source.text,
        seed=seed,
        sets=sets,
        together=together,
        members=tuple(planned(member) for member in members),
        nnft_version=nnft_version(),
        created_at=now,
        updated_at=now,
    )
    return index, members


def seed_notes(index: ScanIndex, source: CardSource | None) -> list[str]:
    """Say which seed was drawn for a card without one."""
    ensemble = source.tables.get("ensemble") if source is not None else None
    if SEED_KEY in index.sets or (isinstance(ensemble, dict) and "seed" in ensemble):
        return []
    return [f"no seed in the card: drew {index.seed}"]


def require_room(folder: Path, index: ScanIndex, members: Sequence[Member]) -> None:
    """Refuse a disk that cannot hold the members that are not done yet; see `require_space`."""
    plans = [
        member.plan for member, record in zip(members, index.members, strict=True) if record.state != "done"
    ]
    if plans:
        largest = max(plan.snapshot_bytes + plan.wave_bytes for plan in plans)
        require_space(folder, largest + sum(plan.snapshot_bytes + plan.fields_bytes for plan in plans))


class ScanWork:
    """One process's share of a scan, under its lock.

    Parameters
    ----------
    index : ScanIndex
    members : sequence of Member
        Their specifications, in the order of the index.
    lock : RunLock
        Of the index; held.
    flag : StopFlag
    say : callable
        Receives one-line remarks.

    Attributes
    ----------
    index : ScanIndex
        As published last.
    """

    def __init__(
        self,
        index: ScanIndex,
        members: Sequence[Member],
        lock: RunLock,
        flag: StopFlag,
        say: Callable[[str], None],
    ) -> None:
        self.index = index
        self._members, self._lock, self._flag, self._say = members, lock, flag, say
        self._version = nnft_version()

    def publish(self) -> None:
        """Write the index as it stands."""
        self.index = dataclasses.replace(self.index, updated_at=utc_now(), nnft_version=self._version)
        publish_index(self.index, self._lock)

    def run(self, deadline: float | None, options: Mapping[str, Any]) -> None:
        """Sample member after member; one that fails is recorded and does not end the scan."""
        total = len(self._members)
        todo = [number for number in range(total) if not self._finished(number)]
        if not todo and not self.index.failed:
            self._say(f"already complete: {self.index.folder} holds all {total} members")
        for number in todo:
            if deadline is not None and time.monotonic() >= deadline:
                self._flag.request(75)
            if self._flag.stopping:
                raise self._stopped(number)
            self._record(number, state="running", error="", exit_code=0)
            if options["progress"]:
                self._announce(number)
            try:
                self._sample(number, deadline, options)
            except StoppedEarly:
                self._record(number, networks_done=self._committed(number))
                raise self._stopped(number) from None
            except (NumericalError, DataFileError) as error:
                self._fail(number, error)

    def _finished(self, number: int) -> bool:
        """Tell whether a member is done and its file still there and sound."""
        record = self.index.members[number]
        path = self.index.member_path(record)
        if record.state != "done":
            return False
        if not path.exists():
            self._say(f"file of member {record.name} is gone: sampling it again")
            return False
        try:
            check_member_file(path, record)
        except DataFileError as error:
            self._fail(number, error)
        return True

    def _sample(self, number: int, deadline: float | None, options: Mapping[str, Any]) -> None:
        """Start or resume one member, and record its end."""
        member, record = self._members[number], self.index.members[number]
        path = self.index.member_path(record)
        exists = path.exists()
        if exists:
            check_member_file(path, record)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        start = sample if member.spec.training is None else train
        with start(
            member.spec,
            path,
            resume=exists,
            max_seconds=left,
            stop=self._flag,
            tell=lambda remark: self._say(f"{record.name}: {remark}"),
            **options,
        ) as run:
            digest, done = run.stored.text("result_digest"), run.networks
            summary(run)  # raises where the results are none, as those of a deformation too strong
        self._record(number, state="done", networks_done=done, result_digest=digest)

    def _record(self, number: int, **changes: Any) -> None:
        """Change what the index says about a member, and publish it."""
        members = list(self.index.members)
        members[number] = dataclasses.replace(members[number], **changes)
        self.index = dataclasses.replace(self.index, members=tuple(members))
        self.publish()

    def _fail(self, number: int, error: NnftError) -> None:
        text = str(error).splitlines()[0]
        self._record(
            number,
            state="failed",
            error=text,
            exit_code=error.exit_code,
            networks_done=self._committed(number),
        )
        said = f"member {self.index.members[number].name} failed: {text}"
        self._say(said if len(said) <= LONGEST_REMARK else said[: LONGEST_REMARK - 3] + "...")

    def _committed(self, number: int) -> int:
        """Return the networks in the file of a member."""
        try:
            with read_run(self.index.member_path(self.index.members[number])) as stored:
                done: int = stored.networks_done
        except DataFileError:
            return 0
        return done

    def _announce(self, number: int) -> None:
        record = self.index.members[number]
        place = f"member {number + 1} of {len(self._members)}"
        self._say(f"{place}: {record.name}, {record.networks} networks, seed {record.seed}")

    def _stopped(self, number: int) -> StoppedEarly:
        """Say how far the scan is, and the command that goes on."""
        done = sum(member.state == "done" for member in self.index.members)
        again = shlex.join(["nnft", "scan", "--resume", "-o", _word(self.index.folder)])
        where = f"stopped at member {number + 1} of {len(self._members)}, {done} done"
        return StoppedEarly(f"{where}; go on with: {again}", self._flag.exit_code or 75)


def _word(path: Path) -> str:
    """Return a path as a word of a command line that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def planned(member: Member) -> ScanMember:
    """Return the record of a member that has not started."""
    return ScanMember(
        name=member.name,
        values=member.values,
        seed=member.spec.ensemble.seed,
        digest=member.spec.digest(),
        block_size=member.plan.block_size,
        networks=member.plan.networks,
        bins=own_bins(member),
    )
