"""Noisy linear imputation: removed positions as the weighted mean of their neighbors."""

import itertools
from collections.abc import Iterator

import numpy as np


def imputed(x: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Solves the linear system in which each removed position is the weighted mean of its neighbors.

    A neighbor that differs in one axis weighs 1, in two axes 1/2, in three 1/3: in images 1/6 and 1/12 of the whole, as in the source; in
    series, 1/2 for each neighbor, so that gaps are interpolated linearly. At the border the weights of the present neighbors are scaled up.

    Source: [Rong et al., 2022](https://arxiv.org/abs/2202.00449), "noisy linear imputation".

    Args:
        x: A sample `(*places, channels)`.
        removed: Booleans `(*places)`.

    Returns:
        The values of the removed positions in float64, `(k, channels)`, in the order of `x[removed]`; the mean of each channel if all
        positions are removed.
    """
    if removed.all():
        return np.broadcast_to(x.reshape(-1, x.shape[-1]).mean(axis=0, dtype="float64"), (removed.size, x.shape[-1]))
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    unknown = np.argwhere(removed)
    count = len(unknown)
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    total, known_part = np.zeros(count), np.zeros((count, x.shape[-1]))
    entries: list[tuple] = []
    for offset, weight in _neighbors(removed.ndim):
        there = unknown + offset
        owners = np.flatnonzero(((there >= 0) & (there < removed.shape)).all(axis=1))
        neighbors = tuple(there[owners].T)
        total[owners] += weight
        others = number[neighbors]
        known = others < 0
        known_part[owners[known]] += weight * x[neighbors][known]
        entries.append((owners[~known], others[~known], np.full((~known).sum(), -weight)))
    entries.append((np.arange(count), np.arange(count), total))
    rows, columns, weights = map(np.concatenate, zip(*entries, strict=True))
    matrix = coo_matrix((weights, (rows, columns)), (count, count)).tocsc()
    return spsolve(matrix, known_part).reshape(count, -1)


def _neighbors(num_axes: int) -> Iterator[tuple[tuple[int, ...], float]]:
    for offset in itertools.product((-1, 0, 1), repeat=num_axes):
        moves = sum(map(abs, offset))
        if moves:
            yield offset, 1 / moves
