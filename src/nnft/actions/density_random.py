"""Random numbers for what is drawn from a density: one seed, one stream for each purpose.

They are NumPy's Philox4x64 with the seed as its key and the purpose in the highest word of the counter, so
that streams of one seed never overlap.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nnft.errors import UsageError, shorten
from nnft.streams import SEED_LIMIT


class Purpose(IntEnum):
    """What a stream is for."""

    WEIGHTED = 1
    RESAMPLED = 2
    COMPARISON = 3
    PERMUTATIONS = 4
    DIRECTIONS = 5


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """Return the generator of a stream.

    Raises
    ------
    UsageError
        If the seed is no integer from 0 to 2^128 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"unusable seed: got {shorten(seed)}; give an integer from 0 to 2^128 - 1")
    return np.random.Generator(np.random.Philox(key=int(seed), counter=int(purpose) << 192))
