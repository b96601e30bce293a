"""Layers that pass the largest or smallest of several candidates on."""

import abc
import itertools
import math

import numpy as np
from keras import layers, ops

from keras_xai.kinds.kind import Example, Kind, register

# Stands for the padding that a pooling window reaches into. Finite, since it is multiplied by 0 when it is not chosen.
_PADDING = -1e30


class Select(Kind):
    """The largest (or smallest) of several candidates."""

    role = "select"

    def __init__(self, *, smallest: bool = False):
        self._sign = -1.0 if smallest else 1.0

    @abc.abstractmethod
    def candidates(self, step, inputs):
        """An affine arrangement of the inputs of shape `(n, ..., candidates, m)`; one is chosen along the last axis but one."""

    @abc.abstractmethod
    def arrange(self, step, chosen):
        """The step's output from the chosen candidates `(n, ..., m)`."""

    def parts(self, step):
        return None

    def refusal(self, step):
        return None

    def pattern(self, step, inputs):
        candidates = self.candidates(step, inputs)
        dtype = "uint8" if candidates.shape[-2] <= 256 else "int32"
        return ops.cast(ops.argmax(self._sign * candidates, axis=-2), dtype)

    def constraints(self, step, pattern, inputs):
        candidates = self.candidates(step, inputs)
        chosen = _is_chosen(pattern, candidates)
        winner = ops.sum(ops.where(chosen, candidates, 0), axis=-2, keepdims=True)
        # The winner against itself and against padding constrains nothing.
        free = ops.logical_or(chosen, candidates <= _PADDING / 2)
        return [ops.where(free, np.inf, self._sign * (winner - candidates))]

    def freeze(self, step, pattern):
        def frozen(inputs):
            candidates = self.candidates(step, inputs)
            # A product and not a `where`: its derivative is again one product, the cheapest that was measured.
            chosen = ops.cast(_is_chosen(pattern, candidates), candidates.dtype)
            return [self.arrange(step, ops.sum(candidates * chosen, axis=-2))]

        return frozen


def _is_chosen(pattern, candidates):
    index = ops.cast(np.arange(candidates.shape[-2])[:, None], pattern.dtype)
    return ops.equal(ops.expand_dims(pattern, -2), index)


class MaxPooling(Select):
    """The largest entry of each window."""

    def candidates(self, step, inputs):
        (x,) = inputs
        pool = step.operation
        windows = _Windows(pool.pool_size, pool.strides, pool.padding)
        return windows(_channels_last(x, pool.data_format))

    def arrange(self, step, chosen):
        return _channels_back(chosen, step.operation.data_format)


class GlobalMaxPooling(Select):
    """The largest entry of each channel."""

    def candidates(self, step, inputs):
        (x,) = inputs
        x = _channels_last(x, step.operation.data_format)
        return ops.reshape(x, (-1, math.prod(x.shape[1:-1]), x.shape[-1]))

    def arrange(self, step, chosen):
        if not step.operation.keepdims:
            return chosen
        ones = (1,) * (len(step.output_specs[0].shape) - 2)
        return _channels_back(ops.reshape(chosen, (-1, *ones, chosen.shape[-1])), step.operation.data_format)


class AdaptiveMaxPooling(Select):
    """The largest entry of each of a given number of windows."""

    def candidates(self, step, inputs):
        (x,) = inputs
        x = _channels_last(x, step.operation.data_format)
        sizes = x.shape[1:-1]
        bounds = [
            [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]
            for size, parts in zip(sizes, step.operation.output_size, strict=True)
        ]
        longest = [max(end - start for start, end in axis) for axis in bounds]
        # Shorter windows repeat their last entry: it is equal to itself, which constrains nothing.
        axes = [
            np.array([[min(start + k, end - 1) for k in range(length)] for start, end in axis])
            for axis, length in zip(bounds, longest, strict=True)
        ]
        return _gather(x, axes)

    def arrange(self, step, chosen):
        return _channels_back(chosen, step.operation.data_format)


class Extremum(Select):
    """The largest (or smallest) of several tensors, entry by entry."""

    def candidates(self, step, inputs):
        operands = [ops.convert_to_tensor(operand, dtype=inputs[0].dtype) for operand in step.operands(inputs)]
        first = sum(operands[1:], operands[0])  # all of them in the common shape
        return ops.stack([ops.expand_dims(ops.broadcast_to(operand, ops.shape(first)), -1) for operand in operands], axis=-2)

    def arrange(self, step, chosen):
        return ops.squeeze(chosen, -1)


class Reduction(Select):
    """The largest (or smallest) entry along axes."""

    def candidates(self, step, inputs):
        (x,) = inputs
        axes = self._axes(step)
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        shape = [x.shape[axis] for axis in kept[1:]]
        return ops.reshape(ops.transpose(x, (*kept, *axes)), (-1, *shape, math.prod(x.shape[axis] for axis in axes), 1))

    def arrange(self, step, chosen):
        shape = [-1 if size is None else size for size in step.output_specs[0].shape[1:]]
        return ops.reshape(chosen, (-1, *shape))

    def refusal(self, step):
        if 0 in self._axes(step):
            return "it takes the extremum over the batch, so that samples depend on one another"
        return None

    @staticmethod
    def _axes(step):
        rank, axis = len(step.input_specs[0].shape), step.operation.axis
        axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
        return sorted(axis % rank for axis in axes)


