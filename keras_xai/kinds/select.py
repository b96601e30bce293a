"""Max and min layers, which select the largest or smallest of several candidates."""

import abc
import math

import numpy as np
from keras import layers, ops

from keras_xai.kinds.axes import BY_USE, Named, kept_axes, reduced_names
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import Kind
from keras_xai.kinds.product import constants_are_nonnegative
from keras_xai.kinds.ranges import adaptive_window, by_place, entrywise, window
from keras_xai.kinds.secants import quotient
from keras_xai.kinds.volumes import AdaptiveMaxPoolVolumes, MaxPoolVolumes, by_volumes
from keras_xai.kinds.windows import PoolingWindows, adaptive_windows, channels_back, channels_last, window_sums

# Value of the padding in pooling windows. Finite, because it is multiplied by 0 if it is not selected.
_PADDING = -1e30


class Select(Kind):
    """The largest (or smallest) of several candidates."""

    role = "select"

    def __init__(self, *, smallest: bool = False):
        self._sign = -1.0 if smallest else 1.0

    @abc.abstractmethod
    def candidates(self, step, inputs):
        """An affine arrangement of the inputs, `(n, ..., candidates, m)`; the second to last axis is selected from."""

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
        # Comparisons of the winner with itself and with padding are not constraints.
        free = ops.logical_or(chosen, candidates <= _PADDING / 2)
        return [ops.where(free, np.inf, self._sign * (winner - candidates))]

    def reason(self, step, pattern, number, unit):
        *place, other, channel = unit
        winner = int(pattern[(*place, channel)])
        order = "at least" if self._sign > 0 else "at most"
        return f"candidate {winner} at {(*place, channel)} of {step.path} stays {order} as large as candidate {other}"

    def freeze(self, step, pattern):
        return lambda inputs: [self.arrange(step, self.chosen(step, pattern, inputs))]

    def chosen(self, step, pattern, inputs):
        """The candidates of a pattern, of its shape."""
        candidates = self.candidates(step, inputs)
        # A product instead of `where`: its derivative is also one product, the fastest variant measured.
        return ops.sum(candidates * ops.cast(_is_chosen(pattern, candidates), candidates.dtype), axis=-2)

    def secant(self, step):
        """Max pooling rule of shap: assigns an increase of the maximum to the sample's largest entry, a decrease to the reference's.

        Either entry has changed at least as much as the maximum, so that multipliers are between 0 and 1.
        """
        if self.refusal(step) is not None:
            return None

        def rule(inputs, reference):
            patterns = [self.pattern(step, tensors) for tensors in (inputs, reference)]
            rise = self.chosen(step, patterns[0], inputs) - self.chosen(step, patterns[1], reference)
            pattern = ops.where(self._sign * rise > 0, *patterns)
            changes = [x - b for x, b in zip(inputs, reference, strict=True)]

            def linear(tensors):
                shares = [quotient(x, change) for x, change in zip(tensors, changes, strict=True)]
                return [self.arrange(step, rise * self.chosen(step, pattern, shares))]

            return linear

        return rule


def _is_chosen(pattern, candidates):
    index = ops.cast(np.arange(candidates.shape[-2])[:, None], pattern.dtype)
    return ops.equal(ops.expand_dims(pattern, -2), index)


class SelectEntries(Select):
    """The largest (or smallest) of several input entries, without an affine map before the selection."""

    def keeps_sign(self, step):
        return True


class MaxPooling(SelectEntries):
    """The largest entry of each window."""

    pools = "windows"

    def parts(self, step):
        return by_volumes(step, MaxPoolVolumes)

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), window(step.operation, step.operation.pool_size))

    def candidates(self, step, inputs):
        return self._windows(step, inputs).entries()

    def arrange(self, step, chosen):
        return channels_back(chosen, step.operation.data_format)

    # Faster versions, several times, of the two methods of the base class.

    def pattern(self, step, inputs):
        return self._windows(step, inputs).largest()

    def chosen(self, step, pattern, inputs):
        return self._windows(step, inputs).chosen(pattern)

    def push(self, step):
        sums = window_sums(step.operation, step.input_specs[0].shape)
        return sums and (lambda tangent, reached: sums(tangent * reached))

    @staticmethod
    def _windows(step, inputs):
        return PoolingWindows(step.operation, inputs[0], padding_value=_PADDING)


