"""The schema of the files that nnft writes: one table for writer, reader, verification and documentation.

A path names an object of the HDF5 file; ``<word>`` stands for a name that the run decides and ``path@name``
for an attribute. Axes are dimension scales: the axis ``bin`` of ``/accumulators/count`` is the scale of that
name in the data set's own group or in a group above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RUN_FILETYPE = "nnft-run"
SEGMENT_FILETYPE = "nnft-fields"
FORMAT_VERSION = (1, 0)
CONVENTIONS = "nnft-1.0"
RESULT_GROUPS = ("/mesh", "/accumulators", "/estimates", "/fields_manifest")
COMMIT_COUNTERS = ("networks_done", "blocks_done", "complete")

Kind = Literal["group", "dimension", "dataset", "attribute"]


@dataclass(frozen=True)
class SchemaEntry:
    """One row of the schema.

    Attributes
    ----------
    path : str
        Path pattern in the file.
    kind : {"group", "dimension", "dataset", "attribute"}
        What stands there.
    dtype : str
        "text" (UTF-8, fixed length), "float64", "int64", "int32", "int8", "int64[2]"; "" for a group.
    dims : tuple of str
        Names of the axes; empty for a scalar.
    required : bool
        Whether every file has it (inside a ``<word>`` group: every such group).
    units : str
        "1" for a pure number, "" where units make no sense.
    long_name : str
        Short name, also stored as attribute of a data set.
    description : str
        Meaning, conventions, normalisation.
    """

    path: str
    kind: Kind
    dtype: str
    dims: tuple[str, ...]
    required: bool
    units: str
    long_name: str
    description: str


def _group(path: str, long_name: str, description: str, *, required: bool = True) -> SchemaEntry:
    return SchemaEntry(path, "group", "", (), required, "", long_name, description)


def _axis(path: str, long_name: str, description: str) -> SchemaEntry:
    return SchemaEntry(path, "dimension", "int8", (), False, "", long_name, description)


def _attribute(
    path: str, dtype: str, long_name: str, description: str, *, required: bool = True
) -> SchemaEntry:
    return SchemaEntry(path, "attribute", dtype, (), required, "", long_name, description)


def _text(path: str, long_name: str, description: str, *, required: bool = True) -> SchemaEntry:
    return SchemaEntry(path, "dataset", "text", (), required, "", long_name, description)


def _array(
    path: str,
    dtype: str,
    dims: str,
    long_name: str,
    description: str,
    *,
    required: bool = True,
    units: str = "1",
) -> SchemaEntry:
    return SchemaEntry(path, "dataset", dtype, tuple(dims.split()), required, units, long_name, description)


_ROOT = (
    _attribute("/@filetype", "text", "file type", 'always "nnft-run"'),
    _attribute(
        "/@format_version",
        "int64[2]",
        "format version",
        "major and minor; a reader of major 1 reads every 1.x",
    ),
    _attribute("/@Conventions", "text", "conventions", 'always "nnft-1.0"'),
    _attribute("/@nnft_version", "text", "program version", "version of nnft that wrote the file"),
    _attribute(
        "/@run_id", "text", "run identity", "drawn once when the run starts; kept by resume and extension"
    ),
    _attribute(
        "/@digest",
        "text",
        "specification digest",
        "SHA-256 of everything in the card that determines the numbers",
    ),
    _attribute(
        "/@seed",
        "text",
        "seed",
        "decimal number from 0 to 2^128 - 1, as text because no integer type holds it",
    ),
    _attribute("/@created_at", "text", "time of creation", "start of the run, ISO 8601 UTC"),
    _attribute("/@updated_at", "text", "time of update", "time of this snapshot, ISO 8601 UTC"),
    _attribute(
        "/@block_size",
        "int64",
        "block size",
        "networks in a block; block b holds networks b*block_size to (b+1)*block_size - 1",
    ),
    _attribute(
        "/@networks_planned", "int64", "networks asked for", "size of the ensemble that the card asks for"
    ),
    _attribute("/@blocks_planned", "int64", "blocks asked for", "networks_planned / block_size, rounded up"),
    _attribute(
        "/@networks_done",
        "int64",
        "networks done",
        "networks that every number of this file includes: indices 0 to networks_done - 1",
    ),
    _attribute("/@blocks_done", "int64", "blocks done", "networks_done / block_size, rounded up"),
    _attribute("/@complete", "int64", "run complete", "1 if networks_done equals networks_planned, else 0"),
    _attribute(
        "/@result_digest",
        "text",
        "result digest",
        "SHA-256 over all results; equal for two runs with the same numbers",
    ),
    _attribute(
        "/@header_sha256",
        "text",
        "header digest",
        "SHA-256 over names, types, shapes and attributes of this table",
    ),
)

_PROVENANCE = (
    _group("/config", "configuration", "what was asked for"),
    _text(
        "/config/card",
        "run card as given",
        "the card's text, byte for byte; missing for a run started from Python",
        required=False,
    ),
    _text("/config/resolved", "resolved run card", "TOML with every default filled in"),
    _text("/config/plan", "plan", "JSON: methods chosen and why, sizes, memory"),
    _group(
        "/provenance", "provenance", "how the file came about; data for people, never used in a computation"
    ),
    _text(
        "/provenance/<name>",
        "provenance record",
        "versions, build, host, command, environment (listed variables only): text or JSON",
        required=False,
    ),
    _group("/provenance/history", "history", "one entry for each start, resume and extension"),
    _axis("/provenance/history/entry", "history entry", "in order of time"),
    _array("/provenance/history/action", "text", "entry", "action", "start, resume or extend", units=""),
    _array(
        "/provenance/history/networks",
        "int64",
        "entry",
        "networks present",
        "networks_done when the entry was written",
    ),
    _array("/provenance/history/time", "text", "entry", "time", "ISO 8601 UTC", units=""),
    _array(
        "/provenance/history/version", "text", "entry", "program version", "version of nnft at work", units=""
    ),
    _group("/runtime", "runtime", "where the time went; volatile, outside of every digest of results"),
    _array(
        "/runtime/seconds_<phase>",
        "float64",
        "",
        "time in a phase",
        "seconds of wall time",
        required=False,
        units="s",
    ),
    _array(
        "/runtime/networks_per_second",
        "float64",
        "",
        "throughput",
        "networks per second of sampling",
        required=False,
        units="1/s",
    ),
)

_RESULTS = (
    _group("/mesh", "input points", "the points at which the networks are evaluated"),
    _attribute(
        "/mesh@source",
        "text",
        "source",
        "where the points come from: card, file or generator",
        required=False,
    ),
    _attribute(
        "/mesh@source_sha256", "text", "source digest", "SHA-256 of the points before scaling", required=False
    ),
    _axis("/mesh/point", "point", "input points a = 0 .. P-1"),
    _axis("/mesh/feature", "feature", "input components i = 0 .. d-1"),
    _array(
        "/mesh/points",
        "float64",
        "point feature",
        "input points",
        "x[a, i] as the networks see them, after scaling",
    ),
    _group("/accumulators", "accumulators", "sums per bin, from which every estimate and its error follow"),
    _axis("/accumulators/bin", "bin", "block b belongs to bin b mod (number of bins)"),
    _axis(
        "/accumulators/pair",
        "pair",
        "packed pairs a <= b in lexicographic order: (0,0), (0,1) .. (0,P-1), (1,1) ..",
    ),
    _axis("/accumulators/component_<name>", "component", "packed components of one table"),
    _axis("/accumulators/position_<name>", "position", "the points of a component, one after the other"),
    _array("/accumulators/count", "int64", "bin", "networks per bin", "sums to networks_done"),
    _array(
        "/accumulators/shift",
        "float64",
        "pair",
        "shift of the kernel",
        "subtracted from the kernel of every network before the sums; 0 for the direct estimator",
        required=False,
    ),
    _group("/accumulators/sums", "sums", "one data set for each table"),
    _array(
        "/accumulators/sums/<name>",
        "float64",
        "bin component_<name>",
        "sums per bin",
        "sum over the networks of the bin of the shifted conditional moment T of the component",
        required=False,
    ),
    _group("/accumulators/indices", "index tables", "one data set for each table that has points"),
    _array(
        "/accumulators/indices/<name>",
        "int32",
        "component_<name> position_<name>",
        "points of each component",
        "point numbers, sorted within equal output labels",
        required=False,
    ),
    _group("/accumulators/state", "further state", "what a resume needs beyond the sums", required=False),
    _axis("/accumulators/state/length_<name>", "element", "elements of one array"),
    _array(
        "/accumulators/state/<name>",
        "float64",
        "length_<name>",
        "estimator state",
        "see the estimator",
        required=False,
    ),
    _group("/estimates", "estimates", "values and standard errors, derived from the accumulators"),
    _group("/estimates/<name>", "estimate", "one table of components", required=False),
    _attribute(
        "/estimates/<name>@order", "int64", "order", "number of fields in the correlator", required=False
    ),
    _attribute(
        "/estimates/<name>@pattern",
        "text",
        "output pattern",
        "output label of each field, such as 0011",
        required=False,
    ),
    _attribute("/estimates/<name>@estimator", "text", "estimator", "conditional or direct", required=False),
    _attribute("/estimates/<name>@networks", "int64", "networks", "networks in the estimate", required=False),
    _axis("/estimates/<name>/component", "component", "packed components"),
    _axis("/estimates/<name>/position", "position", "the points of a component, one after the other"),
    _array(
        "/estimates/<name>/indices",
        "int32",
        "component position",
        "points of each component",
        "point numbers of each component",
    ),
    _array("/estimates/<name>/value", "float64", "component", "estimate", "unbiased estimate"),
    _array(
        "/estimates/<name>/stderr",
        "float64",
        "component",
        "standard error",
        "one standard deviation, delete-one-bin jackknife",
    ),
    _array(
        "/estimates/<name>/unreliable",
        "int8",
        "component",
        "error bar unreliable",
        "1 where heavy tails make the standard error itself doubtful",
    ),
    _group("/theory", "theory", "exact references computed with the run, for comparison", required=False),
    _axis("/theory/layer", "layer", "affine layers l = 1 .. L"),
    _axis("/theory/point_a", "first point", "input points a = 0 .. P-1"),
    _axis("/theory/point_b", "second point", "input points b = 0 .. P-1"),
    _array(
        "/theory/nngp_kernel",
        "float64",
        "layer point_a point_b",
        "infinite-width kernel",
        "covariance of one pre-activation of layer l as all widths go to infinity",
        required=False,
    ),
)

_FIELDS = (
    _group(
        "/fields_manifest",
        "stored fields",
        "which networks' outputs stand in the segments of the folder FILE.fields",
        required=False,
    ),
    _attribute("/fields_manifest@outputs", "int64", "outputs", "outputs per network"),
    _attribute("/fields_manifest@points", "int64", "points", "points per network"),
    _attribute("/fields_manifest@dtype", "text", "number type", "float64 or float32"),
    _attribute(
        "/fields_manifest@rows_per_segment",
        "int64",
        "rows per segment",
        "networks in every segment but the last",
    ),
    _axis("/fields_manifest/segment", "segment", "segments in order of the networks"),
    _array(
        "/fields_manifest/name",
        "text",
        "segment",
        "file name",
        "segment-000000.h5, segment-000001.h5 ..",
        units="",
    ),
    _array(
        "/fields_manifest/first_network",
        "int64",
        "segment",
        "first network",
        "index of the segment's first network",
    ),
    _array(
        "/fields_manifest/rows",
        "int64",
        "segment",
        "networks",
        "committed networks of the segment; rows beyond are not part of the run",
    ),
    _array(
        "/fields_manifest/crc32",
        "int64",
        "segment",
        "checksum",
        "CRC-32 of the raw little-endian bytes of the committed rows",
    ),
)

SCHEMA: tuple[SchemaEntry, ...] = _ROOT + _PROVENANCE + _RESULTS + _FIELDS

SEGMENT_SCHEMA: tuple[SchemaEntry, ...] = (
    _attribute("/@filetype", "text", "file type", 'always "nnft-fields"'),
    _attribute("/@format_version", "int64[2]", "format version", "major and minor"),
    _attribute("/@crc32", "int64", "checksum", "CRC-32 of the raw little-endian bytes of outputs"),
    _axis("/output", "output", "outputs i = 0 .. D-1"),
    _axis("/point", "point", "input points a = 0 .. P-1"),
    _array("/network", "int64", "network", "network index", "global index; also the scale of the first axis"),
    _array(
        "/outputs",
        "float64",
        "network output point",
        "network outputs",
        "f[i](x[a]) of each network; float32 if the manifest says so",
    ),
)
