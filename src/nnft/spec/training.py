"""How the networks of an ensemble are trained: loss, algorithm, and the numbers that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from nnft.spec.data import DataSpec, File
from nnft.spec.fields import (
    MOST_HIDDEN_LAYERS,
    Integer,
    Real,
    Table,
    as_sequence,
    list_or_number,
    word_or_number,
)
from nnft.spec.problems import mistake, shown

Loss = Literal["half-sum", "sum", "half-mean", "mean"]
Algorithm = Literal["gd", "sgd", "gradient-flow", "langevin", "mala", "underdamped", "hmc", "exact", "given"]

DESCENTS = ("gd", "sgd", "gradient-flow")
SAMPLERS = ("langevin", "mala", "underdamped", "hmc")

_CHAIN = ("step", "burn_in", "draws", "thinning", "chains", "snapshots", "divergence")
KEYS_OF_ALGORITHM: dict[str, tuple[str, ...]] = {
    "gd": ("step", "steps", "snapshots", "divergence"),
    "sgd": ("step", "steps", "epochs", "batch_size", "order", "snapshots", "divergence"),
    "gradient-flow": ("time", "tolerance", "snapshots", "divergence"),
    "langevin": _CHAIN,
    "mala": (*_CHAIN, "target_acceptance", "adapt"),
    "underdamped": (*_CHAIN, "friction"),
    "hmc": (*_CHAIN, "leapfrog_steps", "jitter", "target_acceptance", "adapt"),
    "exact": ("draws",),
    "given": ("weights", "weights_sha256"),
}
"""Keys that only some algorithms have."""

REQUIRED_KEYS: dict[str, tuple[str, ...]] = {
    "gd": ("step", "steps"),
    "sgd": ("step", "batch_size"),
    "gradient-flow": ("time",),
    "langevin": ("step", "draws"),
    "mala": ("draws",),
    "underdamped": ("step", "draws"),
    "hmc": ("draws",),
    "exact": (),
    "given": ("weights",),
}
DEFAULTS: dict[str, object] = {
    "order": "random",
    "tolerance": 1e-6,
    "burn_in": 1000,
    "thinning": 1,
    "chains": 1,
    "leapfrog_steps": 10,
    "jitter": 0.2,
    "adapt": True,
    "friction": 1.0,
    "snapshots": 20,
    "divergence": 1e6,
}
_OWN_DEFAULTS: dict[str, dict[str, object]] = {
    "mala": {"step": "auto", "target_acceptance": 0.57},
    "hmc": {"step": "auto", "target_acceptance": 0.8},
    "exact": {"draws": 1},
}

MOST_STEPS = 10**9
MOST_DRAWS = 10**7
MOST_CHAINS = 1024
MOST_SNAPSHOTS = 200
LARGEST_TEMPERATURE = 1e12


def _word_or_list(value: object) -> str:
    return "<word>" if isinstance(value, str) else "<list>"


Layer = Annotated[Integer, Field(ge=1, le=MOST_HIDDEN_LAYERS + 1)]
Layers = Annotated[tuple[Layer, ...], as_sequence(MOST_HIDDEN_LAYERS + 1), Field(min_length=1)]
Trainable = Annotated[
    Annotated[Literal["all", "readout"], Tag("<word>")] | Annotated[Layers, Tag("<list>")],
    Discriminator(_word_or_list),
]
Temperature = Annotated[Real, Field(ge=0.0, le=LARGEST_TEMPERATURE)]
Step = Annotated[Real, Field(gt=0.0, le=1e6)]
StepOrAuto = Annotated[
    Annotated[Step, Tag("<one>")] | Annotated[Literal["auto"], Tag("<word>")], Discriminator(word_or_number)
]
Steps = Annotated[Integer, Field(ge=1, le=MOST_STEPS)]
Moment = Annotated[Real, Field(ge=0.0, le=1e12)]
Moments = Annotated[tuple[Moment, ...], as_sequence(MOST_SNAPSHOTS)]
Snapshots = Annotated[
    Annotated[Annotated[Integer, Field(ge=0, le=MOST_SNAPSHOTS)], Tag("<one>")]
    | Annotated[Moments, Tag("<list>")],
    Discriminator(list_or_number),
]

_LOSSES = "half-sum, sum, half-mean or mean"


class TrainingSpec(Table):
    """Training of every network of the ensemble on one set of data.

    The energy of the parameters theta is E = c sum_{mu,i} (f_i(x_mu) - y_{mu,i})^2 plus, with
    ``weight_decay = "prior"``, (1/2) sum_p decay_p theta_p^2 with decay_p = T / prior variance of theta_p.
    The word of the loss gives c for P training points: ``"half-sum"`` 1/2, ``"sum"`` 1, ``"half-mean"``
    1/(2P), ``"mean"`` 1/P. exp(-E/T) is then the posterior of the prior ensemble for a Gaussian likelihood
    of variance kappa = T / (2c), the ridge (Welling and Teh, ICML 2011; Lee et al., arXiv:1902.06720).

    A parameter moves with the rate m_p (-dE/dtheta_p) and, at a temperature, noise of variance
    2 T m_p per unit of time. With ``parametrization = "ntk"`` m_p is 1 / fan-in for weights and 1 for biases,
    with ``"standard"`` 1 for all; 0 in layers that are not trainable.

    Attributes
    ----------
    loss : str
        How squared errors are added up: ``"half-sum"``, ``"sum"``, ``"half-mean"``, ``"mean"``.
    algorithm : str
        ``"gd"``, ``"sgd"``, ``"gradient-flow"``, the samplers ``"langevin"``, ``"mala"``,
        ``"underdamped"``, ``"hmc"``, ``"exact"``: a draw from the Gaussian posterior of the last layer, and
        ``"given"``: no training, weights from a file.
    data : DataSpec
    trainable : str or tuple of int
        ``"all"``, ``"readout"`` or the layers 1..L that move, ascending.
    parametrization : str
    temperature, ridge : float, optional
        T or kappa; one of them for samplers, ``"exact"`` and descent with weight decay; for ``"given"`` one
        of them or none.
    weight_decay : str, optional
        ``"prior"`` or ``"none"``; left out: prior for samplers and exact, none otherwise.
    step : float or str, optional
        Learning rate, or time step of underdamped and hmc.
    steps, epochs, batch_size, order : optional
        Of gd and sgd. Batches are drawn with replacement (``"random"``), from a new permutation
        in each epoch (``"shuffled"``) or in the order of the data (``"cyclic"``).
    time, tolerance : float, optional
        Flow time and relative tolerance of one step of gradient-flow.
    burn_in, draws, thinning, chains : int, optional
        Steps before the first draw, draws of a chain, steps between draws, chains of a network.
    leapfrog_steps, jitter, target_acceptance, adapt, friction : optional
        Of the samplers that have them.
    snapshots : int or tuple of float, optional
        Number of log-spaced snapshots, or a list of steps (of times with gradient-flow). The first and the
        last step are always among them; 0 for none at all.
    observe : int
        Output, from 0, whose correlators are estimated.
    weights : str, optional
        Of ``"given"``: a ``.npz`` file, or ``"name.h5:/group"``, relative to the folder of the card; see
        `nnft.spec.given_weights.make_given`. The loss is then half-sum if left out.
    weights_sha256 : str, optional
        Digest of its arrays, or at least its first 12 digits.
    divergence : float, optional
        A network whose loss is not finite or exceeds this times its first value (at least 1) is stopped.
    """

    loss: Loss = Field(description=f"{_LOSSES}; no default: say how squared errors are added up")
    algorithm: Algorithm = Field(description="one of " + ", ".join(KEYS_OF_ALGORITHM))
    trainable: Trainable = Field("all", description="all, readout, or a list of layers counted from 1")
    parametrization: Literal["ntk", "standard"] = Field("ntk", description="ntk or standard")
    temperature: Temperature | None = Field(None, description="a number above 0, at most 1e12")
    ridge: Temperature | None = Field(None, description="a number above 0, at most 1e12")
    weight_decay: Literal["prior", "none"] | None = Field(None, description="prior or none")
    step: StepOrAuto | None = Field(None, description="a number above 0, at most 1e6; auto for mala and hmc")
    steps: Steps | None = Field(None, description="a whole number from 1 to 1e9")
    epochs: Steps | None = Field(None, description="a whole number from 1 to 1e9")
    batch_size: Annotated[Integer, Field(ge=1, le=10**5)] | None = Field(
        None, description="a whole number from 1 to the number of training points"
    )
    order: Literal["random", "shuffled", "cyclic"] | None = Field(
        None, description="random, shuffled or cyclic"
    )
    time: Annotated[Real, Field(ge=1e-100, le=1e12)] | None = Field(
        None, description="a number from 1e-100 to 1e12"
    )
    tolerance: Annotated[Real, Field(ge=1e-10, le=1e-2)] | None = Field(
        None, description="a number from 1e-10 to 1e-2"
    )
    burn_in: Annotated[Integer, Field(ge=0, le=MOST_STEPS)] | None = Field(
        None, description="a whole number from 0 to 1e9"
    )
    draws: Annotated[Integer, Field(ge=1, le=MOST_DRAWS)] | None = Field(
        None, description="a whole number from 1 to 1e7"
    )
    thinning: Annotated[Integer, Field(ge=1, le=10**6)] | None = Field(
        None, description="a whole number from 1 to 1e6"
    )
    chains: Annotated[Integer, Field(ge=1, le=MOST_CHAINS)] | None = Field(
        None, description=f"a whole number from 1 to {MOST_CHAINS}"
    )
    leapfrog_steps: Annotated[Integer, Field(ge=1, le=10**4)] | None = Field(
        None, description="a whole number from 1 to 10000"
    )
    jitter: Annotated[Real, Field(ge=0.0, le=0.5)] | None = Field(None, description="a number from 0 to 0.5")
    target_acceptance: Annotated[Real, Field(ge=0.1, le=0.99)] | None = Field(
        None, description="a number from 0.1 to 0.99"
    )
    adapt: bool | None = Field(None, description="true or false")
    friction: Annotated[Real, Field(gt=0.0, le=1e6)] | None = Field(
        None, description="a number above 0, at most 1e6"
    )
    snapshots: Snapshots | None = Field(
        None, description=f"a whole number from 0 to {MOST_SNAPSHOTS}, or a list of steps or times, ascending"
    )
    observe: Annotated[Integer, Field(ge=0, le=10**5)] = Field(
        0, description="a whole number from 0 to network.outputs - 1"
    )
    divergence: Annotated[Real, Field(gt=1.0, le=1e300)] | None = Field(
        None, description="a number above 1, at most 1e300"
    )
    weights: File | None = Field(None, description='the name of a .npz file, or "name.h5:/group"')
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{12,64}$")] | None = Field(
        None, description="12 to 64 hexadecimal digits in lower case"
    )
    data: DataSpec = Field(description="a table [training.data]")

    @model_validator(mode="before")
    @classmethod
    def _loss_of_given_networks(cls, values: Any) -> Any:
        """Fill in a loss where nothing is trained: with half-sum, a temperature is the ridge."""
        if isinstance(values, Mapping) and values.get("algorithm") == "given":
            return {"loss": "half-sum", **values}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_keys()
        self._check_temperature()
        self._check_layers()
        if self.algorithm in SAMPLERS:
            self._check_chain()
        if isinstance(self.snapshots, tuple):
            self._check_snapshots(self.snapshots)
        return self

    def _check_keys(self) -> None:
        known, needed = KEYS_OF_ALGORITHM[self.algorithm], REQUIRED_KEYS[self.algorithm]
        for name in dict.fromkeys(key for keys in KEYS_OF_ALGORITHM.values() for key in keys):
            value = getattr(self, name)
            if value is not None and name not in known:
                advice = f"leave it out: training.algorithm is {self.algorithm}"
                raise mistake("contradiction", advice, shown(value), name)
            if value is None and name in needed:
                advice = f"training.algorithm {self.algorithm!r} needs it"
                raise mistake("missing key", advice, "nothing", name)
        if self.step == "auto" and "step" in needed:
            raise mistake("no automatic step", f"{self.algorithm} needs a number", "'auto'", "step")
        if self.algorithm == "sgd" and (self.steps is None) == (self.epochs is None):
            got = "neither" if self.steps is None else "both"
            raise mistake("contradiction", "give exactly one of them", got, "steps and epochs")

    def _check_temperature(self) -> None:
        given = [name for name in ("temperature", "ridge") if getattr(self, name) is not None]
        if len(given) == 2:
            raise mistake(
                "contradiction", "give one; ridge = temperature / (2 c)", "both", "temperature and ridge"
            )
        stochastic = self.algorithm not in (*DESCENTS, "given")
        if stochastic and self.weight_decay == "none":
            advice = f"leave it out: {self.algorithm} samples the posterior of the prior"
            raise mistake("contradiction", advice, "'none'", "weight_decay")
        if not given and self.decays:
            who = self.algorithm if stochastic else "weight_decay 'prior'"
            advice = f"{who} needs training.temperature or training.ridge"
            raise mistake("missing key", advice, "nothing", "temperature")
        if given and not self.decays:
            advice = f"{self.algorithm} has none: leave it out or set weight_decay to prior"
            raise mistake("contradiction", advice, repr(getattr(self, given[0])), given[0])
        if given and getattr(self, given[0]) == 0.0:
            advice = "use gd or gradient-flow" if stochastic else "leave it out and set weight_decay to none"
            raise mistake("contradiction", f"allowed: above 0; at zero {advice}", "0.0", given[0])

    def _check_layers(self) -> None:
        if isinstance(self.trainable, tuple):
            for before, layer in itertools.pairwise(self.trainable):
                if layer <= before:
                    advice = "give every layer once, in increasing order"
                    raise mistake("layers out of order", advice, f"{layer} after {before}", "trainable")
        if self.algorithm == "exact" and (self.trainable == "all" or len(self.trainable_list) > 1):
            got = "'all'" if self.trainable == "all" else shown(self.trainable)
            raise mistake("contradiction", 'exact needs trainable = "readout"', got, "trainable")

    def _check_chain(self) -> None:
        filled = self.filled()
        if filled["burn_in"] == 0 and filled["step"] == "auto":
            advice = "an automatic step is found during it: give some steps, or training.step"
            raise mistake("contradiction", advice, "0", "burn_in")
        if filled["burn_in"] == 0 and self.draws == 1:
            raise mistake("no step", "give burn_in above 0 or more draws", "0 with 1 draw", "burn_in")

    def _check_snapshots(self, moments: tuple[float, ...]) -> None:
        for position, moment in enumerate(moments):
            key = f"snapshots[{position}]"
            if self.algorithm != "gradient-flow" and moment != int(moment):
                raise mistake("no step", "give whole numbers of steps", repr(moment), key)
            if position and moment <= moments[position - 1]:
                raise mistake("list not increasing", "give every one once, ascending", repr(moment), key)

    @property
    def trainable_list(self) -> tuple[int, ...]:
        """The layers of a list; empty for a word."""
        return self.trainable if isinstance(self.trainable, tuple) else ()

    @property
    def decays(self) -> bool:
        """Whether the energy has the weight decay of the prior."""
        if self.weight_decay is None:
            heated = self.temperature is not None or self.ridge is not None
            return heated if self.algorithm == "given" else self.algorithm not in DESCENTS
        return self.weight_decay == "prior"

    def trainable_layers(self, layers: int) -> tuple[int, ...]:
        """Return the layers that move, out of 1..`layers`, ascending."""
        if self.trainable == "all":
            return tuple(range(1, layers + 1))
        return (layers,) if self.trainable == "readout" else self.trainable_list

    def loss_factor(self, points: int) -> float:
        """Return c, the factor of the sum of squared errors, for `points` training points (or a batch)."""
        factor = 0.5 if self.loss.startswith("half") else 1.0
        return factor / points if self.loss.endswith("mean") else factor

    def filled(self) -> dict[str, Any]:
        """Return every key of this algorithm with its value, defaults filled in; None where there is none."""
        own = _OWN_DEFAULTS.get(self.algorithm, {})
        values = {name: getattr(self, name) for name in KEYS_OF_ALGORITHM[self.algorithm]}
        return {
            name: own.get(name, DEFAULTS.get(name)) if value is None else value
            for name, value in values.items()
        }

    def table(self) -> dict[str, object]:
        """Return the keys of the table as a card gives them, defaults filled in, without the data."""
        general = self.model_dump(include={"loss", "algorithm", "trainable", "parametrization", "observe"})
        heat = {name: getattr(self, name) for name in ("temperature", "ridge")}
        decay = {"weight_decay": "prior" if self.decays else "none"}
        card = general | heat | decay | self.filled()
        return {name: value for name, value in card.items() if value is not None}
