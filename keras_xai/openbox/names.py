"""Names of regions."""

import hashlib
from collections.abc import Sequence

import numpy as np
from keras import ops


def names_of(patterns: Sequence, count: int) -> np.ndarray:
    """128-bit names of `count` patterns, as strings. Two different patterns share a name with probability 1e-38."""
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(count)]
    for pattern in patterns:
        for digest, row in zip(hashes, ops.convert_to_numpy(pattern), strict=True):
            digest.update(repr(row.shape).encode())
            digest.update(row.tobytes())
    return np.array([digest.hexdigest() for digest in hashes])
