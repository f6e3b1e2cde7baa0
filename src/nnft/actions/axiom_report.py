"""What the checks of symmetries and axioms return, and what counts as broken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nnft.errors import UsageError

Verdict = Literal["holds", "broken", "not testable"]

BROKEN_P = 1e-4
"""A symmetry or axiom is broken if data as bad as these had a smaller probability with it."""

VISIBLE_SIGMAS = 4.0
"""A check that could not see a violation of 100 % with so many standard errors is not testable."""


@dataclass(frozen=True)
class AxiomCheck:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        What was checked, such as ``"translations"``.
    order : int
        Number of fields in the correlators compared.
    compared : str
        What was compared, in words.
    verdict : {'holds', 'broken', 'not testable'}
        ``holds`` always means: within the errors stated.
    reason : str
        Why the check is not testable, or a remark on the verdict.
    statistic : float or None
        What `statistic_name` says; infinite where a number without spread violates the axiom.
    statistic_name : str
        Such as ``"T2(25)"``: Hotelling's statistic with 25 independent components.
    p_value : float or None
        Probability of data at least as bad if the axiom holds.
    effect, error : float or None
        Size of the largest deviation, in units that `effect_name` names, with its standard error.
    effect_name : str
        What `effect` is.
    details : mapping
        Further numbers, ready for JSON.
    """

    name: str
    order: int
    compared: str
    verdict: Verdict
    reason: str = ""
    statistic: float | None = None
    statistic_name: str = ""
    p_value: float | None = None
    effect: float | None = None
    error: float | None = None
    effect_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts for JSON; numbers that are not finite become None."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        cleaned: dict[str, Any] = _plain(record)
        return cleaned


@dataclass(frozen=True)
class AxiomReport:
    """All checks of one ensemble.

    Attributes
    ----------
    source : str
        Name of the file, or ``"fields"``.
    networks : int
        Networks behind the correlators.
    bins : int
        Bins behind the errors.
    fields : int
        Networks whose outputs were at hand, for the checks that need outputs.
    checks : tuple of AxiomCheck
    """

    source: str
    networks: int
    bins: int
    fields: int
    checks: tuple[AxiomCheck, ...]

    def check(self, name: str, order: int) -> AxiomCheck:
        """Return one check by its name and order.

        Raises
        ------
        UsageError
            If it was not made.
        """
        for check in self.checks:
            if (check.name, check.order) == (name, order):
                return check
        known = ", ".join(f"{check.name} {check.order}" for check in self.checks)
        raise UsageError(f"no such check: got {name} {order}; made: {known}"[:200])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "source": self.source,
            "networks": self.networks,
            "bins": self.bins,
            "fields": self.fields,
            "broken_below_p": BROKEN_P,
            "checks": [check.as_dict() for check in self.checks],
        }


def not_testable(name: str, order: int, compared: str, why: str, **details: Any) -> AxiomCheck:
    """Return a check that could not be made, with the reason."""
    return AxiomCheck(name, order, compared, "not testable", why, details=details)


def _plain(value: Any) -> Any:
    """Return data that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
