"""Faults of data that are drawn anew for each network."""

from __future__ import annotations

from fault import Fault

DATA_FAULTS = [
    Fault(
        "data of the next network",
        "spec/teachers.py",
        "(int(stream) << 192) + (network << 128)",
        "(int(stream) << 192) + ((network + 1) << 128)",
        "spec/test_data_anew.py::test_numbers_of_a_network_by_the_address_of_its_streams",
    ),
    Fault(
        "networks trained on the data of their place in a wave",
        "samplers/trained.py",
        "self.sets_of(wave.first + place)",
        "self.sets_of(place)",
        "pipeline/test_data_anew.py::test_stops_waves_and_threads_do_not_change_a_bit",
    ),
    Fault(
        "test errors on the data of network 0",
        "samplers/trained.py",
        "(*self.mesh, *sets.test)",
        "(*self.mesh, *self.sets.test)",
        "pipeline/test_data_anew.py::test_a_network_is_that_trained_alone_on_its_data",
    ),
    Fault(
        "information on the inputs of network 0",
        "samplers/renormalized.py",
        "self._inputs_of(network)",
        "self._inputs_of(0)",
        "pipeline/test_data_anew.py::test_a_network_is_that_trained_alone_on_its_data",
    ),
    Fault(
        "limit of the step from the data of network 0",
        "pipeline/train_setup.py",
        "inputs = data_of_network(spec, network).train_inputs",
        "inputs = data_of_network(spec, 0).train_inputs",
        "pipeline/test_data_anew.py::test_the_limit_of_the_step_is_that_of_the_first_networks_on_their_data",
    ),
]
