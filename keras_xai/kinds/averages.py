"""Means and sums of entries: average pooling, upsampling by repetition, `ops.sum` and `ops.mean`."""

from keras import layers, ops

from keras_xai.kinds.affine import Affine
from keras_xai.kinds.axes import BY_USE, Named, kept_axes, reduced_names
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.ranges import adaptive_window, by_place, repeated, window
from keras_xai.kinds.windows import PoolingWindows, adaptive_windows, channels_back


class Mean(Affine):
    """A sum of entries with constant nonnegative weights, such as a mean."""

    def averages(self, step):
        return True


class ReducedMean(Mean):
    """The sum or mean along axes."""

    def axis_names(self, step):
        sources = self.axis_sources(step, 0)
        names = reduced_names(step.operation.axis, len(step.input_specs[0].shape) - 1)
        return Named(names, [names[each[0]] if each else None for each in sources], BY_USE)

    def axis_sources(self, step, position):
        return kept_axes(step.operation.axis, step.operation.keepdims, len(step.input_specs[0].shape) - 1)


class AveragePooling(Mean):
    """The mean of each window."""

    pools = "windows"

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), window(step.operation, step.operation.pool_size))


class AveragePooling3D(AveragePooling):
    """The mean of each window, without pooling operations, because TensorFlow cannot pool volumes in float64 on a CPU."""

    def freeze(self, step, pattern):
        pool = step.operation

        def mean(inputs):
            (x,) = inputs
            inside = PoolingWindows(pool, ops.ones_like(x), padding_value=0).entries()
            windows = PoolingWindows(pool, x, padding_value=0).entries()
            return [channels_back(ops.sum(windows, axis=-2) / ops.sum(inside, axis=-2), pool.data_format)]

        return mean


class GlobalAveragePooling(Mean):
    """The mean of each channel."""

    pools = "global"


class AdaptiveAveragePooling(Mean):
    """The mean of each of a given number of windows."""

    pools = "windows"

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), adaptive_window)


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The mean of each of a given number of windows, without pooling operations for the same reason."""

    def freeze(self, step, pattern):
        pool = step.operation

        def mean(inputs):
            windows, weights = adaptive_windows(pool, inputs[0])
            weights = ops.convert_to_tensor(weights, dtype=windows.dtype)
            return [channels_back(ops.sum(windows * weights, axis=-2), pool.data_format)]

        return mean


class Repetition(Mean):
    """Repeats each entry."""

    def data_format(self, step):
        return super().data_format(step) or "channels_last"  # an `UpSampling1D` has none

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), repeated(step.operation.size))


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 6, 2), (4, 4, 4, 2)

for _class, _kind, _shape, _build in (
    (layers.AveragePooling1D, AveragePooling(), _SERIES, lambda: layers.AveragePooling1D(2)),
    (layers.AveragePooling2D, AveragePooling(), _IMAGE, lambda: layers.AveragePooling2D(3, strides=2, padding="same")),
    (layers.AdaptiveAveragePooling1D, AdaptiveAveragePooling(), _SERIES, lambda: layers.AdaptiveAveragePooling1D(3)),
    (layers.AdaptiveAveragePooling2D, AdaptiveAveragePooling(), _IMAGE, lambda: layers.AdaptiveAveragePooling2D(4)),
    (layers.AdaptiveAveragePooling3D, AdaptiveAveragePooling3D(), _VOLUME, lambda: layers.AdaptiveAveragePooling3D(3)),
    (layers.GlobalAveragePooling1D, GlobalAveragePooling(), _SERIES, lambda: layers.GlobalAveragePooling1D()),
    (layers.GlobalAveragePooling2D, GlobalAveragePooling(), _IMAGE, lambda: layers.GlobalAveragePooling2D(keepdims=True)),
    (layers.GlobalAveragePooling3D, GlobalAveragePooling(), _VOLUME, lambda: layers.GlobalAveragePooling3D()),
    (layers.UpSampling1D, Repetition(), _SERIES, lambda: layers.UpSampling1D(2)),
    (layers.UpSampling3D, Repetition(), _VOLUME, lambda: layers.UpSampling3D(2)),
):
    register(_class, _kind, Example(_shape, lambda x, build=_build: build()(x)))
register(
    layers.AveragePooling3D,
    AveragePooling3D(),
    Example(_VOLUME, lambda x: layers.AveragePooling3D(2)(x)),
    Example(_VOLUME, lambda x: layers.AveragePooling3D(3, strides=2, padding="same")(x)),
)
register(ops.sum, ReducedMean(), Example(_IMAGE, lambda x: ops.sum(x, axis=(1, 2))))
register(ops.mean, ReducedMean(), Example(_IMAGE, lambda x: ops.mean(x, axis=-1, keepdims=True)))
register(ops.average_pool, AveragePooling(), Example(_IMAGE, lambda x: ops.average_pool(x, 2)))