class GlobalMaxPooling(SelectEntries):
    """The largest entry of each channel."""

    pools = "global"

    def candidates(self, step, inputs):
        (x,) = inputs
        x = channels_last(x, step.operation.data_format)
        return ops.reshape(x, (-1, math.prod(x.shape[1:-1]), x.shape[-1]))

    def arrange(self, step, chosen):
        if not step.operation.keepdims:
            return chosen
        ones = (1,) * (len(step.output_specs[0].shape) - 2)
        return channels_back(ops.reshape(chosen, (-1, *ones, chosen.shape[-1])), step.operation.data_format)


class AdaptiveMaxPooling(SelectEntries):
    """The largest entry of each of a given number of windows."""

    pools = "windows"

    def parts(self, step):
        return by_volumes(step, AdaptiveMaxPoolVolumes)

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), adaptive_window)

    def candidates(self, step, inputs):
        # Shorter windows are padded with their own last entry, which adds no constraint.
        return adaptive_windows(step.operation, inputs[0])[0]

    def arrange(self, step, chosen):
        return channels_back(chosen, step.operation.data_format)


class Extremum(Select):
    """The elementwise largest (or smallest) of several tensors."""

    def nonnegative(self, step):
        return self._sign > 0 and bool(step.constants()) and constants_are_nonnegative(step)

    def keeps_sign(self, step):
        return self._sign > 0 or constants_are_nonnegative(step)

    def receptive_range(self, step, wanted, shape, output_shape):
        return entrywise(wanted, shape)

    def candidates(self, step, inputs):
        operands = [ops.convert_to_tensor(operand, dtype=inputs[0].dtype) for operand in self._operands(step, inputs)]
        shape = ops.shape(sum(operands[1:], operands[0]))
        return ops.stack([ops.expand_dims(ops.broadcast_to(operand, shape), -1) for operand in operands], axis=-2)

    def _operands(self, step, inputs):
        return step.operands(inputs)

    def arrange(self, step, chosen):
        return ops.squeeze(chosen, -1)


class ExtremumLayer(Extremum):
    """The elementwise largest (or smallest) of several tensors, with axes inserted after the first if a tensor has fewer."""

    def _operands(self, step, inputs):
        rank = max(len(x.shape) for x in inputs)
        return [ops.reshape(x, (-1, *[1] * (rank - len(x.shape)), *x.shape[1:])) for x in inputs]


class Reduction(SelectEntries):
    """The largest (or smallest) entry along axes."""

    def axis_names(self, step):
        names = reduced_names(step.operation.axis, len(step.input_specs[0].shape) - 1)
        return Named(names, [names[each[0]] if each else None for each in self.axis_sources(step, 0)], BY_USE)

    def axis_sources(self, step, position):
        return kept_axes(step.operation.axis, step.operation.keepdims, len(step.input_specs[0].shape) - 1)

    def candidates(self, step, inputs):
        (x,) = inputs
        axes = self._axes(step)
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        shape = [x.shape[axis] for axis in kept[1:]]
        return ops.reshape(ops.transpose(x, (*kept, *axes)), (-1, *shape, math.prod(x.shape[axis] for axis in axes), 1))

    def arrange(self, step, chosen):
        y = ops.squeeze(chosen, -1)
        for axis in self._axes(step) if step.operation.keepdims else ():
            y = ops.expand_dims(y, axis)
        return y

    def refusal(self, step):
        if 0 in self._axes(step):
            return "it takes the extremum over the batch, so that samples depend on one another"
        return (
            None if step.operation.initial is None else "it compares with the constant `initial`; use `ops.maximum` for that"
        )

    @staticmethod
    def _axes(step):
        rank, axis = len(step.input_specs[0].shape), step.operation.axis
        axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
        return sorted(axis % rank for axis in axes)


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


register(
    layers.Maximum,
    ExtremumLayer(),
    Example((4,), lambda x: layers.Maximum()(_three(x))),
    Example((4, 3), lambda x: layers.Maximum()([layers.Dense(3)(layers.Flatten()(x)), x])),
)
register(layers.Minimum, ExtremumLayer(smallest=True), Example((4,), lambda x: layers.Minimum()(_three(x))))
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
register(MaxPoolVolumes, MaxPooling(), Example(_VOLUME, lambda x: MaxPoolVolumes(layers.MaxPooling3D(3, 2, "same"))(x)))
register(
    AdaptiveMaxPoolVolumes,
    AdaptiveMaxPooling(),
    Example(_VOLUME, lambda x: AdaptiveMaxPoolVolumes(layers.AdaptiveMaxPooling3D(3))(x)),
)
