"""The normals of all walls of a polytope: one derivative for each input dimension or for each wall, whichever are fewer."""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_xai.backend import Linearization, folded, stacked

# Threshold for the norm of a wall's normal, relative to the largest in its layer; smaller norms are rounding error.
_ROUNDING = 16


def lengths(line_at: Callable, line: Linearization, inputs, norm: float, width: int) -> list:
    """Norms of the normals of all walls, in tensors of the shapes of `line.outputs`.

    Args:
        line_at: Maps inputs to the `Linearization` of their constraint tensors.
        line: The linearization at `inputs`.
        inputs: The samples.
        norm: 1, 2 or infinity.
        width: Number of derivatives computed at once; memory grows with it.
    """
    sizes = [size_of(wall) for wall in line.outputs]
    if _num_dims(inputs) <= sum(sizes):
        return _lengths_by_dimension(line_at, line, inputs, _NORMS[norm], width)
    return _lengths_by_wall(line_at, line, inputs, _NORMS[norm], width)


def rows(line_at: Callable, line: Linearization, inputs, width: int):
    """The normals of all walls of one sample, `(walls, d)`; arguments as for `lengths`."""
    num_walls, num_dims = sum(size_of(wall) for wall in line.outputs), _num_dims(inputs)
    tiled = line_at([_repeated(x, width) for x in inputs])
    if num_dims <= num_walls:
        push = tiled.push
        columns = stacked(lambda i: _flat_joined(push(_units(inputs, i, width))), -(-num_dims // width), inputs[0].dtype)
        return ops.transpose(ops.reshape(columns, (-1, num_walls))[:num_dims])
    found = stacked(
        lambda i: _flat_joined(tiled.pull(_units(line.outputs, i, width))), -(-num_walls // width), inputs[0].dtype
    )
    return ops.reshape(found, (-1, num_dims))[:num_walls]


def picked(walls, index):
    """Cotangents that select the wall `index[i]` of sample i, an index into the flat list of all walls."""
    return split(walls, ops.one_hot(index, sum(size_of(wall) for wall in walls), dtype=walls[0].dtype))


def split(tensors, flat):
    """The columns of a matrix `(n, entries)` as tensors of the shapes of `tensors`."""
    parts, start = [], 0
    for tensor in tensors:
        parts.append(ops.reshape(flat[:, start : start + size_of(tensor)], (-1, *tensor.shape[1:])))
        start += size_of(tensor)
    return parts


def negligible(sizes):
    """Bound on rounding error; a wall whose normal does not exceed it is constant."""
    largest = ops.max(ops.reshape(sizes, (-1, size_of(sizes))), axis=1)
    epsilon = float(np.finfo(keras.backend.standardize_dtype(sizes.dtype)).eps)
    return ops.reshape(largest * (_ROUNDING * epsilon), (-1,) + (1,) * (len(sizes.shape) - 1))


@dataclasses.dataclass(frozen=True)
class _Norm:
    """A norm that can be accumulated entry by entry."""

    entry: Callable  # the contribution of an entry
    combine: Callable  # combines two contributions
    reduce: Callable  # combines all contributions along an axis
    finish: Callable  # the norm from the combined contributions


_NORMS = {
    1: _Norm(ops.abs, ops.add, ops.sum, lambda total: total),
    2: _Norm(ops.square, ops.add, ops.sum, ops.sqrt),
    np.inf: _Norm(ops.abs, ops.maximum, ops.max, lambda total: total),
}


def _lengths_by_dimension(line_at, line, inputs, norm, width):
    push = (line_at([_repeated(x, width) for x in inputs]) if width > 1 else line).push
    n = ops.shape(inputs[0])[0]

    def step(i, totals):
        tangents = [ops.repeat(unit, n, axis=0) for unit in _units(inputs, i, width)]
        added = []
        for total, speed in zip(totals, push(tangents), strict=True):
            speeds = ops.reshape(speed, (width, -1, *total.shape[1:]))
            added.append(norm.combine(total, norm.reduce(norm.entry(speeds), axis=0)))
        return added

    totals = folded(step, -(-_num_dims(inputs) // width), [ops.zeros_like(wall) for wall in line.outputs])
    return [norm.finish(total) for total in totals]


def _lengths_by_wall(line_at, line, inputs, norm, width):
    tiled = line_at([_repeated(x, width) for x in inputs]) if width > 1 else line
    n = ops.shape(inputs[0])[0]
    num_walls = sum(size_of(wall) for wall in line.outputs)

    def row(i):
        cotangents = [ops.repeat(unit, n, axis=0) for unit in _units(line.outputs, i, width)]
        normals = _flat_joined(tiled.pull(cotangents))
        return ops.reshape(norm.finish(norm.reduce(norm.entry(normals), axis=1)), (width, -1))

    found = stacked(row, -(-num_walls // width), inputs[0].dtype)
    return split(line.outputs, ops.transpose(ops.reshape(found, (-1, n))[:num_walls]))


def _repeated(x, width):
    """Samples `(n, ...)`, repeated blockwise `width` times."""
    return ops.tile(x, (width,) + (1,) * (len(x.shape) - 1))


def _units(tensors, i, width):
    """The unit vectors from index `i * width` on, as tensors of the shapes of `tensors`; zero beyond the last."""
    numbers = i * width + np.arange(width, dtype="int32")
    return split(tensors, ops.one_hot(numbers, _num_dims(tensors), dtype=tensors[0].dtype))


def _flat_joined(tensors):
    return ops.concatenate([ops.reshape(tensor, (-1, size_of(tensor))) for tensor in tensors], axis=1)


def _num_dims(tensors):
    return sum(size_of(tensor) for tensor in tensors)


def size_of(tensor) -> int:
    """Number of entries of one sample of a tensor."""
    return math.prod(tensor.shape[1:])
