"""Cards of networks of cosines: what is accepted, what is refused and how it is said."""

from __future__ import annotations

import math

import pytest

from nnft.errors import CardError
from nnft.spec import CosNetSpec, FreeScalarSpec, RunSpec, plan_run
from nnft.spec.plan_text import plan_rows

REST = """
[inputs]
points = [[1.0, 2.0], [0.5, -1.0]]
[ensemble]
networks = 1000
seed = 7
"""
SCALAR = '[network]\nkind = "free-scalar"\nwidth = 8\ncutoff = 2.0\nmass = 0.5\n'
BALL = '[network]\nkind = "cos-net"\nwidth = 8\nmomenta = "ball"\ncutoff = 2.0\nmass = 0.5\n'
NORMAL = '[network]\nkind = "cos-net"\nwidth = 8\nmomenta = "normal"\nmomentum_variance = 3.0\n'


def refusal(text: str) -> list[str]:
    """Return the lines with which a card is refused."""
    with pytest.raises(CardError) as caught:
        RunSpec.from_text(text, name="run.toml")
    assert all(": got " in line and len(line) <= 187 for line in caught.value.problems)
    return caught.value.problems


def only_refusal(text: str) -> str:
    problems = refusal(text)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("table", [SCALAR, BALL, NORMAL])
def test_cards_are_kept_as_they_are(table: str) -> None:
    spec = RunSpec.from_text(table + REST)
    assert spec.network.widths == (8,)
    assert spec.network.layers == 2
    again = RunSpec.from_text(spec.to_toml())
    assert again.digest() == spec.digest()
    assert again.network == spec.network
    rows = dict(plan_rows(spec, plan_run(spec)))
    assert "momenta" in rows["cosines"]
    assert plan_run(spec).method == "explicit"
    assert plan_run(spec).estimator == "conditional"


def test_factor_of_the_free_scalar() -> None:
    network = FreeScalarSpec(kind="free-scalar", width=5, cutoff=2.0, mass=0.5, amplitude_variance=3.0)
    for dimension, volume in ((1, 4.0), (2, 4.0 * math.pi), (3, 32.0 * math.pi / 3.0)):
        expected = 2.0 * volume / ((2.0 * math.pi) ** dimension * 3.0)
        assert network.factor(dimension) ** 2 == pytest.approx(expected, rel=1e-14)
    assert CosNetSpec(kind="cos-net", width=5, momenta="normal", momentum_variance=1.0).factor(7) == 1.0


def test_every_key_changes_the_digest() -> None:
    digests = {RunSpec.from_text(table + REST).digest() for table in (SCALAR, BALL, NORMAL)}
    for table, line in (
        (SCALAR, "cutoff = 2.5"), (SCALAR, "mass = 0.6"), (SCALAR, "width = 9"), (BALL, "cutoff = 2.5"),
        (BALL, "mass = 0.6"), (NORMAL, "momentum_variance = 3.5"), (SCALAR, 'amplitudes = "fixed"'),
        (SCALAR, "amplitude_variance = 2.0"),
    ):  # fmt: skip
        key = line.partition(" =")[0]
        rows = [row for row in table.splitlines() if not row.startswith(f"{key} =")]
        digests.add(RunSpec.from_text("\n".join([*rows, line]) + REST).digest())
    assert len(digests) == 11


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        (SCALAR + "widths = [8]\n", ("network.widths", "did you mean 'width'?")),
        (SCALAR + 'activation = "cos"\n', ("unknown key", "network.activation")),
        (SCALAR + 'momenta = "ball"\n', ("unknown key", "network.momenta")),
        (BALL + "momentum_variance = 1.0\n", ("network.momentum_variance", "cutoff and mass")),
        (NORMAL + "mass = 1.0\n", ("network.mass", "momentum_variance")),
        (BALL.replace("mass = 0.5\n", ""), ("missing key", "network.mass", "from 1e-6")),
        (NORMAL.replace("momentum_variance = 3.0\n", ""), ("missing key", "network.momentum_variance")),
        (SCALAR.replace("mass = 0.5\n", ""), ("missing key", "network.mass")),
        (BALL.replace('"ball"', '"bal"'), ("network.momenta", "did you mean 'ball'?")),
        (SCALAR.replace("0.5", "-0.5"), ("network.mass", "got -0.5")),
        (SCALAR.replace("0.5", "0"), ("network.mass", "got 0")),
        (SCALAR.replace("2.0", "inf"), ("network.cutoff", "not finite")),
        (SCALAR.replace("width = 8", "width = 0"), ("network.width", "got 0")),
        (SCALAR + "amplitude_variance = 0.0\n", ("network.amplitude_variance",)),
        (SCALAR + 'amplitudes = "fixd"\n', ("did you mean 'fixed'?",)),
        ("[network]\nwidths = [8]\nactivation = 'cos'\ncutoff = 2.0\n", ("unknown key", "network.cutoff")),
        ("[network]\nkind = 'cosnet'\nwidths = [8]\nactivation = 'cos'\n", ("network.kind", '"cos-net"')),
    ],
)
def test_refusals(table: str, parts: tuple[str, ...]) -> None:
    line = only_refusal(table + REST)
    for part in parts:
        assert part in line, line
    assert "<" not in line


def test_keys_of_another_kind_are_all_named() -> None:
    lines = refusal('[network]\nkind = "free-scalar"\nwidths = [8]\nactivation = "cos"\n' + REST)
    assert len(lines) == 5  # width, cutoff and mass are missing


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ('method = "collapsed"\n', "ensemble.method"),
        ('precision = "float32"\n', "ensemble.precision"),
        ('[estimate]\nestimator = "conditional"\n', "use direct"),
    ],
)
def test_what_they_cannot_do_is_refused_with_the_plan(extra: str, part: str) -> None:
    table = SCALAR + ('amplitudes = "fixed"\n' if "estimator" in extra else "")
    with pytest.raises(CardError, match=part):
        plan_run(RunSpec.from_text(table + REST + extra))


def test_fixed_amplitudes_are_estimated_directly() -> None:
    plan = plan_run(RunSpec.from_text(SCALAR + 'amplitudes = "fixed"\n' + REST))
    assert plan.estimator == "direct"
    assert "fixed" in plan.estimator_reason


def test_a_factor_that_is_no_number() -> None:
    """The volume of a ball in 2000 dimensions is below the smallest number."""
    text = SCALAR + "[inputs]\ngenerator = 'sphere'\ncount = 2\ndimension = 2000\n[ensemble]\nnetworks = 9\n"
    spec = RunSpec.from_text(text + "seed = 1\n")
    with pytest.raises(CardError, match="dimension"):
        plan_run(spec)


TRAINING = """
[training]
loss = "half-sum"
algorithm = "hmc"
ridge = 0.1
draws = 4
{}
[training.data]
teacher = "linear"
points = 5
dimension = 2
law = "normal"
"""


def test_only_amplitudes_are_trained() -> None:
    line = only_refusal(SCALAR + REST + TRAINING.format(""))
    assert "training.trainable" in line
    assert '"readout"' in line
    assert RunSpec.from_text(SCALAR + REST + TRAINING.format('trainable = "readout"')).training is not None
    fixed = SCALAR + 'amplitudes = "fixed"\n'
    assert "fixed amplitudes" in only_refusal(fixed + REST + TRAINING.format('trainable = "readout"'))
