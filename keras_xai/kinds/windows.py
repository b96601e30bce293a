"""The windows of pooling layers, cut out of their input."""

import itertools
import math

import numpy as np
from keras import ops


def pooling_windows(pool, x, *, padding_value):
    """The windows of a pooling layer or operation.

    Args:
        pool: Has `pool_size`, `strides`, `padding` and `data_format`.
        x: Tensor `(n, *spatial, channels)`, or channels first if the layer says so.
        padding_value: What windows see beyond the border.

    Returns:
        Tensor `(n, *windows, entries, channels)`.
    """
    x = channels_last(x, pool.data_format)
    rank = len(x.shape) - 2
    size = _per_axis(pool.pool_size, rank)
    strides = _per_axis(pool.strides or pool.pool_size, rank)
    same = pool.padding == "same"
    counts, margins = [], []
    for length, window, stride in zip(x.shape[1:-1], size, strides, strict=True):
        count = -(-length // stride) if same else (length - window) // stride + 1
        missing = max((count - 1) * stride + window - length, 0) if same else 0
        counts.append(count)
        margins.append((missing // 2, missing - missing // 2))
    if any(map(any, margins)):
        x = ops.pad(x, ((0, 0), *margins, (0, 0)), constant_values=padding_value)
    if size == strides:
        return _disjoint(x, counts, size)
    starts = [np.arange(count)[:, None] * stride for count, stride in zip(counts, strides, strict=True)]
    return _gather(x, [start + np.arange(window) for start, window in zip(starts, size, strict=True)])


def adaptive_windows(pool, x):
    """The windows of an adaptive pooling layer, whose lengths differ by one at most.

    Args:
        pool: Has `output_size` and `data_format`.
        x: Tensor `(n, *spatial, channels)`, or channels first if the layer says so.

    Returns:
        `(windows, weights)`: tensor `(n, *windows, entries, channels)` in which shorter windows repeat their last entry,
        and an array `(*windows, entries, 1)` of the shares that make up a window's mean.
    """
    x = channels_last(x, pool.data_format)
    indices, shares = [], []
    for length, count in zip(x.shape[1:-1], _per_axis(pool.output_size, len(x.shape) - 2), strict=True):
        bounds = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
        longest = max(end - start for start, end in bounds)
        indices.append(np.array([[min(start + k, end - 1) for k in range(longest)] for start, end in bounds]))
        shares.append(np.array([[(start + k < end) / (end - start) for k in range(longest)] for start, end in bounds]))
    weights = _outer(shares)
    rank = len(shares)
    return _gather(x, indices), weights.reshape(*weights.shape[:rank], -1, 1)


def channels_last(x, data_format):
    """`x` with the channels moved to the end, if they are first."""
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def channels_back(x, data_format):
    """Undoes `channels_last`."""
    return ops.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def _per_axis(value, rank):
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _disjoint(x, counts, size):
    # Windows that do not overlap are a reshape, several times faster to differentiate than a gather.
    x = x[(slice(None), *(slice(count * window) for count, window in zip(counts, size, strict=True)))]
    rank = len(counts)
    split = itertools.chain.from_iterable(zip(counts, size, strict=True))
    x = ops.reshape(x, (-1, *split, x.shape[-1]))
    order = (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return ops.reshape(ops.transpose(x, order), (-1, *counts, math.prod(size), x.shape[-1]))


def _gather(x, indices):
    """Windows of `(n, *spatial, channels)` at `indices`, for each spatial axis an array `(windows, entries)`."""
    lengths = x.shape[1:-1]
    strides = [math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))]
    flat = _outer([index * stride for index, stride in zip(indices, strides, strict=True)], combine=np.add)
    rank = len(indices)
    flat = flat.reshape(*flat.shape[:rank], -1).astype("int32")
    return ops.take(ops.reshape(x, (-1, math.prod(lengths), x.shape[-1])), flat, axis=1)


def _outer(tables, combine=np.multiply):
    """Combines tables `(windows_i, entries_i)` to one of shape `(*windows, *entries)`."""
    rank = len(tables)
    result = None
    for axis, table in enumerate(tables):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = table.shape
        result = table.reshape(shape) if result is None else combine(result, table.reshape(shape))
    return result
