"""The part of the schema of run files that holds a training: data, flows, traces, and members on their
way.
"""

from __future__ import annotations

from nnft.store.renormalization_schema import RENORMALIZATION, below_cutoffs
from nnft.store.schema_entry import SchemaEntry, array, attribute, axis, group

_DATA = (
    group("/training", "training", "what a training adds to a run of networks", required=False),
    attribute(
        "/training@data_sha256",
        "text",
        "data digest",
        "SHA-256 over the four arrays of the data, or over the text of data/sha256",
    ),
    attribute("/training@data_source", "text", "data source", "where the data come from"),
    axis("/training/bin", "bin", "bins of networks, those of /accumulators"),
    axis("/training/snapshot", "snapshot", "moments of the training that are recorded"),
    axis("/training/point", "point", "input points a = 0 .. P-1 of /mesh"),
    axis("/training/pair", "pair", "packed pairs a <= b of these points"),
    axis("/training/train_point", "training point", "mu = 0 .. P-1 of the training data"),
    axis("/training/test_point", "test point", "held-out points"),
    axis("/training/feature", "feature", "input components"),
    axis("/training/target", "target", "outputs i = 0 .. D-1"),
    axis("/training/drawn", "network", "networks k = 0, 1, .. whose data have a digest"),
    axis("/training/component_<name>", "component", "packed components of one table"),
    axis("/training/number", "number", "the five numbers of layout"),
    axis("/training/order", "order", "orders of the correlators"),
    group("/training/data", "data", "one set for all networks, or digests", required=False),
    array(
        "/training/data/train_inputs",
        "float64",
        "train_point feature",
        "training inputs",
        "x[mu, i] as used; absent where every network has data of its own",
        required=False,
    ),
    array(
        "/training/data/train_targets",
        "float64",
        "train_point target",
        "training targets",
        "y[mu, i], noise included; absent likewise",
        required=False,
    ),
    array(
        "/training/data/test_inputs",
        "float64",
        "test_point feature",
        "test inputs",
        "held-out inputs",
        required=False,
    ),
    array(
        "/training/data/test_targets",
        "float64",
        "test_point target",
        "test targets",
        "held-out targets",
        required=False,
    ),
    array(
        "/training/data/sha256",
        "text",
        "drawn",
        "digests",
        "SHA-256 over the four arrays of the data of network k, where every network has its own; they are "
        "drawn from the card and k",
        units="",
        required=False,
    ),
)

_FLOW = (
    group("/training/moment", "moments", "when the snapshots were taken", required=False),
    array("/training/moment/step", "int64", "snapshot", "step", "steps done; 0 throughout for gradient-flow"),
    array(
        "/training/moment/time",
        "float64",
        "snapshot",
        "time",
        "steps times step size (the mean adapted one), for hmc times the leapfrog steps",
    ),
    group(
        "/training/flow",
        "flow",
        "sums over networks of products of outputs at every snapshot",
        required=False,
    ),
    array("/training/flow/count", "int64", "bin", "networks per bin", "networks that did not diverge"),
    array(
        "/training/flow/shift",
        "float64",
        "snapshot point",
        "shift",
        "subtracted from the outputs before the sums",
    ),
    array("/training/flow/draws", "int64", "", "samples", "chains of one network"),
    array("/training/flow/layout", "int64", "number", "layout of the sums", "as /accumulators/layout"),
    array("/training/flow/orders", "int64", "order", "orders", "orders asked for"),
    group("/training/flow/sums", "sums", "one data set for each table", required=False),
    array(
        "/training/flow/sums/<name>",
        "float64",
        "snapshot bin component_<name>",
        "sums per bin",
        "sum over networks of the product of shifted outputs of the component",
        required=False,
    ),
    group(
        "/training/observables", "observables", "numbers of each network along the training", required=False
    ),
    array("/training/observables/count", "int64", "snapshot bin", "networks", "networks in the sums"),
    group("/training/observables/sums", "sums", "one data set for each number", required=False),
    array(
        "/training/observables/sums/<name>",
        "float64",
        "snapshot bin",
        "sums",
        "sum over networks",
        required=False,
    ),
    group("/training/observables/squares", "squares", "one data set for each number", required=False),
    array(
        "/training/observables/squares/<name>",
        "float64",
        "snapshot bin",
        "sums of squares",
        "sum of squares over networks",
        required=False,
    ),
    group(
        "/training/kernel",
        "kernel",
        "kernel of the readout C_b + C_W/n sum phi phi along the training",
        required=False,
    ),
    array(
        "/training/kernel/sums",
        "float64",
        "snapshot bin pair",
        "sums",
        "sum over networks of the packed kernel",
    ),
    array("/training/kernel/count", "int64", "snapshot bin", "networks", "networks in the sums"),
    group(
        "/training/tangent", "tangent kernel", "empirical tangent kernel along the training", required=False
    ),
    array(
        "/training/tangent/sums",
        "float64",
        "snapshot bin pair",
        "sums",
        "sum over networks of the packed kernel",
    ),
    array("/training/tangent/count", "int64", "snapshot bin", "networks", "networks in the sums"),
    group("/training/flows", "flows", "estimates along the training, derived from the sums", required=False),
    group("/training/flows/<name>", "flow", "one table at every snapshot", required=False),
    attribute(
        "/training/flows/<name>@order", "int64", "order", "number of fields; 0 for a number of the networks"
    ),
    axis("/training/flows/<name>/component", "component", "packed components"),
    axis("/training/flows/<name>/position", "position", "the points of a component"),
    array(
        "/training/flows/<name>/indices", "int32", "component position", "points", "points of each component"
    ),
    array("/training/flows/<name>/value", "float64", "snapshot component", "value", "unbiased estimate"),
    array(
        "/training/flows/<name>/stderr",
        "float64",
        "snapshot component",
        "standard error",
        "one standard deviation, delete-one-bin jackknife",
    ),
    array(
        "/training/flows/<name>/spread",
        "float64",
        "snapshot component",
        "spread over networks",
        "standard deviation over networks",
        required=False,
    ),
)

