"""What the table of a flow means for given networks and data."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nnft.errors import CardError
from nnft.spec.cosines import CosineNetwork
from nnft.spec.dataset import Dataset
from nnft.spec.flow import FlowSpec
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.problems import line, mistake, shown
from nnft.spec.training import TrainingSpec
from nnft.spec.training_resolution import TrainingResolution

SPECTRUM_NUMBERS = 323
"""Places of the spectrum of a member."""


@dataclass(frozen=True)
class FlowResolution:
    """What a flow does to one network, in numbers.

    Attributes
    ----------
    cutoffs : tuple of float
        From 0 to infinity; empty where they are quantiles.
    quantiles : int
        Number of quantiles, else 0.
    layers : tuple of int
        Layers, out of 1..L, whose parameters are replaced.
    noise_variance : float
        kappa of the information.
    weight_rates, bias_rates : tuple of float, length L
        Weight = sqrt(rate) times the coordinate in which information is measured.
    basis, fill : str
    width : float
        0.0 but for the fill "gaussian".
    source : str
        ``"training"`` or ``"fresh"``.
    points : int
        Inputs of the information.
    seed : int
        Of fresh inputs, else 0.
    refills : int
    anew, tangents : bool
    """

    cutoffs: tuple[float, ...]
    quantiles: int
    layers: tuple[int, ...]
    noise_variance: float
    weight_rates: tuple[float, ...]
    bias_rates: tuple[float, ...]
    basis: str
    fill: str
    width: float
    source: str
    points: int
    seed: int
    refills: int
    anew: bool
    tangents: bool

    @property
    def count(self) -> int:
        """Number of cutoffs."""
        return len(self.cutoffs) or self.quantiles + 2

    def member_bytes(self, mesh_points: int) -> int:
        """Bytes that the flow of one member takes."""
        pairs = mesh_points * (mesh_points + 1) // 2
        kept = (pairs if self.tangents else 0) + (pairs if self.fill == "conditional" else 0)
        return 8 * (self.count * (self.refills * (mesh_points + 2) + kept + 1) + SPECTRUM_NUMBERS)


def check_flow(flow: FlowSpec, training: TrainingSpec | None, network: AnyNetwork) -> None:
    """Refuse a flow that does not fit the networks or their training.

    Raises
    ------
    PydanticCustomError
        One line for the first contradiction.
    """
    if training is None:
        raise mistake("contradiction", "a flow is one of trained networks: add [training]", "[flow] alone")
    if training.algorithm == "exact":
        advice = "it needs the weights, exact has none: use gd, sgd, hmc or another"
        raise mistake("contradiction", advice, "training.algorithm 'exact'")
    layers = flow.chosen_layers(network.layers)
    if layers[-1] > network.layers:
        advice = f"allowed: 1 to {network.layers}, the layers of network.widths and the output"
        raise mistake("no such layer", advice, str(layers[-1]), f"layers[{len(layers) - 1}]")
    if flow.fill == "conditional":
        _check_conditional(flow, training, network)
    if flow.noise_variance is None and training.temperature is None and training.ridge is None:
        advice = "give the variance of the likelihood: the training has no ridge to take"
        raise mistake("missing key", advice, "nothing", "noise_variance")
    if flow.points == "fresh" and training.data.teacher is None:
        advice = "use training: a file has no law to draw inputs from"
        raise mistake("contradiction", advice, "'fresh'", "points")


def _check_conditional(flow: FlowSpec, training: TrainingSpec, network: AnyNetwork) -> None:
    """Refuse a fill "conditional" where there is no Gaussian posterior of the sloppy coordinates."""
    readout, trained = (network.layers,), training.trainable_layers(network.layers)
    if training.algorithm in ("gd", "sgd", "gradient-flow"):
        advice = f"it needs a posterior, {training.algorithm} has none: train with hmc, mala or langevin"
        raise mistake("contradiction", advice, "'conditional'", "fill")
    if training.temperature is None and training.ridge is None:
        advice = "it needs the posterior of a ridge: give training.ridge"
        raise mistake("contradiction", advice, "'conditional'", "fill")
    if flow.chosen_layers(network.layers) != readout:
        advice = "fill conditional needs readout: nothing else is Gaussian"
        raise mistake("contradiction", advice, shown(flow.layers), "layers")
    if readout[0] not in trained:
        advice = "the readout is not trained: it has no posterior"
        raise mistake("contradiction", advice, "'conditional'", "fill")
    if flow.tangents and trained != readout:
        advice = "use false: the kernel of trained hidden layers depends on what is averaged over"
        raise mistake("contradiction", advice, "true", "tangents")


def resolve_flow(
    flow: FlowSpec, training: TrainingResolution, network: AnyNetwork, data: Dataset
) -> FlowResolution:
    """Decide everything that the table leaves open.

    Raises
    ------
    CardError
        More Fisher points than training points, which are no fresh ones.
    """
    points, _, dimension, _ = data.shape
    wanted = flow.fisher_points or points
    if flow.points == "training" and wanted > points:
        advice = f'allowed: at most {points}, the training points; flow.points = "fresh" draws others'
        raise CardError(line("contradiction", "flow.fisher_points", str(wanted), advice))
    fans = (dimension, *network.widths)
    ntk = training.parametrization == "ntk" and not isinstance(network, CosineNetwork)  # there a_i itself
    return FlowResolution(
        cutoffs=flow.numbers(),
        quantiles=flow.quantiles,
        layers=flow.chosen_layers(network.layers),
        noise_variance=flow.noise_variance or training.ridge,
        weight_rates=tuple(1.0 / fan_in if ntk else 1.0 for fan_in in fans),
        bias_rates=(1.0,) * len(fans),
        basis=flow.basis,
        fill=flow.fill,
        width=flow.width or 0.0,
        source=flow.points,
        points=wanted,
        seed=flow.fisher_seed if flow.points == "fresh" else 0,
        refills=flow.refills,
        anew=flow.anew,
        tangents=flow.tangents,
    )


def flow_values(flow: FlowResolution) -> dict[str, object]:
    """Return every value of a flow that determines the numbers of a run, by dotted key."""
    values = asdict(flow)
    values["cutoffs"] = [shown(cutoff) for cutoff in flow.cutoffs] or f"quantiles:{flow.quantiles}"
    del values["quantiles"], values["weight_rates"], values["bias_rates"]
    return {
        f"flow.{name}": list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
