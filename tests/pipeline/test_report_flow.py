"""The section of a flow over cutoffs in the report of a run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from training_cards import training_text

from nnft.pipeline.report_output import report_of_file
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

FLOW = '[flow]\ncutoffs = "log:1e-3:1e3:5"\nnoise_variance = 0.5\nrefills = 2\n'


@pytest.mark.long
def test_report_has_table_and_picture_of_the_flow(tmp_path: Path) -> None:
    found = {}
    for name, further in (("without", ""), ("with", FLOW)):
        spec = RunSpec.from_dict(tomllib.loads(training_text("gd") + further))
        train(spec, tmp_path / f"{name}.h5").close()
        report = report_of_file(tmp_path / f"{name}.h5", output=tmp_path / f"{name}.html")
        found[name] = report.path.read_text(encoding="utf-8")
    page = found["with"]
    assert 'id="cutoffs"' in page
    assert "critical scale of the test error" in page
    assert "Errors over cutoffs" in page
    for key in ("outputs", "couplings", "histogram", "spectrum"):
        assert f'id="cutoffs-{key}-title"' in page
    assert "Couplings over cutoffs, outputs at points 0, 1" in page
    assert "within: over the 2 refills of a network" in page
    assert len(page.encode()) < 1_000_000
    assert 'id="cutoffs"' not in found["without"]
