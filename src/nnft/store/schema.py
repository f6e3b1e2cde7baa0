"""The schema of the files that nnft writes: one table for writer, reader, verification and documentation.

A path names an object of the HDF5 file; ``<word>`` stands for a name that the run decides and ``path@name``
for an attribute. Axes are dimension scales: the axis ``bin`` of ``/accumulators/count`` is the scale of that
name in the data set's own group or in a group above it.
"""

from __future__ import annotations

from nnft.store.file_kind import FileKind
from nnft.store.schema_entry import SchemaEntry, array, attribute, axis, group, text
from nnft.store.training_schema import TRAINING_RESULTS, TRAINING_SCHEMA

RUN_FILETYPE = "nnft-run"
SEGMENT_FILETYPE = "nnft-fields"
FORMAT_VERSION = (1, 2)
CONVENTIONS = "nnft-1.0"
RESULT_GROUPS = ("/mesh", "/accumulators", "/estimates", "/fields_manifest", *TRAINING_RESULTS)
COMMIT_COUNTERS = ("networks_done", "blocks_done", "complete")

_ROOT = (
    attribute("/@filetype", "text", "file type", 'always "nnft-run"'),
    attribute(
        "/@format_version",
        "int64[2]",
        "format version",
        "major and minor; a reader of major 1 reads every 1.x",
    ),
    attribute("/@Conventions", "text", "conventions", 'always "nnft-1.0"'),
    attribute("/@nnft_version", "text", "program version", "version of nnft that wrote the file"),
    attribute(
        "/@run_id", "text", "run identity", "drawn once when the run starts; kept by resume and extension"
    ),
    attribute(
        "/@digest",
        "text",
        "specification digest",
        "SHA-256 of everything in the card that determines the numbers",
    ),
    attribute(
        "/@seed",
        "text",
        "seed",
        "decimal number from 0 to 2^128 - 1, as text because no integer type holds it",
    ),
    attribute("/@created_at", "text", "time of creation", "start of the run, ISO 8601 UTC"),
    attribute("/@updated_at", "text", "time of update", "time of this snapshot, ISO 8601 UTC"),
    attribute(
        "/@block_size",
        "int64",
        "block size",
        "networks in a block; block b holds networks b*block_size to (b+1)*block_size - 1",
    ),
    attribute(
        "/@networks_planned", "int64", "networks asked for", "size of the ensemble that the card asks for"
    ),
    attribute("/@blocks_planned", "int64", "blocks asked for", "networks_planned / block_size, rounded up"),
    attribute(
        "/@networks_done",
        "int64",
        "networks done",
        "networks that every number of this file includes: indices 0 to networks_done - 1",
    ),
    attribute("/@blocks_done", "int64", "blocks done", "networks_done / block_size, rounded up"),
    attribute("/@complete", "int64", "run complete", "1 if networks_done equals networks_planned, else 0"),
    attribute(
        "/@result_digest",
        "text",
        "result digest",
        "SHA-256 over all results; equal for two runs with the same numbers",
    ),
    attribute(
        "/@header_sha256",
        "text",
        "header digest",
        "SHA-256 over names, types, shapes and attributes of this table",
    ),
)

