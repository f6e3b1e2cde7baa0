"""The variance within and between networks as a table, and the spectrum of the information."""

from __future__ import annotations

import json

import numpy as np
import pytest
from flow_runs import CUTOFFS, flow_of

from nnft.analysis.flow_record import spectrum_record
from nnft.analysis.flow_refills import refill_split, split_text
from nnft.errors import UsageError


def test_error_that_more_refills_would_save() -> None:
    """The networks of the flow with three refills again, with 60: errors fall towards what was foretold."""
    few, many = (refill_split(flow_of(refills=count), 1) for count in (3, 60))
    assert few is not None
    assert many is not None
    assert (few["refills"], few["chains"], few["point"]) == (3, 1, 1)
    for row, other in zip(few["rows"], many["rows"], strict=True):
        assert row["within"]["value"] + row["between"]["value"] == pytest.approx(row["variance"]["value"])
        assert row["least_stderr"] <= row["mean_stderr"]
        expected, scale = row["least_stderr"] ** 2, row["mean_stderr"] ** 2
        assert other["mean_stderr"] ** 2 == pytest.approx(expected, abs=0.35 * scale)
    last = few["rows"][-1]
    assert last["mean_stderr"] > 1.2 * last["least_stderr"]
    assert few["rows"][0]["share"] == 0.0
    assert json.loads(json.dumps(few, allow_nan=False)) == few
    lines = split_text(few).splitlines()
    assert lines[0] == "variance of the output at point 1, 3 refills of each network"
    assert [line.split()[0] for line in lines[2:8]] == ["cutoff", "0", "0.01", "0.3", "3", "inf"]


def test_one_refill_has_no_split() -> None:
    assert refill_split(flow_of()) is None
    with pytest.raises(UsageError, match="got 1 refill of each; follow with --refills 2 or more"):
        split_text(None)


def test_spectrum_adds_up_to_the_sloppy_shares() -> None:
    """Cutoffs on edges of bins: the share below is the share of sloppy parameters."""
    flow = flow_of()
    spectrum = flow.spectrum
    assert spectrum is not None
    assert spectrum.parameters == 6 * 2 + 6 + 6 + 1
    assert spectrum.share.sum() == pytest.approx(1.0)
    shares = flow.observables.result("sloppy_share").mean
    below = spectrum.share[0] + spectrum.share[1] + np.cumsum(np.append(0.0, spectrum.share[2:-1]))
    place = int(np.flatnonzero(spectrum.edges == CUTOFFS[0])[0])
    assert below[place] == pytest.approx(shares[1], rel=1e-12)
    assert 0.0 < shares[1] < 0.5
    assert spectrum.silent[0] == flow.silent_share[0] == 0.0
    record = spectrum_record(flow)
    assert record is not None
    assert len(record["edges"]) == len(record["share"]) + 1
    assert sum(record["share"]) == pytest.approx(1.0)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_kept_outputs_are_those_of_the_sums() -> None:
    """All networks are kept here: their mean at every cutoff is that of the sums."""
    flow = flow_of()
    assert flow.kept_outputs.shape == (64, 5, 3)
    kept = flow.kept_outputs
    rounded = 2.0 * len(kept) * np.finfo(np.float64).eps * abs(kept).mean(axis=0)  # of so many sums
    assert (abs(kept.mean(axis=0) - flow.quantity("mean").value) <= rounded).all()
    assert flow.diverged == 0
