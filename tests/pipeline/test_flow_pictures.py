"""Pictures and tables of a flow from its file, and files that were written before they had all of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from flow_runs import flow_of
from matplotlib.text import Text
from training_cards import write_changed

import nnft
from nnft.analysis.flow_record import spectrum_record
from nnft.errors import UsageError
from nnft.pipeline.flow_output import QUANTITIES
from nnft.pipeline.flow_pictures import flow_figure, output_samples
from nnft.pipeline.flow_run import flow_of_file
from nnft.plots.inline import inline_svg
from nnft.plots.style import house_style


@pytest.mark.parametrize("quantity", [name for name in QUANTITIES if name != "losses"])
def test_every_picture_of_a_flow(quantity: str) -> None:
    with house_style():
        figure = flow_figure(flow_of(), quantity, {"critical_scales": []})
        svg = inline_svg(figure, "key", "title", "text")
    assert len(svg) > 10_000
    assert "run.h5" in " ".join(text.get_text() for text in figure.findobj(Text))


def test_picture_and_table_of_a_file(tmp_path: Path) -> None:
    path = flow_of().run.path
    printed = flow_of_file(path, plot=tmp_path / "x.svg", quantity="histogram", split=False)
    assert len(printed.record["rows"]) == 5
    assert ET.parse(tmp_path / "x.svg").getroot().tag.endswith("svg")


def test_outputs_at_both_ends_and_half_way() -> None:
    flow = flow_of()
    found = output_samples(flow, {"critical_scales": [{"delta": 0.5, "value": 0.25, "of": "test_error"}]})
    assert np.array_equal(found.outputs, flow.kept_outputs[:, [0, 2, 4]])
    assert found.names[1] == "cutoff 0.3: about 50 % of the rise"
    assert len(output_samples(flow, {"critical_scales": []}).names) == 2


def test_a_file_without_what_came_later(tmp_path: Path) -> None:
    """Without kept outputs and spectrum there is everything else, and a line in place of the pictures."""
    stored, path = flow_of().run.stored, tmp_path / "old.h5"
    new = ("renormalization/outputs", "renormalization/spectrum")
    gone = {key: None for key in stored.training if key.startswith(new)}
    assert len(gone) == 4
    write_changed(flow_of().run.path, path, training=gone)
    with nnft.open(path) as run:
        assert spectrum_record(run.renormalization) is None
        for quantity in ("spectrum", "histogram"):
            with pytest.raises(UsageError, match=r"no .* in the file: follow the networks again"):
                flow_figure(run.renormalization, quantity, {"critical_scales": []})
