"""The windows of pooling layers, cut out of their input."""

import itertools
import math

import numpy as np
from keras import ops


class PoolingWindows:
    """The windows of a pooling layer or operation over a tensor.

    Args:
        pool: An object with `pool_size`, `strides`, `padding` and `data_format`.
        x: Tensor `(n, *spatial, channels)`, or channels first according to the layer.
        padding_value: Value beyond the border.
    """

    def __init__(self, pool, x, *, padding_value):
        x = channels_last(x, pool.data_format)
        rank = len(x.shape) - 2
        self._size = per_axis(pool.pool_size, rank)
        self._strides = per_axis(pool.strides or pool.pool_size, rank)
        same = pool.padding == "same"
        self._counts, margins = [], []
        for length, window, stride in zip(x.shape[1:-1], self._size, self._strides, strict=True):
            count = -(-length // stride) if same else (length - window) // stride + 1
            missing = max((count - 1) * stride + window - length, 0) if same else 0
            self._counts.append(count)
            margins.append((missing // 2, missing - missing // 2))
        if any(map(any, margins)):
            x = ops.pad(x, ((0, 0), *margins, (0, 0)), constant_values=padding_value)
        self._x = x

    def entries(self):
        """All entries, tensor `(n, *windows, entries, channels)`."""
        if self._size != self._strides:
            tables = zip(self._starts(), self._size, strict=True)
            return _gather(self._x, [starts[:, None] + np.arange(window) for starts, window in tables])
        rank = len(self._size)
        order = (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
        return ops.reshape(ops.transpose(self._split(), order), (-1, *self._counts, math.prod(self._size), self._x.shape[-1]))

    def largest(self):
        """The index of each window's largest entry, the first one for ties, `(n, *windows, channels)`."""
        dtype = "uint8" if math.prod(self._size) <= 256 else "int32"
        # A running maximum axis by axis, the last first: three times faster than `argmax` over all entries.
        largest, index, factor = self._x, None, 1
        for axis in reversed(range(len(self._size))):
            place = (axis + 1, self._counts[axis], self._size[axis], self._strides[axis])
            values = _along(largest, *place)
            largest, index = _running_maximum(values, None if index is None else _along(index, *place), factor, dtype)
            factor *= self._size[axis]
        return index

    def chosen(self, index):
        """The entry `index` of each window, both `(n, *windows, channels)`, with a fast derivative."""
        if self._size == self._strides and len(self._size) < 3:  # TensorFlow cannot multiply tensors of rank 8
            return self._chosen_by_product(index)
        return self._chosen_by_place(index)

    def _chosen_by_product(self, index):
        rank, channels = len(self._size), self._x.shape[-1]
        places = np.arange(math.prod(self._size)).reshape((1, *_alternate([1] * rank, self._size), 1))
        index = ops.reshape(index, (-1, *_alternate(self._counts, [1] * rank), channels))
        # A product instead of `where`: its derivative is also one product.
        x = self._split() * ops.cast(ops.equal(index, ops.cast(places, index.dtype)), self._x.dtype)
        for axis in range(2, rank + 2):  # axis by axis, four times faster than both at once
            x = ops.sum(x, axis=axis)
        return x

    def _chosen_by_place(self, index):
        # One read per window; its derivative is one write, however many windows share an entry.
        channels, lengths = self._x.shape[-1], self._x.shape[1:-1]
        offsets = _flat_places([np.arange(window) for window in self._size], lengths).ravel()
        places = _flat_places(self._starts(), lengths)[..., None] + ops.take(offsets, ops.cast(index, "int32"), axis=0)
        size = math.prod(lengths) * channels
        samples = ops.reshape(ops.arange(ops.shape(self._x)[0], dtype="int32") * size, (-1, *[1] * len(lengths), 1))
        # 32 bits are 1.5 times as fast as 64: a tensor of 2**31 entries does not fit into the memory of a batch.
        return ops.take(ops.reshape(self._x, (-1,)), samples + places * channels + np.arange(channels, dtype="int32"))

    def _split(self):
        """Non-overlapping windows as a reshape, `(n, windows, size, windows, size, ..., channels)`."""
        x = self._x
        for axis, (count, window) in enumerate(zip(self._counts, self._size, strict=True), start=1):
            x = between(x, 0, count * window, axis)
        return ops.reshape(x, (-1, *_alternate(self._counts, self._size), x.shape[-1]))

    def _starts(self):
        return [np.arange(count) * stride for count, stride in zip(self._counts, self._strides, strict=True)]


def window_sums(pool, shape):
    """A fast function that sums over each window; `None` for windows that overlap or extend beyond the border.

    Args:
        pool: An object with `pool_size`, `strides`, `padding` and `data_format`.
        shape: Shape of the tensor, with the batch dimension.
    """
    rank = len(shape) - 2
    lengths = shape[2:] if pool.data_format == "channels_first" else shape[1:-1]
    size = per_axis(pool.pool_size, rank)
    overlap = size != per_axis(pool.strides or pool.pool_size, rank)
    beyond = pool.padding == "same" and any(not n or n % window for n, window in zip(lengths, size, strict=True))
    if overlap or beyond or rank > 2:  # TensorFlow cannot average volumes in float64 on a CPU
        return None
    return lambda x: math.prod(size) * ops.average_pool(x, size, size, pool.padding, pool.data_format)


def adaptive_windows(pool, x):
    """The windows of an adaptive pooling layer, whose lengths differ by at most one.

    Args:
        pool: An object with `output_size` and `data_format`.
        x: Tensor `(n, *spatial, channels)`, or channels first according to the layer.

    Returns:
        `(windows, weights)`: tensor `(n, *windows, entries, channels)` in which shorter windows repeat their last entry, and an array
        `(*windows, entries, 1)` of the weights of a window's mean.
    """
    x = channels_last(x, pool.data_format)
    indices, shares = [], []
    for length, count in zip(x.shape[1:-1], per_axis(pool.output_size, len(x.shape) - 2), strict=True):
        bounds = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
        longest = max(end - start for start, end in bounds)
        indices.append(np.array([[min(start + k, end - 1) for k in range(longest)] for start, end in bounds]))
        shares.append(np.array([[(start + k < end) / (end - start) for k in range(longest)] for start, end in bounds]))
    weights = _outer(shares)
    rank = len(shares)
    return _gather(x, indices), weights.reshape(*weights.shape[:rank], -1, 1)


def with_channels_last(function, x, data_format):
    """Applies a channels-last function to a tensor in another layout, and returns that layout."""
    return channels_back(function(channels_last(x, data_format)), data_format)


def channels_last(x, data_format):
    """`x` with the channels moved to the end, if they are first."""
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def channels_back(x, data_format):
    """Undoes `channels_last`."""
    return ops.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def per_axis(value, rank):
    """A size for each of `rank` axes from one for all, or one for each."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _alternate(first, second):
    return list(itertools.chain.from_iterable(zip(first, second, strict=True)))


def between(x, start, end, axis):
    """`x[..., start:end, ...]` along an axis, by `ops.split`, because indexing is ten times slower to differentiate."""
    if (start, end) == (0, x.shape[axis]):
        return x
    return ops.split(x, [start, end], axis=axis)[1]


def _along(x, axis, count, window, stride):
    """The entries of the windows along one axis: `window` tensors, each with `count` entries along it."""
    blocks = -(-((count - 1) * stride + window) // stride)
    length = blocks * stride
    missing = length - x.shape[axis]
    if missing > 0:
        x = ops.pad(x, [(0, missing if i == axis else 0) for i in range(len(x.shape))])
    x = between(x, 0, length, axis)
    phases = ops.unstack(ops.reshape(x, (-1, *x.shape[1:axis], blocks, stride, *x.shape[axis + 1 :])), stride, axis=axis + 1)
    return [between(phases[i % stride], i // stride, i // stride + count, axis) for i in range(window)]


def _running_maximum(values, indices, factor, dtype):
    """The elementwise maximum of some tensors, and `indices[i] + i * factor` of the first maximum."""
    largest = values[0]
    index = ops.zeros_like(largest, dtype=dtype) if indices is None else indices[0]
    for i, value in enumerate(values[1:], start=1):
        larger = value > largest
        largest = ops.maximum(value, largest)
        here = ops.cast(i * factor, dtype)
        # A product is faster than a selection between two numbers; `here` exceeds all before.
        first = indices is None
        index = ops.maximum(index, ops.cast(larger, dtype) * here) if first else ops.where(larger, indices[i] + here, index)
    return largest, index


def _flat_places(indices, lengths):
    """Indices along axes of `lengths`, in all combinations, as indices into the flattened axes."""
    return np.ravel_multi_index(np.meshgrid(*indices, indexing="ij"), lengths).astype("int32")


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
