"""Keys and tags of random streams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnft._kernels.reference_random import Stream, words_reference
from nnft.errors import UsageError
from nnft.streams import LAYER_LIMIT, SEED_LIMIT, Purpose, philox4x32, stream_key, stream_tag

# Random123 (Salmon, Moraes, Dror, Shaw, SC11), file kat_vectors, lines of philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_published_vectors(
    counter: tuple[int, int, int, int], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert philox4x32(counter, key) == expected


def test_the_vectorised_twin_is_the_same_function() -> None:
    rng = np.random.default_rng(20240601)
    for _ in range(100):
        key, network = (int(k) for k in rng.integers(0, 1 << 63, size=2))
        tag, block = int(rng.integers(0, 1 << 16)), int(rng.integers(0, 1 << 47))
        counter = block & 0xFFFFFFFF, block >> 32 | tag << 16, network & 0xFFFFFFFF, network >> 32
        expected = philox4x32(counter, (key & 0xFFFFFFFF, key >> 32))
        assert tuple(words_reference(Stream(key, network, tag), block, 1)[0].tolist()) == expected


def test_key_of_seed_zero_is_the_published_block() -> None:
    assert stream_key(0) == 0x6627E8D5 | 0xE169C58D << 32


def test_every_bit_of_the_seed_matters() -> None:
    seeds = [0, SEED_LIMIT - 1, *(1 << b for b in range(128)), *(SEED_LIMIT - 1 ^ 1 << b for b in range(128))]
    assert len({stream_key(seed) for seed in seeds}) == len(seeds)


def test_small_seeds_have_different_keys() -> None:
    assert len({stream_key(seed) for seed in range(10_000)}) == 10_000


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, 10**60])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(UsageError, match="seed out of range"):
        stream_key(seed)


def test_tags_are_different_and_fit_sixteen_bits() -> None:
    tags = [stream_tag(p, layer) for p, layer in itertools.product(Purpose, range(LAYER_LIMIT))]
    assert len(set(tags)) == len(tags) == len(Purpose) * LAYER_LIMIT
    assert max(tags) < 1 << 16


@pytest.mark.parametrize("layer", [-1, LAYER_LIMIT])
def test_layer_out_of_range(layer: int) -> None:
    with pytest.raises(UsageError, match="layer out of range"):
        stream_tag(Purpose.WEIGHTS, layer)
