"""Plain NumPy twins of the random streams: Philox4x32-10 words and Box-Muller normals.

Block number `b` of the stream (key, network, tag) is the Philox block with counter words
b mod 2^32, (b >> 32) + tag * 2^16, network mod 2^32, network >> 32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
WordArray = npt.NDArray[np.uint64]

_MANTISSA = np.uint64(2**52 - 1)
_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10

BLOCKS_PER_GROUP = {"float64": 8, "float32": 16}
NORMALS_PER_GROUP = {"float64": 16, "float32": 64}
LARGEST_FLOAT32_WORD = 4294967040.0


class Stream(NamedTuple):
    """Address of a stream.

    Attributes
    ----------
    key : int
        64 bits.
    network : int
        64 bits.
    tag : int
        purpose * 4096 + layer.
    """

    key: int
    network: int
    tag: int


class Polar(NamedTuple):
    """What Box-Muller makes of random bits.

    Attributes
    ----------
    uniform : ndarray of float64
        In (0, 1); the radius is sqrt(-2 log(uniform)).
    eighth : ndarray of float64
        In [-1, 1); the angle is pi/4 times it.
    swap, negative : ndarray of bool
        Whether sine and cosine change places, and whether the cosine is negated first.
    """

    uniform: FloatArray
    eighth: FloatArray
    swap: npt.NDArray[np.bool_]
    negative: npt.NDArray[np.bool_]


def words_reference(stream: Stream, first: int, count: int) -> WordArray:
    """Return the words of blocks first .. first+count-1 of a stream, shape (count, 4)."""
    block = np.arange(first, first + count, dtype=np.uint64)
    c0, c1 = block & _LOW, block >> np.uint64(32) | np.uint64(stream.tag << 16)
    c2 = np.full(count, stream.network & 0xFFFFFFFF, dtype=np.uint64)
    c3 = np.full(count, stream.network >> 32, dtype=np.uint64)
    k0, k1 = stream.key & 0xFFFFFFFF, stream.key >> 32
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = p1 >> np.uint64(32) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = p0 >> np.uint64(32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1)


def _bit(words: WordArray, bit: int) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = (words >> np.uint64(bit) & np.uint64(1)) != 0
    return flags


def polar_float64(words: WordArray) -> Polar:
    """Return the exact uniforms of blocks of words, (count, 4): one pair of normals for each block.

    Words 0, 1 make 64 bits of which the lower 52 are k of u = (2k+1)/2^53; words 2, 3 likewise make
    y = -1 + m/2^51, and the two highest bits are the reflections.
    """
    radius = words[:, 0] | words[:, 1] << np.uint64(32)
    angle = words[:, 2] | words[:, 3] << np.uint64(32)
    uniform = (2 * (radius & _MANTISSA) + np.uint64(1)).astype(np.float64) * 2.0**-53
    eighth = (angle & _MANTISSA).astype(np.float64) * 2.0**-51 - 1.0
    return Polar(uniform, eighth, _bit(angle, 62), _bit(angle, 63))


def polar_float32(radius: WordArray, angle: WordArray) -> Polar:
    """Return the uniforms of single words: u = (w + 1/2)/2^32 in float32, y = -1 + m/2^22.

    m are the lower 23 bits of the angle word, the reflections its two highest ones.
    """
    rounded = radius.astype(np.float32) + np.float32(0.5)
    uniform = np.minimum(rounded, np.float32(LARGEST_FLOAT32_WORD)).astype(np.float64) * 2.0**-32
    eighth = (angle & np.uint64(0x7FFFFF)).astype(np.float64) * 2.0**-22 - 1.0
    return Polar(uniform, eighth, _bit(angle, 30), _bit(angle, 31))


def box_muller(polar: Polar) -> tuple[FloatArray, FloatArray]:
    """Return the two normals of each set of uniforms, in float64."""
    radius = np.sqrt(-2.0 * np.log(polar.uniform))
    sine = radius * np.sin(np.pi / 4 * polar.eighth)
    cosine = radius * np.cos(np.pi / 4 * polar.eighth)
    cosine = np.where(polar.negative, -cosine, cosine)
    return np.where(polar.swap, sine, cosine), np.where(polar.swap, cosine, sine)


def normals_reference(stream: Stream, group: int, groups: int, precision: str) -> FloatArray:
    """Return the normals of some groups of a stream, in float64 whatever the precision.

    Parameters
    ----------
    stream : Stream
    group, groups : int
        First group and number of groups.
    precision : {'float64', 'float32'}
        Decides the layout and the uniforms. A group has 16 or 64 normals from 8 or 16 blocks: all
        first ones of the pairs, then all second ones; for float32 first the pairs of words 0 and 1,
        then those of words 2 and 3.
    """
    size = BLOCKS_PER_GROUP[precision]
    words = words_reference(stream, group * size, groups * size)
    if precision == "float64":
        pairs = [box_muller(polar_float64(words))]
    else:
        pairs = [box_muller(polar_float32(words[:, k], words[:, k + 1])) for k in (0, 2)]
    parts: list[Any] = [half.reshape(groups, size) for pair in pairs for half in pair]
    return np.concatenate(parts, axis=1).ravel()
