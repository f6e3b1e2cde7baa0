"""The whole specification of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike
from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from nnft.errors import UsageError
from nnft.spec.card import parse_card, read_card
from nnft.spec.dataset import Dataset, load_dataset
from nnft.spec.deformation import DeformationSpec, Interaction
from nnft.spec.ensemble import EnsembleSpec, EstimateSpec, StoreSpec
from nnft.spec.fields import Integer, Table
from nnft.spec.flow import FlowSpec
from nnft.spec.flow_resolution import FlowResolution, check_flow, flow_values, resolve_flow
from nnft.spec.given import GivenSource, given_table, given_values
from nnft.spec.inputs import InputsSpec
from nnft.spec.mesh import Mesh, make_mesh, resolve_mesh
from nnft.spec.network_kinds import NetworkTable
from nnft.spec.point_files import ReadDataset
from nnft.spec.problems import card_error, mistake, shown
from nnft.spec.resolve import Resolution, resolve
from nnft.spec.run_keys import deformation_values, differences, run_values
from nnft.spec.toml_text import toml_text
from nnft.spec.trained_run import resolve_trained, resumed_bins
from nnft.spec.training import TrainingSpec
from nnft.spec.training_checks import check_estimate, check_training
from nnft.spec.training_keys import training_table, training_values

CARD_VERSION = 1
HIGHEST_DEFORMED_ORDER = 6


class RunSpec(Table):
    """Everything that says what a run computes; frozen and validated when it is made.

    Attributes
    ----------
    version : int
        Version of the card format.
    network : AnyNetwork
    inputs : InputsSpec
    ensemble : EnsembleSpec
    training : TrainingSpec or None
    flow : FlowSpec or None
    estimate : EstimateSpec
        With a training `layers` is false: the metrics of hidden layers are not estimated.
    deformation : DeformationSpec or None
    store : StoreSpec
    """

    version: Integer = Field(CARD_VERSION, description=f"at most {CARD_VERSION}")
    network: NetworkTable = Field(description="a table [network]")
    inputs: InputsSpec = Field(description="a table [inputs]")
    ensemble: EnsembleSpec = Field(description="a table [ensemble]")
    training: TrainingSpec | None = Field(None, description="a table [training]")
    flow: FlowSpec | None = Field(None, description="a table [flow]")
    estimate: EstimateSpec = Field(default_factory=EstimateSpec, description="a table [estimate]")
    deformation: DeformationSpec | None = Field(None, description="a table [deformation]")
    store: StoreSpec = Field(default_factory=StoreSpec, description="a table [store]")

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _read_dataset: ReadDataset | None = PrivateAttr(default=None)
    _mesh: Mesh | None = PrivateAttr(default=None)
    _dataset: Dataset | None = PrivateAttr(default=None)
    _given: GivenSource = PrivateAttr(default_factory=GivenSource)

    @field_validator("version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value != CARD_VERSION:
            what = "card of a newer version" if value > CARD_VERSION else "unknown version"
            raise mistake(what, f"supported: {CARD_VERSION}", shown(value))
        return value

    @field_validator("training")
    @classmethod
    def _fits_the_networks(cls, value: TrainingSpec | None, info: ValidationInfo) -> TrainingSpec | None:
        network, ensemble = info.data.get("network"), info.data.get("ensemble")
        if value is not None and network is not None and ensemble is not None:
            check_training(value, network, ensemble)
        return value

    @field_validator("flow")
    @classmethod
    def _fits_trained_networks(cls, value: FlowSpec | None, info: ValidationInfo) -> FlowSpec | None:
        network = info.data.get("network")
        if value is not None and network is not None and "training" in info.data:
            check_flow(value, info.data["training"], network)
        return value

    @field_validator("estimate")
    @classmethod
    def _fits_the_training(cls, value: EstimateSpec, info: ValidationInfo) -> EstimateSpec:
        training, network = info.data.get("training"), info.data.get("network")
        if training is None or network is None:
            return value
        check_estimate(value, training, network.layers)
        return value.model_copy(update={"layers": False})

    @field_validator("estimate")
    @classmethod
    def _outputs_exist(cls, value: EstimateSpec, info: ValidationInfo) -> EstimateSpec:
        network = info.data.get("network")
        if network is not None and value.outputs != "auto" and value.outputs > network.outputs:
            allowed = f"allowed: at most network.outputs, {network.outputs}"
            raise mistake("contradiction", allowed, shown(value.outputs), "outputs")
        return value

    @field_validator("deformation")
    @classmethod
    def _needs_the_outputs(
        cls, value: DeformationSpec | None, info: ValidationInfo
    ) -> DeformationSpec | None:
        estimate = info.data.get("estimate")
        if value is None or estimate is None:
            return value
        if info.data.get("training") is not None:
            raise mistake("contradiction", "leave out one of the tables", "[training] and [deformation]")
        if estimate.estimator == "conditional":
            advice = "weights are functions of the outputs: leave out estimate.estimator"
            raise mistake("contradiction", advice, "estimate.estimator conditional")
        if estimate.correlators[-1] > HIGHEST_DEFORMED_ORDER:
            advice = f"allowed: up to {HIGHEST_DEFORMED_ORDER} with a deformation"
            raise mistake(
                "contradiction", advice, f"order {estimate.correlators[-1]} of estimate.correlators"
            )
        return value

    @field_validator("store")
    @classmethod
    def _fields_exist(cls, value: StoreSpec, info: ValidationInfo) -> StoreSpec:
        ensemble = info.data.get("ensemble")
        if ensemble is not None and value.fields != "all" and value.fields > ensemble.networks:
            allowed = f"allowed: at most ensemble.networks, {ensemble.networks}"
            raise mistake("contradiction", allowed, shown(value.fields), "fields")
        return value

    @classmethod
    def from_card(cls, path: str | Path, *, read_dataset: ReadDataset | None = None) -> Self:
        """Read and validate a card.

        Parameters
        ----------
        path : str or Path
            TOML file; relative names in ``inputs.file`` start from its folder.
        read_dataset : callable, optional
            ``(path, dataset) -> array`` for inputs in HDF5 files.

        Raises
        ------
        CardError
            One line for each mistake.
        """
        card = Path(path)
        folder = card.absolute().parent
        return cls.from_dict(read_card(card), folder=folder, read_dataset=read_dataset, name=card.name)

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        folder: str | Path | None = None,
        points: ArrayLike | None = None,
        dataset: Dataset | None = None,
        read_dataset: ReadDataset | None = None,
        name: str = "card",
    ) -> Self:
        """Validate the text of a card.

        Parameters
        ----------
        text : str
            TOML.
        folder : str or Path, optional
            Where relative names in ``inputs.file`` start from; the working directory when left out.
        points : array_like, shape (P, d), optional
            The input points after scaling, as a result file keeps them; nothing is read then.
        dataset : Dataset, optional
            The data of the training, as a result file keeps them; nothing is read or drawn then.
        read_dataset : callable, optional
            See `from_card`.
        name : str, optional
            What the text is called in messages.

        Raises
        ------
        CardError
            One line for each mistake.
        """
        card = parse_card(text.encode(), name)
        spec = cls.from_dict(card, folder=folder, read_dataset=read_dataset, name=name)
        if points is not None:
            spec._mesh = make_mesh(points, "points of the result file", spec.inputs.sha256)
        spec._dataset = dataset
        return spec

    @classmethod
    def from_dict(
        cls,
        card: Mapping[str, Any],
        *,
        folder: str | Path | None = None,
        read_dataset: ReadDataset | None = None,
        name: str | None = None,
    ) -> Self:
        """Validate the tables of a card; see `from_text` for the parameters."""
        try:
            spec = cls.model_validate(dict(card))
        except ValidationError as error:
            problems = card_error(cls, error.errors(include_url=False), name)
        else:
            if folder is not None:
                spec._folder = Path(folder)
            spec._read_dataset = read_dataset
            return spec
        raise problems

    def without_training(self) -> Self:
        """Return the same specification without its table [training]: the networks at the start."""
        spec = self.model_copy(update={"training": None, "flow": None})
        spec._folder, spec._read_dataset, spec._mesh = self._folder, self._read_dataset, self._mesh
        for name in ("resolution", "flow_resolution"):
            spec.__dict__.pop(name, None)
        return spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunSpec) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash((self.network, self.ensemble, self.estimate, self.store))

    def mesh(self) -> Mesh:
        """Return the input points; read or made at the first call and kept.

        Raises
        ------
        CardError
            The points cannot be scaled as asked.
        DataFileError
            Their file cannot be used.
        """
        if self._mesh is None:
            self._mesh = resolve_mesh(self.inputs, self._folder, self._read_dataset)
        return self._mesh

    def dataset(self) -> Dataset:
        """Return the data of the training; read or drawn at the first call and kept.

        Raises
        ------
        CardError
            The data do not fit the table.
        DataFileError
            Their file cannot be used.
        UsageError
            The run has no training.
        """
        if self.training is None:
            raise UsageError("no data in the specification: got no table [training]; give one")
        if self._dataset is None:
            self._dataset = load_dataset(self.training.data, self._folder, self._read_dataset)
        return self._dataset

    @cached_property
    def resolution(self) -> Resolution:
        """Every choice that the card leaves to ``auto``, decided."""
        points, dimension = self.mesh().points.shape
        self.network.kernel_parameters(dimension)
        if self.training is not None:
            tables = self.network, self.ensemble, self.estimate
            return resolve_trained(*tables, points, dimension, self.training, self.dataset())
        self.interaction()
        return resolve(self.network, self.ensemble, self.estimate, points, dimension, self.deformation)

    @cached_property
    def flow_resolution(self) -> FlowResolution | None:
        """The flow with nothing left to decide, or None if there is none."""
        training = self.resolution.training
        if self.flow is None or training is None:
            return None
        return resolve_flow(self.flow, training, self.network, self.dataset())

    def interaction(self) -> Interaction | None:
        """Return the potential of the deformation on the input points, or None if there is none.

        Raises
        ------
        CardError
            It does not fit the points.
        """
        if self.deformation is None:
            return None
        return self.deformation.interaction(self.inputs, len(self.mesh().points))

    def resuming(self, stored: Self) -> Self:
        """Return this specification with what its card leaves open taken from the run it goes on with.

        Parameters
        ----------
        stored : RunSpec
            Specification of the stored run. Its seed is taken when this card has none, and its block size
            when this card says ``"auto"``, since that depends on the number of networks; so do the bins of a
            trained ensemble.
        """
        changes: dict[str, object] = {}
        if self.ensemble.seed_was_drawn:
            changes["seed"] = stored.ensemble.seed
        if self.ensemble.block_size == "auto":
            block_size = stored.resolution.block_size
            changes["block_size"] = block_size if block_size <= self.ensemble.networks else "auto"
        estimate = self.estimate
        if self.training is not None and stored.training is not None:
            bins = resumed_bins(estimate.bins, stored.resolution.bins)
            estimate = estimate.model_copy(update={"bins": bins})
        ensemble = self.ensemble.model_copy(update=changes)
        spec = self.model_copy(update={"ensemble": ensemble, "estimate": estimate})
        for name in ("resolution", "flow_resolution"):
            spec.__dict__.pop(name, None)
        return spec

    def determining(self) -> dict[str, object]:
        """Return every value that determines the numbers of a run, by dotted key."""
        resolution, mesh = self.resolution, self.mesh()
        values = run_values(self.network, self.ensemble, self.estimate, self.store, resolution, mesh)
        if resolution.training is not None:
            values |= training_values(resolution.training, self.dataset()) | given_values(self)
        if self.flow_resolution is not None:
            values |= flow_values(self.flow_resolution)
        interaction = self.interaction()
        if interaction is not None:  # a card without one keeps the digest that it always had
            values |= deformation_values(interaction, resolution.readouts)
        return values

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of `determining`, 64 hexadecimal digits."""
        text = json.dumps(self.determining(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def difference(self, other: Self) -> list[str]:
        """Return a line for each determining key in which the stored `other` differs from this card."""
        trained = self.resolution.training
        given = self.training is not None and self.training.ridge is not None
        factor = 0.5 / trained.loss_factor if trained is not None and given else None
        return differences(self.determining(), other.determining(), factor)

    def to_toml(self) -> str:
        """Return a card with every default filled in and every ``auto`` of the estimate decided.

        Points from a file are named by the file and its digest, not written out.
        """
        resolution = self.resolution
        network = self.network.model_dump(exclude_none=True)
        inputs = self.inputs
        if inputs.file is not None:
            inputs = inputs.model_copy(update={"sha256": self.mesh().file_sha256})
        ensemble = self.ensemble.model_dump() | {"block_size": resolution.block_size}
        estimate = self.estimate.model_dump() | {
            "outputs": resolution.outputs,
            "bins": resolution.bins,
            "layer_pairs": resolution.layer_pairs,
        }
        card: dict[str, object] = {
            "version": self.version,
            "network": network,
            "inputs": inputs.model_dump(exclude_none=True),
            "ensemble": ensemble,
            "estimate": estimate,
        }
        if self.training is not None:
            card["training"] = training_table(self.training, self.dataset()) | given_table(self)
        if self.flow is not None:
            card["flow"] = self.flow.model_dump(exclude_none=True)
        interaction = self.interaction()
        if self.deformation is not None and interaction is not None:
            decided = {"cell": interaction.cell, "readouts": resolution.readouts}
            card["deformation"] = self.deformation.model_dump() | decided
        return toml_text(card | {"store": self.store.model_dump()})
