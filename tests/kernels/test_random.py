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
    middle = [0, 1 << 31]  # y = 0, so that the pair is (radius, 0)
    for word, uniform in ((0, smallest), (0xFFFFFFFF, largest)):
        wanted = [word, word, *middle] if precision == "float64" else [word, 1 << 31, word, 1 << 31]
        for cosine, sine in crafted(wanted, precision, isa):
            radius = math.sqrt(-2.0 * math.log(uniform))
            assert sine == 0.0
            assert abs(cosine - radius) <= 2 * EPSILON[precision] * radius


@pytest.mark.parametrize("isa", ISAS)
def test_the_lowest_bits_of_the_uniforms_are_used(isa: str) -> None:
    """Next to zero one unit of the uniform is visible in the normal, so that no bit can be dropped."""
    for k in (0, 1, 2):
        ((cosine, _),) = crafted([k << 12, 0, 0, 1 << 31], "float64", isa)
        assert cosine == pytest.approx(math.sqrt(-2.0 * math.log((2 * k + 1) * 2.0**-53)), rel=1e-15)
        ((_, sine),) = crafted([0, 0, k << 12, 1 << 31], "float64", isa)
        assert sine == pytest.approx(math.sqrt(106 * math.log(2)) * math.pi / 4 * k * 2.0**-51, rel=1e-15)
        for cosine, _ in crafted([k, 1 << 31, k, 1 << 31], "float32", isa):
            assert cosine == pytest.approx(math.sqrt(-2.0 * math.log((k + 0.5) * 2.0**-32)), rel=4e-7)
        for _, sine in crafted([0, k << 9 | 1 << 31, 0, k << 9 | 1 << 31], "float32", isa):
            assert sine == pytest.approx(math.sqrt(66 * math.log(2)) * math.pi / 4 * k * 2.0**-22, rel=4e-7)


def test_reflections_complete_the_circle() -> None:
    base = [1 << 20, 0, 1 << 28, 0xC0000000]
    ((first, second),) = crafted(base, "float64", "auto")
    for bits, expected in ((1, (second, first)), (2, (-first, second)), (3, (second, -first))):
        ((a, b),) = crafted([base[0], base[1], base[2] | bits, base[3]], "float64", "auto")
        assert (a, b) == expected
        ((c, d), _) = crafted([base[0], base[3] | bits] * 2, "float32", "auto")
        ((e, f), _) = crafted([base[0], base[3]] * 2, "float32", "auto")
        assert (c, d) == {1: (f, e), 2: (-e, f), 3: (f, -e)}[bits]


# ---- R08: known normals ----

