"""The kinds of networks that a card can name, told apart by ``network.kind``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Tag

from nnft.errors import CardError
from nnft.spec.cosines import CosineNetwork, CosNetSpec, FreeScalarSpec
from nnft.spec.ensemble import EnsembleSpec, EstimateSpec
from nnft.spec.network import NetworkSpec
from nnft.spec.problems import line

AnyNetwork = NetworkSpec | CosNetSpec | FreeScalarSpec
KINDS = ("mlp", "cos-net", "free-scalar")


def _branch(value: object) -> str:
    """Return the branch of a table; that of multilayer perceptrons for anything unknown."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) and kind in KINDS else "<mlp>"


NetworkTable = Annotated[
    Annotated[NetworkSpec, Tag("<mlp>")]
    | Annotated[CosNetSpec, Tag("<cos-net>")]
    | Annotated[FreeScalarSpec, Tag("<free-scalar>")],
    Discriminator(_branch),
]
"""A table [network] of any kind."""


def check_ensemble(ensemble: EnsembleSpec, network: CosineNetwork) -> None:
    """Refuse ways of drawing that networks of cosines do not have.

    Raises
    ------
    CardError
        One line for each.
    """
    problems = []
    if ensemble.method == "collapsed":
        advice = "momenta and phases are drawn: leave it out"
        problems.append(line("contradiction", "ensemble.method", "'collapsed'", advice))
    if ensemble.precision == "float32":
        advice = "networks of cosines are sampled in float64: leave it out"
        problems.append(line("contradiction", "ensemble.precision", "'float32'", advice))
    if problems:
        raise CardError(problems)


def check_estimator(estimate: EstimateSpec, network: AnyNetwork) -> None:
    """Refuse to average over amplitudes that are not Gaussian.

    Raises
    ------
    CardError
        One line.
    """
    if estimate.estimator == "conditional" and has_fixed_amplitudes(network):
        advice = "fixed amplitudes have no Gaussian law to average over: use direct"
        raise CardError([line("contradiction", "estimate.estimator", "'conditional'", advice)])


def has_fixed_amplitudes(network: AnyNetwork) -> bool:
    """Tell whether the amplitudes have no Gaussian law."""
    return isinstance(network, CosineNetwork) and network.amplitude_law == "fixed"
