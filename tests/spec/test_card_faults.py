"""Faults of the values in a card: one clear line for each mistake, all of them at once."""

from __future__ import annotations

import pytest

from nnft.errors import CardError
from nnft.spec import NetworkSpec, RunSpec
from nnft.spec.fields import Table

PREFIX = "nnft: error: "

GOOD = """
[network]
widths = [8, 4]
activation = "tanh"
[inputs]
points = [[1.0, 2.0], [0.5, -1.0]]
[ensemble]
networks = 1000
seed = 7
"""


def refusal(text: str) -> list[str]:
    """Return the lines with which a card is refused, each checked for form."""
    with pytest.raises(CardError) as caught:
        RunSpec.from_text(text, name="run.toml")
    problems = caught.value.problems
    assert caught.value.exit_code == 2
    for problem in problems:
        assert len(PREFIX + problem) <= 200
        assert "\n" not in problem
        assert problem.isprintable()
        assert ": got " in problem
        assert "pydantic" not in problem.lower()
        assert "http" not in problem
        assert "Input should" not in problem
    return problems


def only_refusal(text: str) -> str:
    problems = refusal(text)
    assert len(problems) == 1, problems
    return problems[0]


def with_line(table: str, line: str) -> str:
    """Return the good card with one key of a table set anew."""
    key = line.split("=", maxsplit=1)[0].strip()
    rows = [row for row in GOOD.splitlines() if row.split("=")[0].strip() != key]
    if f"[{table}]" not in rows:
        rows.append(f"[{table}]")
    rows.insert(rows.index(f"[{table}]") + 1, line)
    return "\n".join(rows)


def test_the_good_card_is_accepted() -> None:
    assert RunSpec.from_text(GOOD).network.widths == (8, 4)


def test_unknown_keys_and_tables_name_the_nearest() -> None:
    problems = refusal(GOOD.replace("networks", "netwroks") + "[estimat]\nbins = 40\n")
    assert any("ensemble.netwroks" in line and "did you mean 'networks'?" in line for line in problems)
    assert any("missing key in run.toml, ensemble.networks" in line for line in problems)
    assert any("estimat:" in line and "did you mean 'estimate'?" in line for line in problems)


def test_unknown_value_names_the_nearest() -> None:
    line = only_refusal(with_line("network", 'activation = "tahn"'))
    assert "network.activation" in line
    assert "did you mean 'tanh'?" in line


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("ensemble", 'networks = "100"'),
        ("ensemble", "networks = true"),
        ("ensemble", "networks = [1]"),
        ("ensemble", "networks = 2020-01-01"),
        ("ensemble", "precision = 64"),
        ("ensemble", "block_size = true"),
        ("ensemble", 'block_size = "large"'),
        ("network", "widths = 8"),
        ("network", 'widths = [8, "8"]'),
        ("network", "widths = [8, true]"),
        ("network", "activation = 3"),
        ("network", 'weight_variance = "1.0"'),
        ("network", "weight_variance = [1.0, true, 1.0]"),
        ("network", "bias_variance = {a = 1}"),
        ("estimate", "layers = 1"),
        ("estimate", 'correlators = "2"'),
        ("store", 'fields = "none"'),
        ("inputs", "points = [1.0, 2.0]"),
        ("inputs", 'points = [[1.0, "2"], [1.0, 2.0]]'),
        ("inputs", "points = 3"),
    ],
)
def test_wrong_type_names_key_and_what_is_allowed(table: str, line: str) -> None:
    key = line.split("=", maxsplit=1)[0].strip()
    for problem in refusal(with_line(table, line)):
        assert f"{table}.{key}" in problem
        assert "allowed: " in problem


