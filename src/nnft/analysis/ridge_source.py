"""Spectra of kernels with their targets: from a table, a power law, a sphere, a card's kernel on its data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnft.errors import DataFileError, NumericalError, UsageError, shorten
from nnft.theory.averaged_predictor import NOTHING, Remainder, prior_target
from nnft.theory.data_averages import Spectrum
from nnft.theory.power_law_spectrum import PowerLaw

FloatArray = npt.NDArray[np.float64]

MOST_LEVELS = 2**22
COLUMNS = ("eigenvalue", "target_power", "multiplicity")
FROM_PRIOR = "a draw of the kernel's own prior, y^2 = eigenvalue"
AS_GIVEN = "powers as given"


@dataclass(frozen=True, eq=False)
class RidgeSource:
    """A kernel's spectrum with a target, and what is known about where it comes from.

    Attributes
    ----------
    kind : {'table', 'power-law', 'sphere', 'card'}
    title : str
        One line.
    spectrum : Spectrum
        Levels with eigenvalues > 0, without label noise.
    levels : tuple of int or None
        Number of each level: degree on the sphere, row of a table; None: 1, 2, ...
    remainder : Remainder
        Levels of eigenvalue 0, and degrees above the highest.
    target : str
        What the target powers are.
    ridge : float
        That of the source, used where none is asked for.
    points : tuple of float
        Likewise.
    law : PowerLaw or None
        Where scaling laws apply.
    notes : tuple of str
    """

    kind: str
    title: str
    spectrum: Spectrum
    levels: tuple[int, ...] | None = None
    remainder: Remainder = NOTHING
    target: str = AS_GIVEN
    ridge: float = 0.0
    points: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0, 1000.0)
    law: PowerLaw | None = None
    notes: tuple[str, ...] = ()

    def level(self, place: int) -> int:
        """Return the number of a level of the spectrum."""
        return place + 1 if self.levels is None else self.levels[place]


def make_source(
    kind: str,
    title: str,
    levels: tuple[FloatArray, FloatArray, FloatArray | None],
    *,
    first: int = 1,
    tail: float = 0.0,
    notes: tuple[str, ...] = (),
) -> RidgeSource:
    """Put levels of eigenvalue 0 and the tail aside.

    Parameters
    ----------
    kind, title, notes
        See `RidgeSource`.
    levels : tuple
        Eigenvalues >= 0, multiplicities > 0 and target powers >= 0, shape (M,) each; None: a target from the
        prior.
    first : int
        Number of the first level.
    tail : float
        Sum of the eigenvalues that are not listed.

    Raises
    ------
    NumericalError
        If all eigenvalues are 0.
    """
    values, counts, power = levels
    kept = values > 0.0
    if not kept.any():
        raise NumericalError(
            f"kernel without modes: got {values.size} eigenvalues, all 0; nothing is learned"
        )
    target = AS_GIVEN
    if power is None:
        target, power = FROM_PRIOR, counts * values
        lost = tail
    else:
        lost = float(power[~kept].sum())
    spectrum = Spectrum(values[kept], counts[kept], power[kept])
    numbers = tuple((np.flatnonzero(kept) + first).tolist()) if first != 1 or not kept.all() else None
    return RidgeSource(kind, title, spectrum, numbers, Remainder(tail, lost), target, notes=notes)


def table_source(path: str | os.PathLike[str], target: Mapping[int, float] | None = None) -> RidgeSource:
    """Read a spectrum from a table.

    Parameters
    ----------
    path : str or path
        .csv, .txt, .tsv, .dat or .npy (or data set of an HDF5 file, ``name.h5:/dataset``), one row for each
        level. Columns by name in a header, ``eigenvalue``, ``target_power``, ``multiplicity``, or in this
        order; the last two may be missing. A target power is that of the whole level.
    target : mapping of int to float, optional
        Target powers by row, from 1, instead of those of the table; 0 elsewhere.

    Raises
    ------
    DataFileError
        The file cannot be used; the message says where.
    """
    from nnft.spec.point_files import read_point_file
    from nnft.store.points import read_h5_points

    name = Path(path).name
    found = read_point_file(os.fspath(path), "SOURCE", Path(), read_h5_points, vector=True)
    columns = _columns(found.numbers, found.header, name)
    values = columns["eigenvalue"]
    counts = columns.get("multiplicity", np.ones(len(values)))
    power = columns.get("target_power")
    for key, column in columns.items():
        low = column <= 0.0 if key == "multiplicity" else column < 0.0
        if low.any():
            row = int(low.argmax())
            wanted = "> 0" if key == "multiplicity" else ">= 0"
            raise DataFileError(
                f"{key} out of range in {shorten(name)}, row {row + 1} of numbers: got {column[row]:g}; "
                f"give numbers {wanted}"
            )
    if target is not None:
        power = given_target(target, len(values), 1)
    return make_source("table", f"spectrum of {shorten(name)}", (values, counts, power))


def _columns(numbers: FloatArray, header: tuple[str, ...], name: str) -> dict[str, FloatArray]:
    if len(numbers) > MOST_LEVELS:
        raise DataFileError(f"too many levels in {shorten(name)}: got {len(numbers)}; at most {MOST_LEVELS}")
    count = numbers.shape[1]
    names = tuple(word.strip().lower() for word in header) or COLUMNS[:count]
    if len(names) != count or len(set(names)) != count or not set(names) <= set(COLUMNS):
        got = ", ".join(header) if header else f"{count} columns"
        raise DataFileError(
            f"columns of {shorten(name)}: got {shorten(got, 50)}; "
            f"give {', '.join(COLUMNS)}, or the first of them"
        )
    if "eigenvalue" not in names:
        raise DataFileError(f"no eigenvalues in {shorten(name)}: got {', '.join(names)}; add that column")
    return {key: numbers[:, place] for place, key in enumerate(names)}


def given_target(target: Mapping[int, float], count: int, first: int) -> FloatArray:
    """Return target powers of all levels, 0 where none is given.

    Raises
    ------
    UsageError
        If there is no such level.
    """
    power = np.zeros(count)
    for level, value in target.items():
        if not first <= level < first + count:
            raise UsageError(
                f"no such level in --target: got {level}; allowed: {first} to {first + count - 1}"
            )
        power[level - first] = value
    return power


def power_law_source(
    a: float, b: float | None, modes: int, target: Mapping[int, float] | None = None
) -> RidgeSource:
    """Eigenvalues k^-a and target powers k^-b, k = 1..modes.

    Parameters
    ----------
    a : float
        > 0.
    b : float or None
        None: b = a, a target from the prior.
    modes : int
        Up to 2^22.
    target : mapping of int to float, optional
        Target powers by mode instead of k^-b.

    Raises
    ------
    UsageError
        Numbers out of range, or both b and a target.
    """
    if not 1 <= modes <= MOST_LEVELS:
        raise UsageError(f"modes out of range in --power-law: got {modes}; allowed: 1 to {MOST_LEVELS}")
    if b is not None and target is not None:
        raise UsageError(f"contradiction: got both b = {b:g} in --power-law and --target; give one of them")
    law = PowerLaw(a, a if b is None else b)
    spectrum = law.spectrum(modes)
    title = f"power law, eigenvalues k^-{a:g}, {modes} modes"
    if target is not None:
        spectrum = replace(spectrum, target_power=given_target(target, modes, 1))
        return RidgeSource("power-law", title, spectrum)
    words = FROM_PRIOR if b is None else f"powers k^-{b:g}"
    if b is None:
        spectrum = prior_target(spectrum)
    return RidgeSource("power-law", title, spectrum, target=words, law=law)
