"""Convolutions: regular, depthwise, separable and transposed."""

import functools
import math

from keras import layers, ops

from keras_xai.graph.view import borrow
from keras_xai.kinds.affine import AffineWithActivation
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.ranges import by_place, transposed_window, window
from keras_xai.kinds.windows import between, with_channels_last


class WindowedConvolution(AffineWithActivation):
    """A convolution, followed by a fused activation."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), window(step.operation, step.operation.kernel_size))


class Convolution(WindowedConvolution):
    """A channels-last convolution, because TensorFlow has no channels-first convolution in float64 on a CPU.

    If windows have few entries, it is a product with them, which is several times faster to differentiate.
    """

    def freeze(self, step, pattern):
        conv = borrow(step.operation, data_format="channels_last")
        convolve = functools.partial(self._product, conv) if self._has_small_windows(conv) else conv.call
        return lambda inputs: [with_channels_last(convolve, inputs[0], step.operation.data_format)]

    @staticmethod
    def _has_small_windows(conv):
        return (
            type(conv).convolution_op is layers.Conv2D.convolution_op  # which subclasses may override
            and math.prod(conv.kernel.shape[:-1]) <= conv.filters
            and set(conv.strides) == {1}
            and conv.groups == 1
            and conv.padding in ("same", "valid")
        )

    @staticmethod
    def _product(conv, x):
        reaches = [(size - 1) * dilation for size, dilation in zip(conv.kernel_size, conv.dilation_rate, strict=True)]
        if conv.padding == "same":
            x = ops.pad(x, ((0, 0), *((reach // 2, reach - reach // 2) for reach in reaches), (0, 0)))
        lengths = [length - reach for length, reach in zip(x.shape[1:-1], reaches, strict=True)]
        for axis, (size, dilation) in enumerate(zip(conv.kernel_size, conv.dilation_rate, strict=True), start=1):
            starts = range(0, size * dilation, dilation)
            x = ops.stack([between(x, start, start + lengths[axis - 1], axis) for start in starts], axis=-2)
        windows = ops.reshape(x, (-1, math.prod(conv.kernel.shape[:-1])))
        y = ops.matmul(windows, ops.reshape(conv.kernel, (-1, conv.filters)))
        y = ops.reshape(y, (-1, *lengths, conv.filters))
        return y + conv.bias if conv.use_bias else y


class DepthwiseConvolution(WindowedConvolution):
    """A depthwise convolution, followed by a fused activation."""

    def kernel_channels(self, step):
        return (-2, -1)


class SeparableConvolution(WindowedConvolution):
    """A depthwise and a pointwise convolution, followed by a fused activation."""

    def factors(self, step):
        layer = step.operation

        def within(x, kernel):
            return ops.depthwise_conv(x, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)

        def across(x, kernel):
            return ops.conv(x, kernel, 1, "valid", layer.data_format)

        return [within, across]


class TransposedConvolution(AffineWithActivation):
    """A transposed convolution, channels last for the same reason, followed by a fused activation."""

    def freeze(self, step, pattern):
        conv = borrow(step.operation, data_format="channels_last")
        return lambda inputs: [with_channels_last(conv.call, inputs[0], step.operation.data_format)]

    def kernel_channels(self, step):
        return (-2,)

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), transposed_window(step.operation))


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 6, 2), (4, 4, 4, 2)

for _class, _kind, _shape, _arguments in (
    (layers.DepthwiseConv1D, DepthwiseConvolution(), _SERIES, {"kernel_size": 3, "depth_multiplier": 2}),
    (layers.DepthwiseConv2D, DepthwiseConvolution(), _IMAGE, {"kernel_size": 3}),
    (layers.SeparableConv1D, SeparableConvolution(), _SERIES, {"filters": 3, "kernel_size": 3}),
    (layers.SeparableConv2D, SeparableConvolution(), _IMAGE, {"filters": 3, "kernel_size": 3}),
    (layers.Conv1DTranspose, TransposedConvolution(), _SERIES, {"filters": 3, "kernel_size": 3, "strides": 2}),
    (layers.Conv2DTranspose, TransposedConvolution(), _IMAGE, {"filters": 3, "kernel_size": 3, "strides": 2}),
    (layers.Conv3DTranspose, TransposedConvolution(), _VOLUME, {"filters": 2, "kernel_size": 2}),
):
    register(
        _class,
        _kind,
        Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments, activation="relu")(x)),
        Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments | {"strides": 2}, padding="same")(x)),
    )
# Causal padding exists only for series.
_causal = {layers.Conv1D: [Example(_SERIES, lambda x: layers.Conv1D(3, 3, dilation_rate=2, padding="causal")(x))]}
for _class, _shape in ((layers.Conv1D, _SERIES), (layers.Conv2D, _IMAGE), (layers.Conv3D, _VOLUME)):
    register(
        _class,
        Convolution(),
        Example(_shape, lambda x, cls=_class: cls(3, 2, activation="relu")(x)),
        Example(_shape, lambda x, cls=_class: cls(3, 3, strides=2, padding="same")(x)),
        Example(_shape, lambda x, cls=_class: cls(20, 2, padding="same", activation="relu")(x)),
        Example(_shape, lambda x, cls=_class: cls(20, 2, dilation_rate=2, use_bias=False)(x)),
        *_causal.get(_class, ()),
    )
