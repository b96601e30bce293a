"""Elementwise activations that are linear between thresholds."""

import abc
import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_xai.kinds.axes import BY_USE, Named, reduced_names
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import Kind
from keras_xai.kinds.secants import quotient, scaling


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A piecewise-linear function of one number.

    Piece i is active between `thresholds[i - 1]` and `thresholds[i]`; on it the function is `slopes[i] * x + offsets[i]`. Each number may
    be a tensor that broadcasts against the activations.

    Attributes:
        thresholds: Increasing numbers.
        slopes: One more than thresholds.
        offsets: One more than thresholds.
        belongs_above: Whether a threshold itself belongs to the piece above it, which matters at jumps. By default it does not, as Keras
            compares `x > threshold`.
    """

    thresholds: tuple
    slopes: tuple
    offsets: tuple
    belongs_above: tuple[bool, ...] = (False, False)

    def minimum(self, start: float = -math.inf) -> float:
        """The infimum of the function from `start` on; -inf also if it depends on a tensor."""
        if not all(isinstance(threshold, (int, float)) for threshold in self.thresholds):
            return -math.inf
        bounds = (-math.inf, *self.thresholds, math.inf)
        return min(
            min(_value(slope, offset, max(low, start)), _value(slope, offset, high))
            for slope, offset, low, high in zip(self.slopes, self.offsets, bounds[:-1], bounds[1:], strict=True)
            if high >= start
        )


def _value(slope, offset, x):
    """The value of a line at a point, which may be infinite; -inf if it depends on a tensor."""
    if not isinstance(offset, (int, float)):
        return -math.inf
    if x == 0:
        return offset
    if not isinstance(slope, (int, float)):
        return -math.inf
    return slope * x + offset if slope else offset


class Gate(Kind):
    """An activation that is linear between thresholds."""

    role = "gate"

    @abc.abstractmethod
    def pieces(self, operation: Any) -> Pieces:
        """The function that the operation applies to each unit."""

    def parts(self, step):
        return None

    def refusal(self, step):
        return None

    def elementwise(self, step):
        return True

    def nonnegative(self, step):
        return self.pieces(step.operation).minimum() >= 0

    def keeps_sign(self, step):
        return self.pieces(step.operation).minimum(0.0) >= 0

    def gates(self, step):
        slopes = self.pieces(step.operation).slopes
        return self.nonnegative(step) and all(isinstance(each, (int, float)) and each == 0 for each in (slopes[0], slopes[-1]))

    def secant(self, step):
        def slopes(inputs, reference):
            (x,), (b,) = inputs, reference
            pattern, other = self.pattern(step, inputs), self.pattern(step, reference)
            across = quotient(step(x)[0] - step(b)[0], x - b)
            return scaling(ops.where(pattern == other, _choose(pattern, self.pieces(step.operation).slopes, x), across))

        return slopes

    def pattern(self, step, inputs):
        (x,) = inputs
        pieces = self.pieces(step.operation)
        above = [
            x >= _like(threshold, x) if included else x > _like(threshold, x)
            for threshold, included in zip(pieces.thresholds, pieces.belongs_above, strict=False)
        ]
        return sum((ops.cast(each, "int8") for each in above[1:]), ops.cast(above[0], "int8"))

    def constraints(self, step, pattern, inputs):
        (x,) = inputs
        distances = [x - _like(threshold, x) for threshold in self.pieces(step.operation).thresholds]
        return [ops.where(pattern > i, distance, -distance) for i, distance in enumerate(distances)]

    def reason(self, step, pattern, number, unit):
        side = "above" if pattern[unit] > number else "below"
        threshold = np.asarray(self.pieces(step.operation).thresholds[number])
        value = f"{threshold:g}" if threshold.ndim == 0 else "its threshold"
        return f"the input of unit {unit} of {step.path} stays {side} {value}"

    def freeze(self, step, pattern):
        pieces = self.pieces(step.operation)

        def frozen(inputs):
            (x,) = inputs
            y = x * _choose(pattern, pieces.slopes, x)
            if any(not isinstance(offset, (int, float)) or offset for offset in pieces.offsets):
                y = y + _choose(pattern, pieces.offsets, x)
            return [y]

        return frozen


def _choose(pattern, values, x):
    if all(isinstance(value, (int, float)) for value in values) and tuple(values) == (0, 1):
        # The indices of the pieces: a cast is several times faster than a selection.
        return ops.cast(pattern, x.dtype)
    chosen = _like(values[0], x)
    for i, value in enumerate(values[1:]):
        chosen = ops.where(pattern > i, _like(value, x), chosen)
    return chosen


def _single(value):
    """A constant that Keras or TensorFlow keeps in float32, whatever the layer's compute dtype."""
    return float(np.float32(value))


def _like(value, x):
    # `ops.cast` would round a Python number to float32.
    return ops.convert_to_tensor(value, dtype=x.dtype)


class ReLU(Gate):
    """max(0, x), with an optional threshold, slope below it, and maximum."""

    def pieces(self, operation):
        slope = operation.negative_slope
        threshold = _single(operation.threshold)
        if operation.max_value is None:
            if operation.threshold == 0:
                slope = _single(slope)
            return Pieces((threshold,), (slope, 1.0), (-slope * operation.threshold, 0.0))
        largest = _single(operation.max_value)
        if largest <= threshold:
            return Pieces((threshold,), (slope, 0.0), (-slope * operation.threshold, largest))
        return Pieces((threshold, largest), (slope, 1.0, 0.0), (-slope * operation.threshold, 0.0, largest))


