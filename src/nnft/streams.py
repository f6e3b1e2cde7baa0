"""Addresses of random numbers: (seed, network index, purpose) names a stream, nothing else does.

A stream is the Philox4x32-10 generator (Salmon, Moraes, Dror, Shaw, SC11) with

* key: 64 bits made from the seed by one Philox block, so that all 128 bits of a seed matter;
* counter words 2, 3: the network index;
* counter word 1, upper half: the tag, purpose * 4096 + layer;
* counter word 1, lower half, and word 0: the block within the stream, 48 bits.

Distinct addresses are distinct counters under one key, so no two streams of a seed overlap.
"""

from __future__ import annotations

from enum import IntEnum

from nnft.errors import UsageError, shorten

SEED_LIMIT = 1 << 128
LAYER_LIMIT = 4096
_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


class Purpose(IntEnum):
    """What a stream is for; the numbers are those of the C core."""

    WEIGHTS = 1
    BIASES = 2
    COLLAPSED = 3
    READOUT = 4
    WAVES = 15


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the four words of one block of Philox4x32-10.

    Parameters
    ----------
    counter : tuple of int
        Four 32-bit words.
    key : tuple of int
        Two 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & _MASK, p0 >> 32 ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def stream_key(seed: int) -> int:
    """Return the 64-bit key of a seed.

    Parameters
    ----------
    seed : int
        0 to 2^128 - 1.

    Raises
    ------
    UsageError
        If the seed is out of range.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"seed out of range: got {shorten(seed)}; allowed 0 to 2^128 - 1")
    words = tuple(seed >> 32 * k & _MASK for k in range(4))
    first, second, _, _ = philox4x32((words[0], words[1], words[2], words[3]), (0, 0))
    return first | second << 32


def stream_tag(purpose: Purpose, layer: int) -> int:
    """Return the tag of a stream, purpose * 4096 + layer.

    Raises
    ------
    UsageError
        If the layer is out of range.
    """
    if not 0 <= layer < LAYER_LIMIT:
        allowed = f"allowed 0 to {LAYER_LIMIT - 1}"
        raise UsageError(f"layer out of range in a random stream: got {layer}; {allowed}")
    return int(purpose) << 12 | layer
