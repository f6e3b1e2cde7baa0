"""The part of the schema of run files that holds a flow over cutoffs of the information of parameters."""

from __future__ import annotations

from dataclasses import replace

from nnft.store.schema_entry import SchemaEntry, array, axis, group

RENORMALIZATION = (
    group(
        "/training/renormalization",
        "flow over cutoffs",
        "networks below whose cutoff parameters are replaced",
        required=False,
    ),
    axis("/training/renormalization/level", "cutoff", "cutoffs, ascending"),
    axis("/training/renormalization/error", "error", "training, test"),
    axis("/training/renormalization/network", "network", "networks in the order of their index"),
    axis("/training/renormalization/sum", "sum", "sum, sum of squares, networks"),
    axis("/training/renormalization/statistic", "statistic", "median, mean"),
    array(
        "/training/renormalization/cutoff",
        "float64",
        "level",
        "cutoff",
        "parameters whose information is smaller are replaced",
    ),
    array(
        "/training/renormalization/silent",
        "float64",
        "sum",
        "silent parameters",
        "sum over networks of the share of parameters of no information, of its square, networks",
    ),
    array(
        "/training/renormalization/uncertainty",
        "float64",
        "statistic sum",
        "error of the information",
        "the same of the relative standard error of the information over its inputs, where it is known",
    ),
    array(
        "/training/renormalization/losses",
        "float64",
        "network level error",
        "losses",
        "mean squared errors of the first networks at every cutoff; NaN for a network that diverged",
        required=False,
    ),
    axis("/training/renormalization/kept_network", "network", "the first networks, whose outputs are kept"),
    axis("/training/renormalization/kept_point", "point", "the first points of /mesh"),
    array(
        "/training/renormalization/outputs",
        "float64",
        "kept_network level kept_point",
        "outputs",
        "of single networks at every cutoff: first chain, first refill; NaN for a network that diverged",
        required=False,
    ),
    group(
        "/training/renormalization/within",
        "within networks",
        "covariance of the outputs over the refills of a network, if there are several",
        required=False,
    ),
    array(
        "/training/renormalization/within/sums",
        "float64",
        "level bin pair",
        "sums",
        "sum over networks of the unbiased covariance, packed pairs, mean over chains",
    ),
    array("/training/renormalization/within/count", "int64", "level bin", "networks", "networks in the sums"),
    group(
        "/training/renormalization/spectrum",
        "spectrum",
        "how many of the chosen parameters of a network have which information",
        required=False,
    ),
    axis("/training/renormalization/spectrum/edges", "edge", "ends of the bins of the information"),
    axis("/training/renormalization/spectrum/whole", "whole", "one histogram for the whole flow"),
    axis(
        "/training/renormalization/spectrum/place",
        "place",
        "0: exactly zero; 1: below the first edge; k: from edge k - 2 to below edge k - 1; from the last on",
    ),
    array("/training/renormalization/spectrum/edge", "float64", "edges", "edge", "ten for a decade"),
    array(
        "/training/renormalization/spectrum/sums",
        "float64",
        "whole bin place",
        "sums",
        "sum over networks of the number of parameters, mean over chains",
    ),
    array(
        "/training/renormalization/spectrum/count", "int64", "whole bin", "networks", "networks in the sums"
    ),
)
"""What a flow over cutoffs adds; its sums are those of a training, a cutoff in place of a snapshot."""


def below_cutoffs(entries: tuple[SchemaEntry, ...]) -> tuple[SchemaEntry, ...]:
    """Entries of sums along a training as those of a flow over cutoffs."""
    kept = ("flow", "observables", "tangent")
    found = []
    for entry in entries:
        part = entry.path.removeprefix("/training/")
        if part.split("/")[0].partition("@")[0] in kept:
            dims = tuple("level" if dim == "snapshot" else dim for dim in entry.dims)
            found.append(replace(entry, path=f"/training/renormalization/{part}", dims=dims))
    return tuple(found)