FROZEN: dict[str, list[str]] = {
    "float64": [
        "-0x1.3d2b359ac08adp+0", "-0x1.f5eb110da6271p-6", "0x1.e20f20eaa0d8fp-2", "-0x1.b7bcac7ae4cbcp-1",
        "0x1.a7b596a20c40fp-4", "0x1.2abf688e40917p+1", "-0x1.ba56f4a8cedd3p-2", "-0x1.9df3f56052e0ep-1",
        "0x1.57d44d821ab69p+0", "-0x1.a49615574789cp-3", "0x1.1fad98aed5b31p+1", "0x1.121962396212dp+0",
        "-0x1.134de817a489cp+0", "0x1.ac074fd21898dp-1", "0x1.38b756217bcb0p-3", "-0x1.a4cb31554d922p-1",
        "0x1.b92a966e22393p-3", "-0x1.8f2ddc4ca861bp-3", "0x1.4be7550d16e71p-5", "0x1.f2a66cb84e89cp+0",
        "0x1.109286e52149ap-1", "0x1.ed76a18c5de88p-2", "0x1.074f1f4e30a02p-1", "0x1.411e446107c44p-5",
        "-0x1.503f53972390ap-2", "-0x1.68c62796fa47ep-1", "-0x1.9b31e91564cfcp-3", "-0x1.419a2a4680002p-1",
        "-0x1.fc98c18c5b2c6p-2", "-0x1.296e666008652p-4", "0x1.a256f24c50002p+0", "-0x1.96b5b5f01f204p+0",
        "0x1.932c5b0417f10p+0", "0x1.1a8dbf095d8fap-1", "0x1.f69dd64431fcfp-1", "0x1.535fc465fcdcfp-1",
        "-0x1.daa0e9ecd3367p-1", "-0x1.063ecccaec4b5p-2", "0x1.c0f8b9bf1d28ap+0", "0x1.928f361fe9722p+0",
        "0x1.9a8da392e5492p+0", "-0x1.fa931ec9e32e7p-2", "-0x1.109482b4bd37fp+0", "0x1.057a91932011ap-1",
        "0x1.76dccc8a3d4f7p-3", "0x1.38fd905bd0066p+0", "0x1.a759e951e062bp-1", "0x1.c59086e5ece00p-1",
        "0x1.50963e0592d3fp-1", "0x1.6a9828ae854e3p-1", "0x1.ca9ecb38760f8p-2", "0x1.4c4bf7b685913p+0",
        "-0x1.8829bd75e910fp-1", "-0x1.9471d4037ea09p-1", "-0x1.271aa0064ce8ap-3", "-0x1.14ea386d5fde1p-2",
        "-0x1.3fa66aebb1156p-2", "0x1.f06b41cd28c17p-2", "0x1.e5582efe7a780p-2", "-0x1.394bba4bfb15fp+0",
        "-0x1.80b3569f40772p-2", "0x1.ad772ce056314p-1", "-0x1.75d189545400fp-2", "-0x1.0de43bb76610dp+0",
    ],
    "float32": [
        "-0x1.6002c60000000p+0", "0x1.6430fc0000000p-2", "-0x1.51a5820000000p-1", "-0x1.9432140000000p-4",
        "0x1.4b13080000000p-3", "-0x1.a9f7de0000000p+0", "0x1.f018aa0000000p+0", "0x1.5aea0e0000000p-6",
        "0x1.57ef140000000p+0", "0x1.885b580000000p+0", "0x1.b790700000000p-1", "-0x1.6079400000000p-1",
        "0x1.be17440000000p-2", "0x1.3eb0120000000p-1", "-0x1.034a680000000p-1", "0x1.c0697c0000000p-1",
        "-0x1.4a59aa0000000p+1", "-0x1.7ce44a0000000p-2", "0x1.a7a7820000000p-1", "-0x1.210faa0000000p-1",
        "0x1.c5e23e0000000p+0", "0x1.ece0580000000p+0", "0x1.68ddf40000000p+0", "0x1.dc03780000000p-1",
        "0x1.0fd2d00000000p+0", "0x1.5ba0500000000p-1", "0x1.9bcb420000000p-1", "0x1.061b460000000p+0",
        "0x1.8e107c0000000p-3", "0x1.c8712e0000000p-1", "-0x1.d34a3e0000000p-3", "-0x1.3e51300000000p-2",
        "-0x1.b2cd740000000p-2", "0x1.d568e40000000p+0", "0x1.9196440000000p-3", "-0x1.69a2cc0000000p-1",
        "0x1.0c03d60000000p-2", "-0x1.5faa060000000p+0", "0x1.1c3e060000000p-3", "-0x1.e84e480000000p-1",
        "0x1.edcd7c0000000p-2", "0x1.a782aa0000000p+0", "0x1.b8e0460000000p+0", "-0x1.32709e0000000p-1",
        "0x1.7ad7f80000000p-2", "-0x1.25d1f40000000p-1", "0x1.52ac440000000p-2", "0x1.6d4f160000000p-1",
        "0x1.d759da0000000p-2", "-0x1.1817700000000p-2", "0x1.df4f480000000p-1", "-0x1.c2d55e0000000p-1",
        "-0x1.5c48d20000000p+1", "0x1.f7d8180000000p-2", "0x1.92102c0000000p-2", "-0x1.f0600a0000000p-1",
        "0x1.43f1120000000p-2", "-0x1.d498180000000p-2", "0x1.63dc740000000p-2", "-0x1.db23fc0000000p+0",
        "-0x1.6171ec0000000p-2", "-0x1.62322c0000000p-4", "0x1.0d09c20000000p+0", "0x1.206dea0000000p-6",
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
                uniforms = [((2 * ((w[0] | w[1] << 32) >> 12) + 1, 53), (w[2] | w[3] << 32, 12, 51))]
            else:
                uniforms = [((nearest_float32(w[k]), 33), (w[k + 1], 9, 22)) for k in (0, 2)]
            for j, ((numerator, bits), (angle, drop, scale)) in enumerate(uniforms):
                radius = mp.sqrt(-2 * mp.log(mp.mpf(numerator) / mp.mpf(2) ** bits))
                turn = mp.pi / 4 * (mp.mpf(angle >> drop) / mp.mpf(2) ** scale - 1)
                pair = [radius * mp.cos(turn) * (-1 if angle & 2 else 1), radius * mp.sin(turn)]
                for half in (0, 1):
                    table[b // size, j, half, b % size] = pair[half ^ (angle & 1)]
                    radii[b // size, j, half, b % size] = radius
    return table.ravel().tolist(), radii.ravel().tolist()


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
