"""Random words and normals bit by bit: published vectors, addresses, exact uniforms, known normals."""

from __future__ import annotations

import hashlib
import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from draws import normals, words

from nnft._kernels import _core
from nnft._kernels.reference_random import (
    BLOCKS_PER_GROUP,
    NORMALS_PER_GROUP,
    Stream,
    normals_reference,
    polar_float32,
    polar_float64,
    words_reference,
)

SEED = 20240601
ISAS = _core.isa_names()
FUSED = [name for name in ISAS if name != "portable"]
PRECISIONS = ["float64", "float32"]
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}

def one_block(stream: Stream, block: int, isa: str = "auto") -> list[int]:
    """The four words of one block."""
    return [int(w) for w in words(stream, block // 8, 1, isa)[block % 8]]


def address(counter: list[int], key: list[int]) -> tuple[Stream, int]:
    """Stream and block number whose Philox counter and key are these words."""
    stream = Stream(key[0] | key[1] << 32, counter[2] | counter[3] << 32, counter[1] >> 16)
    return stream, counter[0] | (counter[1] & 0xFFFF) << 32


def counter_of(wanted: list[int], key: list[int]) -> list[int]:
    """The counter that Philox turns into the wanted words: the ten rounds run backwards."""
    c0, c1, c2, c3 = wanted
    mask = 0xFFFFFFFF
    inverse = [pow(m, -1, 1 << 32) for m in (0xD2511F53, 0xCD9E8D57)]
    for r in range(9, -1, -1):
        k0, k1 = (key[0] + r * 0x9E3779B9) & mask, (key[1] + r * 0xBB67AE85) & mask
        before2, before0 = c1 * inverse[1] & mask, c3 * inverse[0] & mask
        p0, p1 = 0xD2511F53 * before0, 0xCD9E8D57 * before2
        c0, c1, c2, c3 = before0, p1 >> 32 ^ c0 ^ k0, before2, p0 >> 32 ^ c2 ^ k1
    return [c0, c1, c2, c3]


# ---- R01 to R05: words and addresses ----

# Random123 (Salmon, Moraes, Dror, Shaw, SC11), file kat_vectors, lines of philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
    # the same block of the independent package randomgen 2.3.0
    ([1, 0, 0, 0], [0, 0], [0xF8E4CCA4, 0x5CB200DB, 0xB1A574EB, 0x097EFF67]),
]
CARRIES = [[0xFFFFFFFF, 0, 0, 0], [0, 1, 0, 0], [0xFFFFFFFF, 0xFFFF, 7, 9], [0, 0x10000, 0, 0]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_published_vectors(counter: list[int], key: list[int], expected: list[int], isa: str) -> None:
    stream, block = address(counter, key)
    assert one_block(stream, block, isa) == expected
    assert [int(w) for w in words_reference(stream, block, 1)[0]] == expected


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("counter", CARRIES)
def test_words_at_the_carry_of_the_counter(counter: list[int], isa: str) -> None:
    stream, block = address(counter, [0, 0])
    assert one_block(stream, block, isa) == words_reference(stream, block, 1)[0].tolist()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_draw_crosses_block_two_to_the_32(precision: str, isa: str) -> None:
    stream = Stream(0x0123456789ABCDEF, 5, 0x2001)
    start = (1 << 32) // BLOCKS_PER_GROUP[precision] - 20
    found = normals(stream, start, 40 * NORMALS_PER_GROUP[precision], precision, isa)
    expected = normals_reference(stream, start, 40, precision)
    assert np.abs(found - expected).max() < 16 * EPSILON[precision]
    assert np.array_equal(words(stream, (1 << 29) - 2, 4, isa), words_reference(stream, (1 << 32) - 16, 32))


def test_any_element_is_that_of_a_long_draw() -> None:
    stream = Stream(SEED, 3, 0x3002)
    rng = np.random.default_rng(SEED)
    for precision in PRECISIONS:
        size = NORMALS_PER_GROUP[precision]
        long = normals(stream, 0, 4096, precision).reshape(-1, size)
        for group in range(len(long)):
            assert np.array_equal(normals(stream, group, size, precision), long[group])
        for k in rng.integers(0, 1 << 40, size=500).tolist():
            group, offset = max(0, k // size - 3), min(3, k // size)
            around = normals(stream, group, 5 * size, precision).reshape(5, size)
            assert np.array_equal(normals(stream, k // size, size, precision), around[offset])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_cut_of_a_draw_gives_the_same_bits(precision: str) -> None:
    stream = Stream(SEED + 1, 1 << 40, 0x1001)
    size, groups = NORMALS_PER_GROUP[precision], 200
    whole = normals(stream, 7, groups * size, precision).tobytes()
    rng = np.random.default_rng(SEED + 1)
    for _ in range(250):
        cuts = [0, *np.sort(rng.integers(0, groups + 1, size=4)).tolist(), groups]
        pieces = [
            normals(stream, 7 + a, (b - a) * size, precision) for a, b in itertools.pairwise(cuts)
        ]
        assert b"".join(p.tobytes() for p in pieces) == whole


def test_streams_share_no_block() -> None:
    """Philox is a bijection for each key: equal outputs would be equal counters."""
    rng = np.random.default_rng(SEED + 2)
    tags = [purpose << 12 | layer for purpose in (1, 2, 3, 4) for layer in range(8)]
    near = [Stream(SEED, network, tag) for network in range(64) for tag in tags]
    networks = rng.integers(64, 1 << 62, size=2048).tolist()
    any_tags = rng.integers(0, 1 << 16, size=2048).tolist()
    far = [Stream(SEED, network, tag) for network, tag in zip(networks, any_tags, strict=True)]
    blocks = np.concatenate([words(stream, 0, 32) for stream in near + far])
    assert len(blocks) == 4096 * 256
    assert len(np.unique(np.ascontiguousarray(blocks).view("V16"))) == len(blocks)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_avx2_and_avx512_give_the_same_bits(precision: str) -> None:
    stream = Stream(SEED + 3, 11, 0x3001)
    draws = {isa: normals(stream, 1 << 20, 1 << 18, precision, isa) for isa in ISAS}
    digests = {hashlib.sha256(draws[isa].tobytes()).hexdigest() for isa in FUSED}
    assert len(digests) <= 1
    for isa in FUSED:  # the portable version may have no fused multiply-add
        assert np.abs(draws[isa] - draws["portable"]).max() < 16 * EPSILON[precision]


# ---- R06, R07: the exact uniforms ----

CRAFTED_KEY = [0x9E3779B9, 0x7F4A7C15]


def crafted(wanted: list[int], precision: str, isa: str) -> list[tuple[float, float]]:
    """The pairs of normals of a block that has the wanted words."""
    counter = counter_of(wanted, CRAFTED_KEY)
    stream, block = address(counter, CRAFTED_KEY)
    assert one_block(stream, block, isa) == wanted
    size = BLOCKS_PER_GROUP[precision]
    group = normals(stream, block // size, NORMALS_PER_GROUP[precision], precision, isa)
    table = group.reshape(-1, 2, size)
    return [(float(table[k, 0, block % size]), float(table[k, 1, block % size])) for k in range(len(table))]


def test_extreme_uniforms_are_neither_zero_nor_one() -> None:
    extremes = np.array([[0, 0, 0, 0], [0xFFFFFFFF] * 4], dtype=np.uint64)
    double = polar_float64(extremes)
    assert [u.hex() for u in double.uniform] == [(2.0**-53).hex(), (1.0 - 2.0**-53).hex()]
    assert [y.hex() for y in double.eighth] == [(-1.0).hex(), (1.0 - 2.0**-51).hex()]
    single = polar_float32(extremes[:, 0], extremes[:, 1])
    assert [u.hex() for u in single.uniform] == [(2.0**-33).hex(), (1.0 - 2.0**-24).hex()]
    assert [y.hex() for y in single.eighth] == [(-1.0).hex(), (1.0 - 2.0**-22).hex()]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("precision", "smallest", "largest"),
    [("float64", 2.0**-53, 1 - 2.0**-53), ("float32", 2.0**-33, 1 - 2.0**-24)],
)
def test_normals_of_the_extreme_words(precision: str, smallest: float, largest: float, isa: str) -> None:
    middle = [0, 1 << 19]  # y = 0, so that the pair is (radius, 0)
    for word, uniform in ((0, smallest), (0xFFFFFFFF, largest)):
        wanted = [word, word, *middle] if precision == "float64" else [word, 1 << 22, word, 1 << 22]
        for cosine, sine in crafted(wanted, precision, isa):
            radius = math.sqrt(-2.0 * math.log(uniform))
            assert sine == 0.0
            assert abs(cosine - radius) <= 2 * EPSILON[precision] * radius


@pytest.mark.parametrize("isa", ISAS)
def test_the_lowest_bits_of_the_uniforms_are_used(isa: str) -> None:
    """Next to zero one unit of the uniform is visible in the normal, so that no bit can be dropped."""
    for k in (0, 1, 2):
        ((cosine, _),) = crafted([k, 0, 0, 1 << 19], "float64", isa)
        assert cosine == pytest.approx(math.sqrt(-2.0 * math.log((2 * k + 1) * 2.0**-53)), rel=1e-15)
        ((_, sine),) = crafted([0, 0, k, 1 << 19], "float64", isa)
        assert sine == pytest.approx(math.sqrt(106 * math.log(2)) * math.pi / 4 * k * 2.0**-51, rel=1e-15)
        for cosine, _ in crafted([k, 1 << 22, k, 1 << 22], "float32", isa):
            assert cosine == pytest.approx(math.sqrt(-2.0 * math.log((k + 0.5) * 2.0**-32)), rel=4e-7)
        for _, sine in crafted([0, k | 1 << 22, 0, k | 1 << 22], "float32", isa):
            assert sine == pytest.approx(math.sqrt(66 * math.log(2)) * math.pi / 4 * k * 2.0**-22, rel=4e-7)


def test_reflections_complete_the_circle() -> None:
    base = [1 << 20, 0, 1 << 28, 0x000C0000]
    ((first, second),) = crafted(base, "float64", "auto")
    for bits, expected in ((1, (second, first)), (2, (-first, second)), (3, (second, -first))):
        ((a, b),) = crafted([base[0], base[1], base[2], base[3] | bits << 30], "float64", "auto")
        assert (a, b) == expected
        ((c, d), _) = crafted([base[0], base[3] | bits << 30] * 2, "float32", "auto")
        ((e, f), _) = crafted([base[0], base[3]] * 2, "float32", "auto")
        assert (c, d) == {1: (f, e), 2: (-e, f), 3: (f, -e)}[bits]


# ---- R08: known normals ----

FROZEN: dict[str, list[str]] = {
    "float64": [
        "0x1.ed83b24365d80p-1", "0x1.031fe3bc7580fp-1", "-0x1.6f59eb4af2e36p+0", "0x1.2d8f402660756p-1",
        "-0x1.a6299cbc250a5p+0", "-0x1.d3bea1b1dad06p-1", "-0x1.6d3e2584ddf24p-2", "0x1.5dfe53519c101p+0",
        "-0x1.52bf766791469p-1", "0x1.8ef8d177b3636p-1", "-0x1.b5f9cf01eb154p-3", "-0x1.856178dbf9982p-2",
        "-0x1.5f5a501771ebcp+0", "0x1.3bf1b14861facp-1", "0x1.5d8505a003eb3p-2", "-0x1.24b2e4f088853p-2",
        "0x1.e5fe45437e346p+0", "-0x1.a5fb7ec264c6cp-2", "-0x1.aa542895f2497p-3", "0x1.3a023c9a92519p-3",
        "0x1.819e1f63492dfp+0", "-0x1.f6d6e17df3f36p-1", "-0x1.61fabf840c78fp+0", "-0x1.d5b6d4951418dp-1",
        "-0x1.1e53a0cc09690p+1", "0x1.467bef1b0a43ep+0", "-0x1.9218797fb3e08p-4", "0x1.4a34fdcbab6f8p+0",
        "-0x1.cc1dd9bdf8534p-3", "0x1.012e9bd35726bp+0", "-0x1.36ca151a23f5fp+0", "-0x1.085abcda15e4dp-2",
        "-0x1.0182febf5c53ap-2", "0x1.69738d875288bp+0", "-0x1.b843c3566ea1bp-1", "0x1.e1826e787cdb8p-1",
        "-0x1.1572b57fd05c1p+1", "0x1.96a17d327a48fp-3", "0x1.c1efcc48f0928p-1", "0x1.fce4446d15f52p-2",
        "-0x1.0ea1abaedfd6fp+0", "-0x1.054b290304939p-1", "-0x1.905acb46ea2f0p+0", "-0x1.b0bd2de1ebbdbp+0",
        "-0x1.2be89fab000e0p-1", "0x1.9ada6d95965bcp+0", "-0x1.ac0f99fb30508p+0", "-0x1.0484ba6405040p+0",
        "0x1.96861b4b037e7p+0", "-0x1.6fcc267c31b44p-1", "-0x1.1edd7b8d79f9ap-1", "0x1.b5657f2492d1fp+0",
        "0x1.bcbc3dfffd70bp-1", "0x1.455316318207ap+1", "0x1.a6c3d31f45504p-2", "-0x1.29cdebcd52fd1p-1",
        "-0x1.8eae95a2e5c00p+0", "-0x1.e357f2b1330e2p+0", "-0x1.167f9148f376ap+0", "0x1.412a01525b551p-1",
        "0x1.574db5d66c3f8p-1", "-0x1.37b79025fe254p+0", "0x1.4fcaed66a60eep+0", "0x1.6c82a3f3ad268p+0",
    ],
    "float32": [
        "0x1.748b560000000p+1", "-0x1.3edca20000000p-2", "0x1.056cc40000000p+0", "0x1.6718320000000p-4",
        "-0x1.bd2cdc0000000p+0", "0x1.36daf20000000p+1", "0x1.a7e7080000000p+0", "-0x1.d894540000000p-1",
        "-0x1.3528b40000000p+0", "0x1.0a286e0000000p+0", "-0x1.e226420000000p-3", "0x1.e2c3680000000p-1",
        "0x1.acb1680000000p-3", "0x1.2879340000000p-2", "0x1.a074a20000000p-2", "0x1.d6af6a0000000p-2",
        "-0x1.22a6880000000p-2", "-0x1.9ca5c00000000p-2", "0x1.1baa080000000p-2", "0x1.21fd780000000p-1",
        "0x1.86bc500000000p-2", "0x1.851cb60000000p-1", "-0x1.bb71de0000000p+0", "-0x1.d0c3960000000p-4",
        "-0x1.36cde00000000p+0", "-0x1.509f680000000p+0", "-0x1.27118a0000000p+0", "-0x1.9766f80000000p-1",
        "-0x1.b6f01a0000000p-2", "-0x1.0c4b540000000p+0", "-0x1.8367400000000p-2", "0x1.9d8b480000000p-1",
        "0x1.0e9ee60000000p-1", "0x1.542bd40000000p-1", "-0x1.d1ea700000000p-1", "0x1.19d4940000000p+0",
        "-0x1.44c3d20000000p+1", "-0x1.3189920000000p+0", "-0x1.8a6dbe0000000p-2", "0x1.4fa68e0000000p+0",
        "-0x1.cf1fda0000000p-3", "-0x1.23d0ba0000000p+0", "-0x1.6ada340000000p+0", "-0x1.13ada80000000p-1",
        "0x1.ecf0780000000p-2", "-0x1.c548560000000p-3", "-0x1.15106e0000000p+0", "-0x1.125c400000000p-1",
        "-0x1.57ec2c0000000p-2", "0x1.bb14640000000p+0", "-0x1.2d98280000000p-2", "0x1.fef7440000000p-3",
        "-0x1.0466ac0000000p+0", "-0x1.adcb520000000p-1", "0x1.44379e0000000p-3", "0x1.71c9340000000p-2",
        "-0x1.0fa4700000000p-1", "0x1.4886660000000p+0", "0x1.09c0cc0000000p+0", "0x1.dfd4100000000p+0",
        "-0x1.3f1a540000000p-3", "0x1.12ae000000000p-1", "-0x1.a63c2a0000000p-3", "-0x1.e2bc240000000p-2",
    ],
}
KNOWN = Stream(0x0123456789ABCDEF, 42, 0x3001)


def exact_normals(precision: str) -> tuple[list[mp.mpf], list[mp.mpf]]:
    """The first 64 normals of the stream KNOWN with their radii, from the words with mpmath."""
    blocks, size = 64 // 2 if precision == "float64" else 16, BLOCKS_PER_GROUP[precision]
    sample = words_reference(KNOWN, 0, blocks).tolist()
    table = np.empty((blocks // size, 1 if precision == "float64" else 2, 2, size), dtype=object)
    radii = np.empty_like(table)
    with mp.workdps(40):
        for b, w in enumerate(sample):
            if precision == "float64":
                uniforms = [((2 * (low_bits(w[0] | w[1] << 32, 52)) + 1, 53), (w[2] | w[3] << 32, 52))]
            else:
                uniforms = [((nearest_float32(w[k]), 33), (w[k + 1], 23)) for k in (0, 2)]
            for j, ((numerator, bits), (angle, kept)) in enumerate(uniforms):
                top = 64 if kept == 52 else 32
                swap, negative = (angle >> (top - 2)) & 1, angle >> (top - 1)
                radius = mp.sqrt(-2 * mp.log(mp.mpf(numerator) / mp.mpf(2) ** bits))
                turn = mp.pi / 4 * (mp.mpf(low_bits(angle, kept)) / mp.mpf(2) ** (kept - 1) - 1)
                pair = [radius * mp.cos(turn) * (-1 if negative else 1), radius * mp.sin(turn)]
                for half in (0, 1):
                    table[b // size, j, half, b % size] = pair[half ^ swap]
                    radii[b // size, j, half, b % size] = radius
    return table.ravel().tolist(), radii.ravel().tolist()


def low_bits(word: int, count: int) -> int:
    """The lowest bits of a word."""
    return word & ((1 << count) - 1)


def nearest_float32(word: int) -> int:
    """2 (word + 1/2) where the sum is rounded to 24 bits, ties to even, after the word itself was."""

    def rounded(doubled: int) -> int:
        drop = max(0, doubled.bit_length() - 24)
        quotient, rest = divmod(doubled, 1 << drop)
        half = 1 << drop >> 1
        up = drop > 0 and (rest > half or (rest == half and quotient % 2 == 1))
        return quotient + up << drop

    return min(rounded(rounded(2 * word) + 1), 2 * 4294967040)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_normals_against_mpmath(precision: str, isa: str) -> None:
    """Error within 2.5 units in the last place of the radius, without fused multiply-add 4 epsilon."""
    found = normals(KNOWN, 0, 64, precision, isa)
    for value, exact, radius in zip(found.tolist(), *exact_normals(precision), strict=True):
        unit = 2.0 ** math.floor(math.log2(radius))
        limit = 2.5 * unit if isa in FUSED else 4.0 * max(1.0, unit)
        assert abs(mp.mpf(value) - exact) <= limit * EPSILON[precision]


@pytest.mark.parametrize("isa", FUSED)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_frozen_normals(precision: str, isa: str) -> None:
    assert [x.hex() for x in normals(KNOWN, 0, 64, precision, isa).tolist()] == FROZEN[precision]
