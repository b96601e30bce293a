"""Random masks on coarse grids, enlarged and shifted."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.data.layout import Layout


@final
class Grid:
    """The masks of an input: a coarse grid for each, enlarged by linear interpolation and cut out at a random place.

    The grid of s cells along an axis is enlarged to s + 1 cells, of which a part of the length of the axis is cut out, so that the corners
    of cells are not always at the same places. An axis of at most s entries has a cell for each, and no interpolation, as have features of
    a table and tokens.

    Args:
        layout: The layout of the input.
        size: Number of cells along each axis.
    """

    def __init__(self, layout: Layout, size: int):
        self._layout = layout
        self._size = size

    def enlarging(self, shape: Sequence[int]) -> list[np.ndarray]:
        """For each axis of places, the matrix `(enlarged, cells)` of the interpolation; none for features and tokens.

        Args:
            shape: Shape of the samples.
        """
        return [] if self._layout.is_apart else [_interpolation(*self._cells(size)) for size in self._layout.sizes(shape)]

    def drawn(self, shape: Sequence[int], num_samples: int, probability: float, seed: Any) -> tuple[np.ndarray, np.ndarray]:
        """Random masks: their cells `(num_samples, cells)`, true with some probability, and their starts `(num_samples, axes)`.

        Args:
            shape: Shape of the samples.
            num_samples: Number of masks.
            probability: Probability that a cell is shown.
            seed: Seed.
        """
        generator = np.random.default_rng(seed)
        sizes = self._layout.sizes(shape)
        along = [(size, 1) for size in sizes] if self._layout.is_apart else [self._cells(size) for size in sizes]
        starts = [generator.integers(length, size=num_samples) for _, length in along]
        # By cells, so that the masks of the first tokens do not depend on how many there are.
        cells = generator.random((math.prod(count for count, _ in along), num_samples)) < probability
        return cells.T, np.array(starts, "int32").reshape(len(along), num_samples).T

    def masks(self, x: Any, cells: Any, starts: Any, enlarging: Sequence) -> Any:
        """The masks that broadcast with samples.

        Args:
            x: The input, of which only the shape is used.
            cells: Real tensor `(rows, cells)`.
            starts: Integer tensor `(rows, axes)`.
            enlarging: The matrices of `enlarging`.

        Returns:
            A tensor `(rows, *input_shape)` with a channel axis of length 1.
        """
        if self._layout.is_apart:
            return ops.reshape(cells, (-1, *ops.shape(x)[1:]))
        found = ops.reshape(cells, (-1, *(ops.shape(each)[1] for each in enlarging)))
        for axis, (size, matrix) in enumerate(zip(self._layout.sizes(ops.shape(x)), enlarging, strict=True)):
            lines = ops.take(matrix, starts[:, axis, None] + ops.arange(size, dtype="int32"), axis=0)
            others = ops.shape(found)[2:]
            found = ops.matmul(lines, ops.reshape(found, (-1, ops.shape(matrix)[1], math.prod(others))))
            found = ops.moveaxis(ops.reshape(found, (-1, size, *others)), 1, -1)
        return self._layout.restored(found[..., None])

    def _cells(self, size):
        """Number of cells along an axis, and the length of each."""
        count = min(self._size, size)
        return count, -(-size // count)


def _interpolation(count, length):
    """Linear interpolation between the centers of cells, constant outside of them."""
    if length == 1:
        return np.eye(count)
    enlarged = (count + 1) * length
    places = np.clip((np.arange(enlarged) + 0.5) * count / enlarged - 0.5, 0, count - 1)
    return np.maximum(0, 1 - np.abs(places[:, np.newaxis] - np.arange(count)))
