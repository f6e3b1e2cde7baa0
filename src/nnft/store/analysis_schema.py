"""The schema of analysis files: results derived from runs, such as an action with its couplings.

Paths and axes are written as in `nnft.store.schema`. The axes ``/bin`` and ``/point`` and those of the arrays
stand in the root, so that tables and arrays share them.
"""

from __future__ import annotations

from nnft.store.file_kind import FileKind
from nnft.store.schema_entry import FREE_AXES, SchemaEntry, array, attribute, axis, group, text

ANALYSIS_FILETYPE = "nnft-analysis"
ANALYSIS_VERSION = (1, 0)
ANALYSIS_CONVENTIONS = "nnft-analysis-1.0"

_ROOT = (
    attribute("/@filetype", "text", "file type", 'always "nnft-analysis"'),
    attribute(
        "/@format_version",
        "int64[2]",
        "format version",
        "major and minor of this kind of file; a reader of major 1 reads every 1.x",
    ),
    attribute("/@Conventions", "text", "conventions", 'always "nnft-analysis-1.0"'),
    attribute("/@nnft_version", "text", "program version", "version of nnft that wrote the file"),
    attribute("/@kind", "text", "kind of analysis", "action"),
    attribute("/@created_at", "text", "time of creation", "ISO 8601 UTC"),
    attribute(
        "/@result_digest",
        "text",
        "result digest",
        "SHA-256 over all results; equal for two analyses with the same numbers",
    ),
    attribute(
        "/@header_sha256",
        "text",
        "header digest",
        "SHA-256 over names, types, shapes and attributes of this table",
    ),
    axis("/bin", "bin", "bins of networks, those of the source"),
    axis("/point", "point", "input points a = 0 .. P-1 of this file"),
    axis("/<axis>", "axis of arrays", "any other axis that an array names"),
)

_ORIGIN = (
    group("/about", "about", "what the numbers mean and how they came about; texts for people"),
    text("/about/conventions", "conventions", "signs and normalisation of every number of the file"),
    text("/about/command", "command", "the command or call that made the file"),
    group("/source", "source", "the runs that the numbers follow from"),
    axis("/source/run", "run", "source runs"),
    array("/source/path", "text", "run", "path", "the run file as it was given", units=""),
    array("/source/run_id", "text", "run", "run identity", "run_id of the run", units=""),
    array(
        "/source/result_digest",
        "text",
        "run",
        "result digest",
        "result_digest of the run when it was read",
        units="",
    ),
    array("/source/networks", "int64", "run", "networks", "networks_done of the run when it was read"),
    group("/parameters", "parameters", "options and choices that determine the numbers"),
    text("/parameters/<name>", "parameter", "one option: text or JSON", required=False),
)

_INPUT = (
    group("/mesh", "input points", "the points that the analysis is about, a choice of those of the source"),
    axis("/mesh/feature", "feature", "input components i = 0 .. d-1"),
    array(
        "/mesh/points",
        "float64",
        "point feature",
        "input points",
        "x[a, i] as the networks see them, after scaling",
    ),
    array("/mesh/number", "int32", "point", "number in the source", "number of the point in the source mesh"),
    group("/bins", "bins", "the bins that pseudo-values are given for"),
    array("/bins/count", "int64", "bin", "networks per bin", "m_j of each bin j"),
)

_RESULTS = (
    group("/tables", "tables", "numbers with errors, one group for each table"),
    group("/tables/<name>", "table", "one table of components", required=False),
    attribute("/tables/<name>@order", "int64", "order", "number of fields that a component belongs to"),
    attribute("/tables/<name>@long_name", "text", "long name", "what the numbers are"),
    attribute("/tables/<name>@units", "text", "units", '"1" for pure numbers'),
    attribute("/tables/<name>@description", "text", "description", "definition, sign and normalisation"),
    attribute(
        "/tables/<name>@indexed_by",
        "text",
        "indexed by",
        "what the indices number: point (rows of /mesh/points), or another axis of the file",
    ),
    axis("/tables/<name>/component", "component", "packed components"),
    axis("/tables/<name>/position", "position", "the indices of a component, one after the other"),
    array(
        "/tables/<name>/indices",
        "int32",
        "component position",
        "indices of each component",
        "what indexed_by names, one index for each position",
    ),
    array("/tables/<name>/value", "float64", "component", "value", "the number", units="<units>"),
    array(
        "/tables/<name>/stderr",
        "float64",
        "component",
        "standard error",
        "one standard deviation, delete-one-bin jackknife",
        units="<units>",
    ),
    array(
        "/tables/<name>/unreliable",
        "int8",
        "component",
        "error bar unreliable",
        "1 where heavy tails make the standard error itself doubtful",
    ),
    array(
        "/tables/<name>/pseudo_values",
        "float64",
        "bin component",
        "pseudo-values",
        "jackknife pseudo-values p_j, from which errors of functions of the numbers follow",
        required=False,
        units="<units>",
    ),
    group("/arrays", "arrays", "numbers without errors, one group for each array"),
    group("/arrays/<name>", "array", "one array", required=False),
    attribute("/arrays/<name>@axes", "text", "axes", "names of the axes of values, separated by blanks"),
    attribute("/arrays/<name>@long_name", "text", "long name", "what the numbers are"),
    attribute("/arrays/<name>@units", "text", "units", '"1" for pure numbers'),
    SchemaEntry(
        "/arrays/<name>/values",
        "dataset",
        "float64",
        FREE_AXES,
        True,
        "<units>",
        "<long_name>",
        "the numbers",
    ),
)

ANALYSIS_SCHEMA: tuple[SchemaEntry, ...] = _ROOT + _ORIGIN + _INPUT + _RESULTS

ANALYSIS_FILE = FileKind(
    filetype=ANALYSIS_FILETYPE,
    label="an nnft analysis file",
    short_label="an analysis file",
    used_with="nnft show or nnft.read_analysis",
    version=ANALYSIS_VERSION,
    conventions=ANALYSIS_CONVENTIONS,
    schema=ANALYSIS_SCHEMA,
    identity=("kind",),
    result_paths=("/source/result_digest", "/parameters", "/mesh", "/bins", "/tables", "/arrays"),
)