def test_a_table_that_is_no_table() -> None:
    assert "network: got 3; allowed: a table [network]" in only_refusal(
        "network = 3\n" + GOOD.replace("[network]", "").replace('widths = [8, 4]\nactivation = "tanh"\n', "")
    )


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("network", "widths = [0]"),
        ("network", "widths = [8, -1]"),
        ("network", "widths = [10_000_001]"),
        ("network", "outputs = 0"),
        ("network", "outputs = 100_001"),
        ("network", "weight_variance = -1.0"),
        ("network", "bias_variance = 1e7"),
        ("ensemble", "networks = 0"),
        ("ensemble", "networks = -5"),
        ("ensemble", "networks = 9_007_199_254_740_993"),
        ("ensemble", "networks = 9223372036854775808"),
        ("ensemble", "block_size = 0"),
        ("ensemble", "seed = -1"),
        ("ensemble", f"seed = {2**128}"),
        ("estimate", "bins = 31"),
        ("estimate", "outputs = 0"),
        ("estimate", "correlators = []"),
        ("estimate", "correlators = [3]"),
        ("estimate", "correlators = [2, 2]"),
        ("estimate", "correlators = [10]"),
        ("store", "fields = -1"),
        ("store", "checkpoint_seconds = 0"),
        ("inputs", "points = []"),
        ("inputs", "points = [[]]"),
        ("inputs", "points = [[1e101]]"),
    ],
)
def test_number_out_of_range_names_the_key(table: str, line: str) -> None:
    assert f"{table}.{line.split('=', maxsplit=1)[0].strip()}" in only_refusal(with_line(table, line))


def test_too_many_layers() -> None:
    assert "too many values" in only_refusal(with_line("network", f"widths = {[2] * 4001}"))
    assert RunSpec.from_text(with_line("network", f"widths = {[2] * 4000}")).network.layers == 4001


@pytest.mark.parametrize(
    ("written", "value"), [("1e6", 10**6), ("1000.0", 1000), ("9007199254740992.0", 2**53)]
)
def test_floats_without_fraction_are_counts(written: str, value: int) -> None:
    assert RunSpec.from_text(with_line("ensemble", f"networks = {written}")).ensemble.networks == value


@pytest.mark.parametrize("written", ["1000.5", "1e16", "1e300", "0.1"])
def test_other_floats_are_no_counts(written: str) -> None:
    assert "ensemble.networks" in only_refusal(with_line("ensemble", f"networks = {written}"))


NUMERIC_KEYS = [
    ("network", "widths = [{}]"),
    ("network", "activation_parameters = [{}]"),
    ("network", "weight_variance = {}"),
    ("network", "weight_variance = [1.0, {}, 1.0]"),
    ("network", "bias_variance = {}"),
    ("network", "outputs = {}"),
    ("inputs", "points = [[{}, 1.0]]"),
    ("inputs", "count = {}"),
    ("inputs", "dimension = {}"),
    ("inputs", "low = {}"),
    ("inputs", "high = {}"),
    ("inputs", "radius = {}"),
    ("inputs", "seed = {}"),
    ("ensemble", "networks = {}"),
    ("ensemble", "seed = {}"),
    ("ensemble", "block_size = {}"),
    ("estimate", "correlators = [{}]"),
    ("estimate", "outputs = {}"),
    ("estimate", "bins = {}"),
    ("store", "fields = {}"),
    ("store", "checkpoint_seconds = {}"),
]


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-inf"])
@pytest.mark.parametrize(("table", "line"), NUMERIC_KEYS)
def test_numbers_that_are_not_finite_are_refused_everywhere(table: str, line: str, value: str) -> None:
    key = line.split("=", maxsplit=1)[0].strip()
    card = with_line(table, line.format(value))
    assert any(f"{table}.{key}" in problem for problem in refusal(card))


@pytest.mark.parametrize(("table", "line"), NUMERIC_KEYS)
def test_integers_above_128_bits_are_refused_everywhere(table: str, line: str) -> None:
    card = with_line(table, line.format(2**200))
    key = line.split("=", maxsplit=1)[0].strip()
    assert any(f"{table}.{key}" in problem for problem in refusal(card))


def test_every_numeric_key_is_in_the_list() -> None:
    tables = [(name, field.annotation) for name, field in RunSpec.model_fields.items()]
    tables += [("network", NetworkSpec)]  # one of several kinds
    listed = {(table, line.split("=")[0].strip()) for table, line in NUMERIC_KEYS}
    words = {"kind", "activation", "file", "sha256", "generator", "scale", "method", "precision", "estimator"}
    words |= {"layers", "layer_pairs"}
    found = {
        (name, key)
        for name, table in tables
        if isinstance(table, type) and issubclass(table, Table)
        for key in table.model_fields
        if key not in words
    }
    assert listed == found


