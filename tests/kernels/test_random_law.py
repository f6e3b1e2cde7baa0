"""The law of the random words, uniforms and normals, at samples of 2^20."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from draws import normals, words
from scipy.special import gammaincc, ndtr

from nnft._kernels.reference_random import Stream, polar_float64, words_reference

SEED = 20240601
PRECISIONS = ["float64", "float32"]
SAMPLES = 1 << 20
LIMIT = 5.85
SMALLEST_P = 5e-9

Array = npt.NDArray[Any]


def detectable(samples: int) -> float:
    """Shift of a mean in standard deviations that a test at the limit sees almost surely."""
    return (LIMIT + 4.75) / math.sqrt(samples)


def chi_square_p(statistic: float, freedom: int) -> float:
    """Probability of a larger value."""
    return float(gammaincc(freedom / 2, statistic / 2))


def test_every_bit_of_the_words_is_fair() -> None:
    sample = words(Stream(SEED + 4, 0, 0x3001), 0, SAMPLES // 8)
    counts = np.array([[np.count_nonzero(sample[:, w] >> b & 1) for b in range(32)] for w in range(4)])
    z = (counts - SAMPLES / 2) / math.sqrt(SAMPLES / 4)
    assert abs(z[:, [0, 9, 12]]).max() < LIMIT  # the lowest used ones
    p = chi_square_p(float((z**2).sum()), z.size)
    assert SMALLEST_P < p < 1 - SMALLEST_P
    assert detectable(SAMPLES) / 2 < 0.01  # of a probability 1/2


@pytest.fixture(scope="module", params=PRECISIONS)
def sample(request: pytest.FixtureRequest) -> npt.NDArray[np.float64]:
    """2^20 normals of one stream."""
    index = PRECISIONS.index(request.param)
    return normals(Stream(SEED + 5 + index, 1, 0x3001), 0, SAMPLES, request.param).astype(np.float64)


def test_moments(sample: Array) -> None:
    n = len(sample)
    tail = math.erfc(4 / math.sqrt(2))
    z = {
        "mean": sample.mean() * math.sqrt(n),
        "variance": ((sample**2).mean() - 1) * math.sqrt(n / 2),
        "third": (sample**3).mean() * math.sqrt(n / 15),
        "fourth": ((sample**4).mean() - 3) * math.sqrt(n / 96),
        "sign": np.sign(sample).mean() * math.sqrt(n),
        "tail": (np.count_nonzero(abs(sample) > 4) - n * tail) / math.sqrt(n * tail),
    }
    assert max(abs(v) for v in z.values()) < LIMIT, z
    assert detectable(n) * math.sqrt(2) < 2 * 0.01  # a scale wrong by one per cent


def test_kolmogorov_smirnov(sample: Array) -> None:
    """Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of Massart 1990."""
    n = len(sample)
    below = ndtr(np.sort(sample))
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - below).max(), (below - steps[:-1]).max())
    limit = math.sqrt(math.log(2 / SMALLEST_P) / (2 * n))
    assert distance < limit
    assert limit < 0.0032


def test_uniforms_are_uniform() -> None:
    words_of = words_reference(Stream(SEED + 7, 2, 0x3001), 0, SAMPLES)
    polar = polar_float64(words_of)
    steps = np.arange(SAMPLES + 1) / SAMPLES
    for values in (polar.uniform, (polar.eighth + 1) / 2):
        ordered = np.sort(values)
        distance = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
        assert distance < math.sqrt(math.log(2 / SMALLEST_P) / (2 * SAMPLES))
        assert len(np.unique(values)) == SAMPLES  # 1e-4 repeats are expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_correlations_within_and_between_streams(precision: str) -> None:
    """64 neighbouring streams of 16384 normals: lags 1 to 8 inside, shifts -2 to 2 between neighbours."""
    streams = [Stream(SEED + 8, n, 0x3001) for n in range(64)]
    x = np.array([normals(s, 0, 1 << 14, precision) for s in streams], dtype=np.float64)
    squares = (x**2 - 1) / math.sqrt(2)
    z = {}
    for name, values in (("value", x), ("square", squares)):
        for lag in range(1, 9):
            products = values[:, lag:] * values[:, :-lag]
            z[name, "lag", lag] = products.sum() / math.sqrt(products.size)
        for shift in range(-2, 3):
            left = values[:-1, max(0, shift) : values.shape[1] + min(0, shift)]
            right = values[1:, max(0, -shift) : values.shape[1] + min(0, -shift)]
            z[name, "shift", shift] = (left * right).sum() / math.sqrt(left.size)
    assert max(abs(v) for v in z.values()) < LIMIT, z
    assert detectable(63 * (1 << 14)) < 1 / 64  # one stream equal to its neighbour


def test_no_value_repeats() -> None:
    """Two of 2^20 normals in double agree with probability below 1e-3; a reused counter repeats many."""
    x = normals(Stream(SEED + 9, 1, 0x3001), 0, SAMPLES, "float64")
    assert len(np.unique(x)) == SAMPLES
    y = np.array([normals(Stream(SEED + 9, n, 0x3001), 0, 16, "float64") for n in range(4096)]).ravel()
    assert len(np.unique(np.concatenate([x, y[32:]]))) == SAMPLES + len(y) - 32