class _Windows:
    """Cuts the windows of a pooling out of `(n, *spatial, channels)`: `(n, *windows, entries, channels)`."""

    def __init__(self, pool_size, strides, padding):
        self._pool_size = pool_size
        self._strides = strides
        self._same = padding == "same"

    def __call__(self, x):
        sizes = x.shape[1:-1]
        if self._same:
            counts = [-(-size // stride) for size, stride in zip(sizes, self._strides, strict=True)]
        else:
            counts = [
                (size - pool) // stride + 1 for size, pool, stride in zip(sizes, self._pool_size, self._strides, strict=True)
            ]
        spans = [
            (count - 1) * stride + pool for count, stride, pool in zip(counts, self._strides, self._pool_size, strict=True)
        ]
        if self._same:
            missing = [max(span - size, 0) for span, size in zip(spans, sizes, strict=True)]
            if any(missing):
                before_after = [(total // 2, total - total // 2) for total in missing]
                x = ops.pad(x, ((0, 0), *before_after, (0, 0)), constant_values=_PADDING)
        if tuple(self._strides) == tuple(self._pool_size):
            return self._disjoint(x, counts, spans)
        return _gather(
            x,
            [
                np.arange(count)[:, None] * stride + np.arange(pool)
                for count, stride, pool in zip(counts, self._strides, self._pool_size, strict=True)
            ],
        )

    def _disjoint(self, x, counts, spans):
        # Windows that do not overlap are a reshape, several times faster to differentiate than a gather.
        x = x[(slice(None), *(slice(span) for span in spans))]
        rank = len(counts)
        split = itertools.chain.from_iterable(zip(counts, self._pool_size, strict=True))
        x = ops.reshape(x, (-1, *split, x.shape[-1]))
        order = (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
        return ops.reshape(ops.transpose(x, order), (-1, *counts, math.prod(self._pool_size), x.shape[-1]))


def _gather(x, axes):
    """Windows of `(n, *spatial, channels)`; `axes` lists for each spatial axis the indices `(windows, entries)`."""
    sizes = x.shape[1:-1]
    rank = len(sizes)
    flat = np.zeros((1,) * (2 * rank), "int32")
    for i, (indices, size) in enumerate(zip(axes, sizes, strict=True)):
        shape = [1] * (2 * rank)
        shape[i], shape[rank + i] = indices.shape
        flat = flat * size + indices.astype("int32").reshape(shape)
    counts = flat.shape[:rank]
    entries = math.prod(flat.shape[rank:])
    x = ops.reshape(x, (-1, math.prod(sizes), x.shape[-1]))
    return ops.take(x, flat.reshape(*counts, entries), axis=1)


def _channels_last(x, data_format):
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def _channels_back(x, data_format):
    return ops.moveaxis(x, -1, 1) if data_format == "channels_first" else x


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 7, 2), (4, 4, 4, 2)

for _class, _shape, _overlapping in (
    (layers.MaxPooling1D, _SERIES, {"pool_size": 3, "strides": 2, "padding": "same"}),
    (layers.MaxPooling2D, _IMAGE, {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    (layers.MaxPooling3D, _VOLUME, {"pool_size": 2, "strides": 1}),
):
    register(
        _class,
        MaxPooling(),
        Example(_shape, lambda x, cls=_class: cls(2)(x)),
        Example(_shape, lambda x, cls=_class: cls(3, padding="same")(x)),
        Example(_shape, lambda x, cls=_class, arguments=_overlapping: cls(**arguments)(x)),
    )
for _class, _shape in (
    (layers.GlobalMaxPooling1D, _SERIES),
    (layers.GlobalMaxPooling2D, _IMAGE),
    (layers.GlobalMaxPooling3D, _VOLUME),
):
    register(
        _class,
        GlobalMaxPooling(),
        Example(_shape, lambda x, cls=_class: cls()(x)),
        Example(_shape, lambda x, cls=_class: cls(keepdims=True)(x)),
    )
for _class, _shape in (
    (layers.AdaptiveMaxPooling1D, _SERIES),
    (layers.AdaptiveMaxPooling2D, _IMAGE),
    (layers.AdaptiveMaxPooling3D, _VOLUME),
):
    register(_class, AdaptiveMaxPooling(), Example(_shape, lambda x, cls=_class: cls(3)(x)))


def _three(x):
    return [layers.Dense(3)(x) for _ in range(3)]


register(layers.Maximum, Extremum(), Example((4,), lambda x: layers.Maximum()(_three(x))))
register(layers.Minimum, Extremum(smallest=True), Example((4,), lambda x: layers.Minimum()(_three(x))))
register(ops.maximum, Extremum(), Example((4,), lambda x: ops.maximum(0.3, x)))
register(ops.minimum, Extremum(smallest=True), Example((4,), lambda x: ops.minimum(x, ops.flip(x, axis=1))))
register(ops.max, Reduction(), Example(_IMAGE, lambda x: ops.max(x, axis=(1, -1))))
register(ops.min, Reduction(smallest=True), Example(_IMAGE, lambda x: ops.min(x, axis=2, keepdims=True)))
register(
    ops.max_pool,
    MaxPooling(),
    Example(_IMAGE, lambda x: ops.max_pool(x, (2, 2))),
    Example(_IMAGE, lambda x: ops.max_pool(x, (3, 2), strides=(1, 2), padding="same")),
)