@pytest.mark.parametrize(
    ("table", "line", "other"),
    [
        ("ensemble", "block_size = 1001", "ensemble.networks"),
        ("estimate", "outputs = 2", "network.outputs"),
        ("estimate", "outputs = 3", "estimate.correlators"),
        ("store", "fields = 1001", "ensemble.networks"),
        ("network", "weight_variance = [1.0, 2.0]", "network.widths"),
        ("network", "bias_variance = []", "network.widths"),
        ("network", "activation_parameters = [1.0]", "network.activation"),
        ("inputs", "count = 3", "inputs.points"),
        ("inputs", f'sha256 = "{"0" * 64}"', "inputs.points"),
        ("inputs", 'file = "x.csv"', "points and file"),
    ],
)
def test_contradictions_name_both_keys(table: str, line: str, other: str) -> None:
    card = with_line(table, line)
    problem = only_refusal(card)
    assert other in problem
    assert table in problem


@pytest.mark.parametrize(
    "inputs",
    [
        "",
        'generator = "grid"',
        'generator = "grid"\ncount = 3',
        'generator = "grid"\ncount = 3\ndimension = 1\nlow = 1.0',
        'generator = "grid"\ncount = 3\ndimension = 1\nlow = 1.0\nhigh = 0.0',
        'generator = "grid"\ncount = 3\ndimension = 1\nradius = 1.0',
        'generator = "grid"\ncount = 3\ndimension = 11',
        'generator = "grid"\ncount = 2\ndimension = 1000000',
        'generator = "sphere"\ncount = 3\ndimension = 2\nlow = 0.0',
        'generator = "sphere"\ncount = 3\ndimension = 2\nradius = 0.0',
        'generator = "gaussian"\ncount = 100000\ndimension = 1000000',
        'generator = "gaussian"\ncount = 3\ndimension = 2\nradius = 1.0',
        'generator = "cube"\ncount = 3\ndimension = 2',
        "points = [[1.0, 2.0], [1.0]]",
        'file = ""',
        'file = "x.csv"\nsha256 = "abc"',
    ],
)
def test_inputs_that_cannot_be(inputs: str) -> None:
    card = GOOD.replace("points = [[1.0, 2.0], [0.5, -1.0]]", inputs)
    assert "inputs" in only_refusal(card)


def test_missing_seed_is_drawn_and_kept() -> None:
    card = GOOD.replace("seed = 7", "")
    first, second = RunSpec.from_text(card), RunSpec.from_text(card)
    assert first.ensemble.seed_was_drawn
    assert not RunSpec.from_text(GOOD).ensemble.seed_was_drawn
    assert first.ensemble.seed != second.ensemble.seed
    assert max(first.ensemble.seed, second.ensemble.seed).bit_length() > 96
    again = RunSpec.from_text(first.to_toml())
    assert again.ensemble.seed == first.ensemble.seed


def test_largest_seed() -> None:
    spec = RunSpec.from_text(with_line("ensemble", f"seed = {2**128 - 1}"))
    assert RunSpec.from_text(spec.to_toml()).ensemble.seed == 2**128 - 1


def test_all_mistakes_come_at_once() -> None:
    problems = refusal(
        """
        extra = 1
        [network]
        widths = [0, 1.5]
        activation = "rleu"
        weight_variance = inf
        [inputs]
        scale = "unit"
        [ensemble]
        seed = -1
        [estimate]
        bins = 3
        [store]
        fields = "al"
        """
    )
    keys = [
        "extra",
        "network.widths[0]",
        "network.widths[1]",
        "network.activation",
        "network.weight_variance",
    ]
    keys += ["inputs.scale", "ensemble.networks", "ensemble.seed", "estimate.bins", "store.fields"]
    for key in keys:
        assert sum(f"run.toml, {key}:" in problem for problem in problems) == 1, key
    assert len(problems) == len(keys)


def test_very_many_mistakes_are_counted() -> None:
    with pytest.raises(CardError) as caught:
        RunSpec.from_text(with_line("network", f"widths = {[0] * 100}"))
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1].startswith("80 more mistakes")


def test_strange_keys_stay_on_one_short_line() -> None:
    for key in ('"a\\nb"', '"' + "k" * 5000 + '"', '"\\u001b[31m"', '""'):
        assert "unknown key" in only_refusal(GOOD + f"[store]\n{key} = 1\n")


def test_tables_made_in_python_refuse_with_the_same_lines() -> None:
    with pytest.raises(CardError, match=r"out of range in widths\[1\]: got 0") as caught:
        NetworkSpec(widths=(3, 0), activation="rleu")
    assert len(caught.value.problems) == 2
    with pytest.raises(CardError) as caught:
        RunSpec(
            network={"widths": [0], "activation": "tanh"},
            inputs={"points": []},
            ensemble={"networks": 10},
        )
    assert len(caught.value.problems) == 2
