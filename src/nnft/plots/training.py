"""Pictures of trained runs, under one name."""

from __future__ import annotations

from nnft.plots.training_chains import draw_chains
from nnft.plots.training_flows import draw_flows
from nnft.plots.training_loss import draw_loss
from nnft.plots.training_predictor import draw_predictor

__all__ = ["draw_chains", "draw_flows", "draw_loss", "draw_predictor"]
