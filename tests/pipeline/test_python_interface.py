"""``nnft.sample`` and ``nnft.open`` from Python: the same run however it is cut into pieces."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stops import StopAfter

import nnft
from nnft.errors import CardError, DataFileError, StoppedEarly, UsageError
from nnft.spec.run import RunSpec

SEED = 20240601


def spec(networks: int = 1000, **ensemble: Any) -> RunSpec:
    return RunSpec.from_dict(
        {
            "network": {"widths": [8, 6], "activation": "erf", "outputs": 2, "bias_variance": 0.1},
            "inputs": {"points": [[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]},
            "ensemble": {"networks": networks, "seed": SEED, "block_size": 8, **ensemble},
            "estimate": {"correlators": [2, 4, 6]},
            "store": {"fields": 300},
        }
    )


def numbers(run: nnft.Run) -> dict[str, bytes]:
    """Every sum and the kept outputs of a run."""
    found = {name: np.asarray(array).tobytes() for name, array in run.stored.accumulators.items()}
    return found | {"fields": run.fields().tobytes(), "digest": run.stored.text("result_digest").encode()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> nnft.Run:
    return nnft.sample(spec(), tmp_path_factory.mktemp("whole") / "run.h5", threads=1)


def test_a_second_run_in_the_process_gives_the_same_bits(whole: nnft.Run, tmp_path: Path) -> None:
    nnft.sample(spec(networks=400, precision="float32"), tmp_path / "other.h5")
    again = nnft.sample(spec(), tmp_path / "run.h5")
    assert numbers(again) == numbers(whole)
    other = nnft.sample(spec(seed=1), tmp_path / "seed.h5")
    assert numbers(other)["fields"] != numbers(whole)["fields"]
    assert numbers(other)["digest"] != numbers(whole)["digest"]


@pytest.mark.first(1)
@pytest.mark.parametrize("looks", [1, 2, 4, 6])
def test_stopped_anywhere_and_resumed(whole: nnft.Run, tmp_path: Path, looks: int) -> None:
    path, stops, done = tmp_path / "run.h5", 0, 0
    for _ in range(100):
        try:
            run = nnft.sample(spec(), path, resume=path.exists(), stop=StopAfter(looks))
        except StoppedEarly as stop:
            stops += stop.exit_code == 75
            looks += 3
            if path.exists():
                with nnft.open(path) as opened:
                    assert done <= opened.networks < 1000
                    done = opened.networks
        else:
            assert numbers(run) == numbers(whole)
            break
    assert stops >= 1
    assert nnft.open(path).complete


def test_extended_run_is_the_long_run(whole: nnft.Run, tmp_path: Path) -> None:
    short = nnft.sample(spec(networks=400), tmp_path / "run.h5")
    assert (short.networks, short.complete) == (400, True)
    assert numbers(nnft.sample(spec(), tmp_path / "run.h5", resume=True)) == numbers(whole)


def test_bins_count_the_networks_of_their_blocks(whole: nnft.Run) -> None:
    """Block b of 8 networks belongs to bin b mod 100: 125 blocks give the first 25 bins two."""
    count = whole.stored.accumulators["count"]
    assert np.array_equal(count, [16] * 25 + [8] * 75)


def test_kept_outputs_have_the_moments_of_the_direct_estimator(whole: nnft.Run) -> None:
    """The stored outputs are those of the sampled networks: the same kernel within the statistics."""
    fields = whole.fields()
    assert fields.shape == (300, 2, 3)
    assert np.array_equal(whole.fields(100, 200), fields[100:200])
    products = fields[:, 0, 0] * fields[:, 0, 1]
    standard_error = products.std(ddof=1) / np.sqrt(len(products))
    expected = whole.connected(2).dense()[0, 1]
    assert abs(products.mean() - expected) < 5.85 * standard_error
    assert (5.85 + 4.75) / np.sqrt(len(products)) < 0.7


def test_no_signal_handler_is_installed(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    nnft.sample(spec(networks=400, precision="float32"), tmp_path / "run.h5")
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert after == before


def test_refusals_are_exceptions(whole: nnft.Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="result file exists"):
        nnft.sample(spec(), whole.path)
    with pytest.raises(DataFileError, match="nothing to resume"):
        nnft.sample(spec(), tmp_path / "none.h5", resume=True)
    with pytest.raises(CardError, match=r"ensemble\.seed"):
        nnft.sample(spec(seed=3), whole.path, resume=True)
    with pytest.raises(UsageError, match="folder"):
        nnft.sample(spec(), tmp_path / "none" / "run.h5")
    assert list(tmp_path.iterdir()) == []