_PROVENANCE = (
    group("/config", "configuration", "what was asked for"),
    text(
        "/config/card",
        "run card as given",
        "the card's text, byte for byte; missing for a run started from Python",
        required=False,
    ),
    text("/config/resolved", "resolved run card", "TOML with every default filled in"),
    text("/config/plan", "plan", "JSON: methods chosen and why, sizes, memory"),
    group(
        "/provenance", "provenance", "how the file came about; data for people, never used in a computation"
    ),
    text(
        "/provenance/<name>",
        "provenance record",
        "versions, build, host, command, environment (listed variables only): text or JSON",
        required=False,
    ),
    group("/provenance/history", "history", "one entry for each start, resume and extension"),
    axis("/provenance/history/entry", "history entry", "in order of time"),
    array("/provenance/history/action", "text", "entry", "action", "start, resume or extend", units=""),
    array(
        "/provenance/history/networks",
        "int64",
        "entry",
        "networks present",
        "networks_done when the entry was written",
    ),
    array("/provenance/history/time", "text", "entry", "time", "ISO 8601 UTC", units=""),
    array(
        "/provenance/history/version", "text", "entry", "program version", "version of nnft at work", units=""
    ),
    group("/runtime", "runtime", "where the time went; volatile, outside of every digest of results"),
    array(
        "/runtime/seconds_<phase>",
        "float64",
        "",
        "time in a phase",
        "seconds of wall time",
        required=False,
        units="s",
    ),
    array(
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
    group("/mesh", "input points", "the points at which the networks are evaluated"),
    attribute(
        "/mesh@source",
        "text",
        "source",
        "where the points come from: card, file or generator",
        required=False,
    ),
    attribute(
        "/mesh@source_sha256", "text", "source digest", "SHA-256 of the points before scaling", required=False
    ),
    axis("/mesh/point", "point", "input points a = 0 .. P-1"),
    axis("/mesh/feature", "feature", "input components i = 0 .. d-1"),
    array(
        "/mesh/points",
        "float64",
        "point feature",
        "input points",
        "x[a, i] as the networks see them, after scaling",
    ),
    group("/accumulators", "accumulators", "sums per bin, from which every estimate and its error follow"),
    axis("/accumulators/bin", "bin", "block b belongs to bin b mod (number of bins)"),
    axis(
        "/accumulators/pair",
        "pair",
        "packed pairs a <= b in lexicographic order: (0,0), (0,1) .. (0,P-1), (1,1) ..",
    ),
    axis("/accumulators/component_<name>", "component", "packed components of one table"),
    axis("/accumulators/position_<name>", "position", "the points of a component, one after the other"),
    array("/accumulators/count", "int64", "bin", "networks per bin", "sums to networks_done"),
    array(
        "/accumulators/shift",
        "float64",
        "pair",
        "shift of the kernel",
        "subtracted from the kernel of every network before the sums; 0 for the direct estimator",
        required=False,
    ),
    axis("/accumulators/point", "point", "input points a = 0 .. P-1"),
    array(
        "/accumulators/field_shift",
        "float64",
        "point",
        "shift of the field",
        "subtracted from the outputs of trained networks, or their mean, before the sums",
        required=False,
    ),
    array(
        "/accumulators/draws",
        "int64",
        "",
        "samples",
        "samples of one network in the sums of trained networks",
        required=False,
    ),
    array(
        "/accumulators/weight_shift",
        "float64",
        "",
        "shift of the energies",
        "weights are exp(weight_shift - V); only in a deformed ensemble",
        required=False,
    ),
    group("/accumulators/sums", "sums", "one data set for each table"),
    array(
        "/accumulators/sums/<name>",
        "float64",
        "bin component_<name>",
        "sums per bin",
        "sum over the networks of the bin of the shifted conditional moment T of the component",
        required=False,
    ),
    group("/accumulators/indices", "index tables", "one data set for each table that has points"),
    array(
        "/accumulators/indices/<name>",
        "int32",
        "component_<name> position_<name>",
        "points of each component",
        "point numbers, sorted within equal output labels",
        required=False,
    ),
    group(
        "/accumulators/layer_shift",
        "shifts of the layers",
        "one data set for each layer with statistics",
        required=False,
    ),
    array(
        "/accumulators/layer_shift/<layer>",
        "float64",
        "pair",
        "shift of a layer's metric",
        "subtracted from the metric of affine layer <layer> of every network before its sums",
        required=False,
    ),
    axis("/accumulators/number", "number", "the five numbers of layout"),
    axis("/accumulators/order", "order", "orders of the correlators"),
    axis("/accumulators/layer", "layer", "layers with statistics"),
    array(
        "/accumulators/layout",
        "int64",
        "number",
        "layout of the sums",
        "kind (0 conditional, 1 direct, 2 reweighted, 3 trained, 4 trained-conditional), P, outputs in a "
        "correlator, L, layer pairs (0 all, 1 diagonal)",
        required=False,
    ),
    array("/accumulators/orders", "int64", "order", "orders", "orders asked for", required=False),
    array("/accumulators/layers", "int64", "layer", "layers", "affine layers l >= 2", required=False),
    group("/estimates", "estimates", "values and standard errors, derived from the accumulators"),
    group("/estimates/<name>", "estimate", "one table of components", required=False),
    attribute(
        "/estimates/<name>@order", "int64", "order", "number of fields in the correlator", required=False
    ),
    attribute(
        "/estimates/<name>@pattern",
        "text",
        "output pattern",
        "output label of each field, such as 0011",
        required=False,
    ),
    attribute(
        "/estimates/<name>@estimator",
        "text",
        "estimator",
        "conditional, direct or reweighted",
        required=False,
    ),
    attribute("/estimates/<name>@networks", "int64", "networks", "networks in the estimate", required=False),
    axis("/estimates/<name>/component", "component", "packed components"),
    axis("/estimates/<name>/position", "position", "the points of a component, one after the other"),
    array(
        "/estimates/<name>/indices",
        "int32",
        "component position",
        "points of each component",
        "point numbers of each component",
    ),
    array("/estimates/<name>/value", "float64", "component", "estimate", "unbiased estimate"),
    array(
        "/estimates/<name>/stderr",
        "float64",
        "component",
        "standard error",
        "one standard deviation, delete-one-bin jackknife",
    ),
    array(
        "/estimates/<name>/unreliable",
        "int8",
        "component",
        "error bar unreliable",
        "1 where heavy tails make the standard error itself doubtful",
    ),
    group("/theory", "theory", "exact references computed with the run, for comparison", required=False),
    axis("/theory/layer", "layer", "affine layers l = 1 .. L"),
    axis("/theory/point_a", "first point", "input points a = 0 .. P-1"),
    axis("/theory/point_b", "second point", "input points b = 0 .. P-1"),
    array(
        "/theory/nngp_kernel",
        "float64",
        "layer point_a point_b",
        "infinite-width kernel",
        "covariance of one pre-activation of layer l as all widths go to infinity",
        required=False,
    ),
)

_FIELDS = (
    group(
        "/fields_manifest",
        "stored fields",
        "which networks' outputs stand in the segments of the folder FILE.fields",
        required=False,
    ),
    attribute("/fields_manifest@outputs", "int64", "outputs", "outputs per network"),
    attribute("/fields_manifest@points", "int64", "points", "points per network"),
    attribute("/fields_manifest@dtype", "text", "number type", "float64 or float32"),
    attribute(
        "/fields_manifest@rows_per_segment",
        "int64",
        "rows per segment",
        "networks in every segment but the last",
    ),
    axis("/fields_manifest/segment", "segment", "segments in order of the networks"),
    array(
        "/fields_manifest/name",
        "text",
        "segment",
        "file name",
        "segment-000000.h5, segment-000001.h5 ..",
        units="",
    ),
    array(
        "/fields_manifest/first_network",
        "int64",
        "segment",
        "first network",
        "index of the segment's first network",
    ),
    array(
        "/fields_manifest/rows",
        "int64",
        "segment",
        "networks",
        "committed networks of the segment; rows beyond are not part of the run",
    ),
    array(
        "/fields_manifest/crc32",
        "int64",
        "segment",
        "checksum",
        "CRC-32 of the raw little-endian bytes of the committed rows",
    ),
)

SCHEMA: tuple[SchemaEntry, ...] = _ROOT + _PROVENANCE + _RESULTS + _FIELDS + TRAINING_SCHEMA

RUN_FILE = FileKind(
    filetype=RUN_FILETYPE,
    label="an nnft result file",
    short_label="a run file",
    used_with="nnft show or nnft.open",
    version=FORMAT_VERSION,
    conventions=CONVENTIONS,
    schema=SCHEMA,
    identity=("digest", "seed", "block_size", "networks_done"),
    result_paths=RESULT_GROUPS,
    written_last=COMMIT_COUNTERS,
)

SEGMENT_SCHEMA: tuple[SchemaEntry, ...] = (
    attribute("/@filetype", "text", "file type", 'always "nnft-fields"'),
    attribute("/@format_version", "int64[2]", "format version", "major and minor"),
    attribute("/@crc32", "int64", "checksum", "CRC-32 of the raw little-endian bytes of outputs"),
    attribute("/@first_network", "int64", "first network", "network of the first row; the others follow"),
    axis("/network", "network", "networks first_network, first_network + 1 .."),
    axis("/output", "output", "outputs i = 0 .. D-1"),
    axis("/point", "point", "input points a = 0 .. P-1"),
    array(
        "/outputs",
        "float64",
        "network output point",
        "network outputs",
        "f_i(x_a) of each network; float32 if the manifest says so",
    ),
)