class LeakyReLU(Gate):
    """x above 0, negative_slope * x below."""

    def pieces(self, operation):
        return Pieces((0.0,), (_single(operation.negative_slope), 1.0), (0.0, 0.0))


class PReLU(Gate):
    """x above 0, alpha * x below, alpha learned for each unit."""

    def axis_names(self, step):
        shared = step.operation.shared_axes
        names = reduced_names(shared, len(step.input_specs[0].shape) - 1) if shared else None
        return names and Named(names, names, BY_USE)

    def pieces(self, operation):
        return Pieces((0.0,), (operation.alpha, 1.0), (0.0, 0.0))


class Clip(Gate):
    """x clipped to two limits."""

    def refusal(self, step):
        limits = (step.operation.x_min, step.operation.x_max)
        if not all(isinstance(limit, (int, float)) for limit in limits) or limits[0] > limits[1]:
            return f"its limits are not two numbers, the lower one first, but {limits[0]!r} and {limits[1]!r}"
        return None

    def pieces(self, operation):
        low, high = float(operation.x_min), float(operation.x_max)
        return Pieces((low, high), (0.0, 1.0, 0.0), (low, 0.0, high))


class HardShrink(Gate):
    """0 between -threshold and threshold, x outside."""

    def pieces(self, operation):
        threshold = operation.threshold
        return Pieces((-threshold, threshold), (1.0, 0.0, 1.0), (0.0, 0.0, 0.0), belongs_above=(True, False))


class SoftShrink(Gate):
    """0 between -threshold and threshold, x shifted toward 0 by threshold outside."""

    def pieces(self, operation):
        threshold = operation.threshold
        return Pieces((-threshold, threshold), (1.0, 0.0, 1.0), (threshold, 0.0, -threshold))


class Threshold(Gate):
    """x above the threshold, a constant below."""

    def pieces(self, operation):
        return Pieces((operation.threshold,), (0.0, 1.0), (operation.default_value, 0.0))


class Fixed(Gate):
    """An activation without parameters."""

    def __init__(self, pieces: Pieces):
        self._pieces = pieces

    def pieces(self, operation):
        return self._pieces


_RELU = Fixed(Pieces((0.0,), (0.0, 1.0), (0.0, 0.0)))
_RELU6 = Fixed(Pieces((0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0, 6.0)))
_HARD_SIGMOID = Fixed(Pieces((-3.0, 3.0), (0.0, 1 / 6, 0.0), (0.0, 0.5, 1.0)))
_HARD_TANH = Fixed(Pieces((-1.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 1.0)))
_SPARSE_SIGMOID = Fixed(Pieces((-1.0, 1.0), (0.0, 0.5, 0.0), (0.0, 0.5, 1.0)))
_ABSOLUTE = Fixed(Pieces((0.0,), (-1.0, 1.0), (0.0, 0.0)))

register(
    layers.ReLU,
    ReLU(),
    Example((4,), lambda x: layers.ReLU()(x)),
    Example((4,), lambda x: layers.ReLU(max_value=1.0)(x)),
    Example((4,), lambda x: layers.ReLU(negative_slope=0.2, threshold=0.3, max_value=0.8)(x)),
)
register(
    keras.activations.relu,
    ReLU(),
    Example((4,), lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.2)),
)
register(layers.LeakyReLU, LeakyReLU(), Example((4,), lambda x: layers.LeakyReLU(0.1)(x)))
register(layers.PReLU, PReLU(), Example((4,), lambda x: layers.PReLU(keras.initializers.RandomUniform(0.1, 0.9, seed=0))(x)))
for _function, _kind, _example in (
    (ops.relu, _RELU, Example((4,), lambda x: ops.relu(x))),
    (ops.relu6, _RELU6, Example((4,), lambda x: ops.relu6(5 * x))),
    (ops.leaky_relu, LeakyReLU(), Example((4,), lambda x: ops.leaky_relu(x, 0.3))),
    (ops.hard_sigmoid, _HARD_SIGMOID, Example((4,), lambda x: ops.hard_sigmoid(3 * x))),
    (ops.hard_tanh, _HARD_TANH, Example((4,), lambda x: ops.hard_tanh(x))),
    (ops.sparse_sigmoid, _SPARSE_SIGMOID, Example((4,), lambda x: ops.sparse_sigmoid(x))),
    (ops.hard_shrink, HardShrink(), Example((4,), lambda x: ops.hard_shrink(x, 0.4))),
    (ops.soft_shrink, SoftShrink(), Example((4,), lambda x: ops.soft_shrink(x, 0.4))),
    (ops.threshold, Threshold(), Example((4,), lambda x: ops.threshold(x, 0.4, -0.3))),
    (ops.clip, Clip(), Example((4,), lambda x: ops.clip(x, -0.5, 0.7))),
    (ops.absolute, _ABSOLUTE, Example((4,), lambda x: ops.absolute(x))),
):
    register(_function, _kind, _example)
