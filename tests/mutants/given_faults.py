"""Faults of networks whose weights are given."""

from __future__ import annotations

from fault import Fault

_SPEC, _RUNS = "spec/test_given_weights.py::", "pipeline/test_given.py::"

GIVEN_FAULTS = [
    Fault(
        "given networks are those of their place in a wave",
        "samplers/given.py",
        "self._fill(first + place, theta[place])",
        "self._fill(place, theta[place])",
        _RUNS + "test_law_of_the_readout_of_each_network",
    ),
    Fault(
        "given biases of a law before its weights",
        "samplers/given.py",
        "biases = drawn[used : used + rows * (columns - fan_in)]",
        "biases = drawn[used - rows * fan_in : used - rows * fan_in + rows * (columns - fan_in)]",
        _RUNS + "test_law_of_the_readout_of_each_network",
    ),
    Fault(
        "given covariance taken for its root",
        "spec/given_weights.py",
        "return mean, np.stack([covariance_root(*pair) for pair in zip(matrices, names, strict=True)])",
        "return mean, matrices",
        _RUNS + "test_law_of_all_weights",
    ),
    Fault(
        "given covariance of negative eigenvalues",
        "spec/covariance_root.py",
        "np.abs(correlation - root @ root.T).max() > 4.0 * tolerance",
        "False",
        _SPEC + "test_faults_name_array_and_file",
    ),
    Fault(
        "given law without the scales of its weights",
        "spec/covariance_root.py",
        "scale = np.where(spread > 0.0, spread, 1.0)",
        "scale = np.full_like(spread, spread.max() or 1.0)",
        _SPEC + "test_root_of_a_covariance",
    ),
    Fault(
        "given arrays that no layer takes",
        "spec/given_weights.py",
        "if name not in known and name not in LAW:",
        "if False:",
        _SPEC + "test_faults_name_array_and_file",
    ),
    Fault(
        "given weights under the digest of others",
        "spec/given.py",
        "if wanted is not None and not found.sha256.startswith(wanted):",
        "if False:",
        _SPEC + "test_resolved_card_names_the_whole_path_and_the_digest",
    ),
    Fault(
        "given weights that are in no digest of a run",
        "spec/given.py",
        'return {_KEY: f"given weights, sha256 {_sha256(spec, spec.training)}"}',
        "return {}",
        _SPEC + "test_digest_knows_every_number",
    ),
]
