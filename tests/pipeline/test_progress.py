"""Lines of progress where there is no terminal: what is done, how fast, how much longer."""

from __future__ import annotations

import io

import pytest

from nnft.pipeline import progress
from nnft.pipeline.train_engine import TrainEngine
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec


def line(monkeypatch: pytest.MonkeyPatch, done: float, begun: float = 0.0, seconds: float = 40.0) -> str:
    """The line that is written so long after the start."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    lines = progress.Lines(64, begun, stream)
    clock[0] += seconds
    lines.update(done, None)
    return stream.getvalue()


def test_no_rate_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line(monkeypatch, 0) == "nnft: 0 of 64 networks\n"
    assert line(monkeypatch, 12.5, 12.5) == "nnft: 12 of 64 networks (19.5%)\n"


def test_networks_on_their_way_count_by_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line(monkeypatch, 0.4) == "nnft: 0 of 64 networks (0.6%), 0.01 networks/s, about 106 min left\n"
    assert line(monkeypatch, 32) == "nnft: 32 of 64 networks, 0.8 networks/s, about 40 s left\n"
    assert line(monkeypatch, 32, 16) == "nnft: 32 of 64 networks, 0.4 networks/s, about 80 s left\n"
    assert line(monkeypatch, 32, seconds=20.0) == ""


def test_compiling_says_nothing_about_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([5.0, 13.0])
    monkeypatch.setattr(progress, "compile_seconds", lambda: next(seconds))
    assert line(monkeypatch, 32) == "nnft: 32 of 64 networks, 1 networks/s, about 32 s left\n"


@pytest.mark.parametrize(
    "training", [{"algorithm": "gd", "steps": 50, "step": 0.01}, {"algorithm": "gradient-flow", "time": 2.0}]
)
def test_the_share_of_a_wave_grows_with_its_steps(training: dict[str, object]) -> None:
    data = {"teacher": "linear", "points": 3, "dimension": 2}
    spec = RunSpec.from_dict(
        {
            "network": {"widths": [4], "activation": "tanh"},
            "inputs": {"points": [[0.4, 0.6]]},
            "ensemble": {"networks": 8, "seed": 20240601},
            "training": {"loss": "half-sum", "snapshots": [1], **training, "data": data},
        }
    )
    engine = TrainEngine(spec, plan_run(spec), 1, 0.01)
    shares = [engine.share]
    while engine.networks_done == 0:
        engine.advance(7)
        shares.append(engine.share)
    assert shares[0] == shares[-1] == 0.0
    assert shares[:-1] == sorted(shares[:-1])
    assert len(set(shares)) >= 2
    assert max(shares) <= 1.0
