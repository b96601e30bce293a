"""Normalizations by statistics of the sample itself."""

import abc

from keras import layers, ops

from keras_xai.kinds.axes import BY_USE, Named, channel_at
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.ranges import along, whole
from keras_xai.kinds.secants import Normalized, normalization
from keras_xai.kinds.smooth import Smooth


class SampleNormalization(Smooth, abc.ABC):
    """A normalization by the mean of squares along axes.

    Args:
        centers: Whether the mean is subtracted before.
    """

    def __init__(self, *, centers: bool):
        super().__init__("it divides by statistics of the sample itself, which is not piecewise linear")
        self._centers = centers

    def axis_names(self, step):
        if len(_axes(step)) != 1:
            return None
        names = channel_at(_axes(step)[0], len(step.input_specs[0].shape) - 1)
        return Named(names, names, BY_USE)

    def receptive_range(self, step, wanted, shape, output_shape):
        return along([axis - 1 for axis in _axes(step)], wanted, shape)

    def relevance(self, step):
        return "normalization" if self.secant(step) else None

    def secant(self, step):
        return normalization(self._parts(step))

    def held(self, step, inputs):
        parts, bias = self._parts(step), self._bias(step)
        divisor = parts.divisor(parts.centered(inputs[0]))

        def affine(tensors):
            y = parts.finish(parts.centered(tensors[0]) / divisor)
            return [y if bias is None else y + _spread(bias, _axes(step), len(y.shape), y.dtype)]

        return affine

    def _parts(self, step):
        """The parts of the normalization."""
        axes, weight = self._statistics(step), self._weight(step)

        def mean(x):
            return ops.mean(x, axis=axes, keepdims=True)

        def centered(x):
            x = self._grouped(step, x)
            return x - mean(x) if self._centers else x

        def finish(y):
            y = ops.reshape(y, (-1, *step.output_specs[0].shape[1:])) if self._groups(step) else y
            return y if weight is None else y * _spread(weight, _axes(step), len(y.shape), y.dtype)

        return Normalized(centered, mean, finish, epsilon=step.operation.epsilon)

    def _weight(self, step):
        """The variable that normalized entries are multiplied by, `None` if there is none."""
        return step.operation.gamma

    def _bias(self, step):
        """The variable that is added at the end, `None` if there is none."""
        return step.operation.beta

    def _statistics(self, step):
        """The axes of the statistics."""
        return _axes(step)

    def _groups(self, step):
        """Whether `_grouped` divides an axis."""
        return False

    def _grouped(self, step, x):
        return x


class LayerNormalization(SampleNormalization):
    """A layer normalization."""

    def secant(self, step):
        # With `rms_scaling` it divides by the standard deviation without subtracting the mean.
        return None if step.operation.rms_scaling else super().secant(step)


class RMSNormalization(SampleNormalization):
    """A division by the root of the mean square."""

    def _weight(self, step):
        return step.operation.scale

    def _bias(self, step):
        return None


class GroupNormalization(SampleNormalization):
    """A normalization of groups of channels over all positions."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return whole(shape)

    def _statistics(self, step):
        (axis,) = _axes(step)
        return [other for other in range(1, len(step.input_specs[0].shape) + 1) if other != axis]

    def _groups(self, step):
        return True

    def _grouped(self, step, x):
        (axis,) = _axes(step)
        groups, shape = step.operation.groups, list(step.input_specs[0].shape[1:])
        shape[axis - 1 : axis] = [groups, shape[axis - 1] // groups]
        return ops.reshape(x, (-1, *shape))


class UnitNormalization(SampleNormalization):
    """A division by the Euclidean norm."""

    def _parts(self, step):
        axes = _axes(step)

        def total(x):
            return ops.sum(x, axis=axes, keepdims=True)

        return Normalized(lambda x: x, total, lambda y: y, least=1e-24)  # the layer's limit of the norm is 1e-12

    def _bias(self, step):
        return None


def _axes(step):
    axis, rank = step.operation.axis, len(step.output_specs[0].shape)
    return sorted(each % rank for each in (axis if isinstance(axis, (list, tuple)) else [axis]))


def _spread(weight, axes, rank, dtype):
    """A weight, shaped to broadcast along axes of a tensor."""
    shape = [1] * rank
    for axis, size in zip(axes, weight.shape, strict=True):
        shape[axis] = size
    return ops.reshape(ops.cast(weight, dtype), shape)


for _class, _kind, _shape, _arguments in (
    (layers.LayerNormalization, LayerNormalization(centers=True), (4, 3), {}),
    (layers.RMSNormalization, RMSNormalization(centers=False), (4, 3), {}),
    (layers.UnitNormalization, UnitNormalization(centers=False), (4, 3), {}),
    (layers.GroupNormalization, GroupNormalization(centers=True), (6, 6, 4), {"groups": 2}),
):
    register(_class, _kind, Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments)(x)))