_CHAINS = (
    group(
        "/training/equilibrium",
        "equilibrium",
        "numbers of each network averaged over its draws",
        required=False,
    ),
    axis("/training/equilibrium/average", "average", "one average over all draws of a network"),
    group(
        "/training/equilibrium/observables",
        "observables",
        "sums over networks of these averages",
        required=False,
    ),
    array(
        "/training/equilibrium/observables/count", "int64", "average bin", "networks", "networks in the sums"
    ),
    group("/training/equilibrium/observables/sums", "sums", "one data set for each number", required=False),
    array(
        "/training/equilibrium/observables/sums/<name>",
        "float64",
        "average bin",
        "sums",
        "sum over networks",
        required=False,
    ),
    group(
        "/training/equilibrium/observables/squares", "squares", "one data set for each number", required=False
    ),
    array(
        "/training/equilibrium/observables/squares/<name>",
        "float64",
        "average bin",
        "sums of squares",
        "sum of squares over networks",
        required=False,
    ),
    group(
        "/training/traces",
        "traces",
        "draws of the first members, for the diagnosis of the chains",
        required=False,
    ),
    axis("/training/traces/member", "member", "chain k of network m is member m * chains + k"),
    axis("/training/traces/draw", "draw", "draws of a chain in order of time"),
    axis("/training/traces/trace", "trace", "observables"),
    array("/training/traces/name", "text", "trace", "name", "what is traced", units=""),
    array("/training/traces/step", "int64", "draw", "step", "steps done at the draw"),
    array("/training/traces/number", "int64", "member", "member", "number of the member"),
    array("/training/traces/values", "float64", "member draw trace", "traces", "the observable at each draw"),
    group(
        "/training/diverged",
        "diverged members",
        "members that were stopped, and networks that were left out",
        required=False,
    ),
    array("/training/diverged/members", "int64", "", "members", "members that diverged"),
    array(
        "/training/diverged/networks", "int64", "", "networks", "networks with such a member: in no average"
    ),
    array("/training/diverged/first", "int64", "", "first", "number of the first such member; -1 for none"),
    group(
        "/training/adapted", "adapted steps", "steps that the chains have found by themselves", required=False
    ),
    array("/training/adapted/smallest", "float64", "", "smallest step", "of all chains that are done"),
    array("/training/adapted/largest", "float64", "", "largest step", "of all chains that are done"),
)

_WAVE = (
    group("/training/wave", "wave", "networks on their way, from which a training goes on", required=False),
    axis("/training/wave/member", "member", "members of the wave"),
    axis("/training/wave/parameter", "parameter", "weights of a member, padding included"),
    axis("/training/wave/extra_number", "extra number", "momenta, or residuals and moves"),
    axis("/training/wave/control_number", "control number", "loss, step size, sums of acceptance .."),
    axis("/training/wave/draw", "draw", "draws, those to come included"),
    axis("/training/wave/moment", "moment", "snapshots, those to come included"),
    axis("/training/wave/recorded", "recorded number", "numbers recorded of a member at a draw"),
    axis("/training/wave/seen", "seen number", "numbers recorded of a member at a snapshot"),
    array(
        "/training/wave/position",
        "int64",
        "wave_number",
        "position",
        "first network, networks, step, moments and draws done",
    ),
    axis("/training/wave/wave_number", "number", "the five numbers of position"),
    array("/training/wave/time", "float64", "", "time", "flow time"),
    array("/training/wave/theta", "float64", "member parameter", "weights", "weights of every member"),
    array(
        "/training/wave/extra", "float64", "member extra_number", "extra", "momenta, or moves", required=False
    ),
    array("/training/wave/control", "float64", "member control_number", "control", "state of the algorithm"),
    array("/training/wave/status", "int64", "member", "status", "0, or 1 + the step that diverged"),
    array(
        "/training/wave/recorded_draws",
        "float64",
        "draw member recorded",
        "draws",
        "what was recorded so far",
        required=False,
    ),
    array(
        "/training/wave/seen_moments",
        "float64",
        "moment member seen",
        "moments",
        "what was recorded so far",
        required=False,
    ),
)

TRAINING_SCHEMA: tuple[SchemaEntry, ...] = (
    _DATA + _FLOW + RENORMALIZATION + below_cutoffs(_FLOW) + _CHAINS + _WAVE
)

TRAINING_RESULTS = tuple(
    f"/training/{part}"
    for part in (
        "data",
        "moment",
        "flow",
        "observables",
        "kernel",
        "tangent",
        "renormalization",
        "equilibrium",
        "traces",
        "diverged",
        "adapted",
    )
)
