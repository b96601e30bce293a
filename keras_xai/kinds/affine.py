"""Layers that are one affine map of one tensor at inference."""

import functools
import math

import keras
import numpy as np
from keras import layers, ops

from keras_xai.graph.trace import preceded
from keras_xai.graph.view import borrow
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.kind import Example, OnePiece, register
from keras_xai.kinds.windows import PoolingWindows, adaptive_windows, between, channels_back, channels_last, with_channels_last


class Affine(OnePiece):
    """One affine map of one tensor."""

    role = "affine"

    def parts(self, step):
        return None


class AffineWithActivation(OnePiece):
    """An affine map, then the activation that is fused into the layer."""

    role = "affine"

    def parts(self, step):
        activation = step.operation.activation
        if activation is keras.activations.linear:
            return None
        linear = borrow(step.operation, activation=keras.activations.linear)
        return preceded(step, linear, trace_activation(activation, step.output_specs))

    def kernels(self, step):
        names = ("kernel", "depthwise_kernel", "pointwise_kernel")
        return [getattr(step.operation, name) for name in names if getattr(step.operation, name, None) is not None]


class Scaling(Affine):
    """Each entry times a number, plus a number."""

    def elementwise(self, step):
        return True


class BatchNormalization(Scaling):
    """A scaling; in training, by the statistics of the batch, which relevance takes for constants."""

    def tangent(self, step, inputs):
        layer, (x,) = step.operation, inputs
        if not step.arguments[1]["training"] or not layer.trainable or getattr(layer, "renorm", False):
            return None  # with renormalization, the batch's statistics are not all that there is to it
        axis = layer.axis % len(x.shape)
        others = [other for other in range(len(x.shape)) if other != axis]
        precise = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        _, variance = ops.moments(precise, others, keepdims=True, synchronized=layer.synchronized)
        slope = ops.rsqrt(variance + layer.epsilon)
        if layer.scale:
            slope = slope * ops.reshape(ops.cast(layer.gamma, precise.dtype), slope.shape)
        return lambda inputs: [ops.cast(slope, inputs[0].dtype) * inputs[0]]


class Convolution(AffineWithActivation):
    """A convolution, channels last, since TensorFlow has none in float64 on a CPU whose channels are first.

    Where windows have few entries it is a product with them, several times faster to differentiate.
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


class TransposedConvolution(AffineWithActivation):
    """A transposed convolution, channels last, for the same reason."""

    def freeze(self, step, pattern):
        conv = borrow(step.operation, data_format="channels_last")
        return lambda inputs: [with_channels_last(conv.call, inputs[0], step.operation.data_format)]


class TimesConstant(OnePiece):
    """A product, quotient or contraction, affine where only one operand depends on the input.

    Args:
        positions: Which operands may be the one that depends on the input.
    """

    role = "affine"

    def __init__(self, positions):
        self._positions = positions

    def parts(self, step):
        return None

    def refusal(self, step):
        if len(step.inputs) == 1 and any(step.takes_tensor(position) for position in self._positions):
            return None
        return "it multiplies or divides by a tensor that depends on the input, which is not piecewise linear"


class ScaledByConstant(TimesConstant):
    """A product or quotient, entry by entry."""

    def elementwise(self, step):
        return step.input_specs[0].shape == step.output_specs[0].shape


class WindowMean(OnePiece):
    """The mean of each window; written out, because TensorFlow cannot pool volumes in float64 on a CPU."""

    role = "affine"

    def parts(self, step):
        return None

    def freeze(self, step, pattern):
        pool = step.operation

        def mean(inputs):
            (x,) = inputs
            inside = PoolingWindows(pool, ops.ones_like(x), padding_value=0).entries()
            windows = PoolingWindows(pool, x, padding_value=0).entries()
            return [channels_back(ops.sum(windows, axis=-2) / ops.sum(inside, axis=-2), pool.data_format)]

        return mean


class AdaptiveWindowMean(OnePiece):
    """The mean of each of a given number of windows; written out for the same reason."""

    role = "affine"

    def parts(self, step):
        return None

    def freeze(self, step, pattern):
        pool = step.operation

        def mean(inputs):
            windows, weights = adaptive_windows(pool, inputs[0])
            weights = ops.convert_to_tensor(weights, dtype=windows.dtype)
            return [channels_back(ops.sum(windows * weights, axis=-2), pool.data_format)]

        return mean


class Interpolation(OnePiece):
    """Resizes or crops images, each axis by a matrix: TensorFlow has no second derivatives of resizing, and no float64."""

    role = "affine"

    def parts(self, step):
        return None

    def refusal(self, step):
        if getattr(step.operation, "pad_to_aspect_ratio", False):
            return "it pads to an aspect ratio, which is not known here; pad with a layer of its own"
        return None if len(step.input_specs[0].shape) == 4 else "it resizes a single image, not a batch"

    def freeze(self, step, pattern):
        data_format = step.operation.data_format

        def resized(inputs):
            x = channels_last(inputs[0], data_format)
            for axis, equation in ((1, "bhwc,hk->bkwc"), (2, "bhwc,wk->bhkc")):
                x = ops.einsum(equation, x, ops.cast(self._matrix(step, inputs[0], axis, data_format), x.dtype))
            return [channels_back(x, data_format)]

        return resized

    def tangent(self, step, inputs):
        return self.freeze(step, None)

    @staticmethod
    def _matrix(step, x, axis, data_format):
        """What becomes of one row (or column) of ones after the other."""
        sizes = channels_last(ops.zeros_like(x[:1]), data_format).shape[1:3]
        shape = [sizes[axis - 1], 1, 1, 1]
        shape[axis] = sizes[axis - 1]
        lines = ops.reshape(ops.eye(sizes[axis - 1]), shape) * ops.ones((1, *sizes, 1))
        (y,) = step(channels_back(lines, data_format))
        y = channels_last(y, data_format)
        return y[:, :, 0, 0] if axis == 1 else y[:, 0, :, 0]


class Cast(OnePiece):
    """A change of floating-point type."""

    role = "affine"

    def parts(self, step):
        return None

    def elementwise(self, step):
        return True

    def refusal(self, step):
        dtype = step.output_specs[0].dtype
        return None if dtype.startswith(("float", "bfloat")) else f"it rounds to {dtype}"

    def freeze(self, step, pattern):
        return list  # all is computed in one type


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 6, 2), (4, 4, 4, 2)
_shape: tuple[int, ...]


def _normalization():
    return layers.Normalization(mean=[0.3, -0.2], variance=[0.5, 2.0])


def _batch_normalization():
    random = keras.initializers.RandomUniform(0.5, 1.5, seed=0)
    return layers.BatchNormalization(
        gamma_initializer=random, beta_initializer=random, moving_mean_initializer=random, moving_variance_initializer=random
    )


for _class, _shape, _build in (
    (layers.Dense, (4,), lambda: layers.Dense(3, "relu")),
    (layers.EinsumDense, (3, 4), lambda: layers.EinsumDense("abc,cd->abd", (3, 5), activation="relu", bias_axes="d")),
    (layers.DepthwiseConv1D, _SERIES, lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, activation="relu")),
    (layers.DepthwiseConv2D, _IMAGE, lambda: layers.DepthwiseConv2D(3, activation="relu")),
    (layers.SeparableConv1D, _SERIES, lambda: layers.SeparableConv1D(3, 3, activation="relu")),
    (layers.SeparableConv2D, _IMAGE, lambda: layers.SeparableConv2D(3, 3, activation="relu")),
):
    register(_class, AffineWithActivation(), Example(_shape, lambda x, build=_build: build()(x)))
for _class, _shape, _build in (
    (layers.Conv1DTranspose, _SERIES, lambda: layers.Conv1DTranspose(3, 3, strides=2, activation="relu")),
    (layers.Conv2DTranspose, _IMAGE, lambda: layers.Conv2DTranspose(3, 3, strides=2, activation="relu")),
    (layers.Conv3DTranspose, _VOLUME, lambda: layers.Conv3DTranspose(2, 2, activation="relu")),
):
    register(_class, TransposedConvolution(), Example(_shape, lambda x, build=_build: build()(x)))
for _class, _shape in ((layers.Conv1D, _SERIES), (layers.Conv2D, _IMAGE), (layers.Conv3D, _VOLUME)):
    register(
        _class,
        Convolution(),
        Example(_shape, lambda x, cls=_class: cls(3, 2, activation="relu")(x)),
        Example(_shape, lambda x, cls=_class: cls(3, 3, strides=2, padding="same")(x)),
        Example(_shape, lambda x, cls=_class: cls(20, 2, padding="same", activation="relu")(x)),
        Example(_shape, lambda x, cls=_class: cls(20, 2, dilation_rate=2, use_bias=False)(x)),
    )

for _class, _shape, _build in (
    (layers.AveragePooling1D, _SERIES, lambda: layers.AveragePooling1D(2)),
    (layers.AveragePooling2D, _IMAGE, lambda: layers.AveragePooling2D(3, strides=2, padding="same")),
    (layers.AdaptiveAveragePooling1D, _SERIES, lambda: layers.AdaptiveAveragePooling1D(3)),
    (layers.AdaptiveAveragePooling2D, _IMAGE, lambda: layers.AdaptiveAveragePooling2D(4)),
    (layers.GlobalAveragePooling1D, _SERIES, lambda: layers.GlobalAveragePooling1D()),
    (layers.GlobalAveragePooling2D, _IMAGE, lambda: layers.GlobalAveragePooling2D(keepdims=True)),
    (layers.GlobalAveragePooling3D, _VOLUME, lambda: layers.GlobalAveragePooling3D()),
    (layers.UpSampling1D, _SERIES, lambda: layers.UpSampling1D(2)),
    (layers.UpSampling3D, _VOLUME, lambda: layers.UpSampling3D(2)),
):
    register(_class, Affine(), Example(_shape, lambda x, build=_build: build()(x)))

register(layers.BatchNormalization, BatchNormalization(), Example(_IMAGE, lambda x: _batch_normalization()(x)))
register(layers.Normalization, Scaling(), Example((4, 2), lambda x: _normalization()(x)))
register(layers.Rescaling, Scaling(), Example(_IMAGE, lambda x: layers.Rescaling(2.0, offset=-1.0)(x)))
register(ops.negative, Scaling(), Example((4,), lambda x: ops.negative(x)))

register(
    layers.AveragePooling3D,
    WindowMean(),
    Example(_VOLUME, lambda x: layers.AveragePooling3D(2)(x)),
    Example(_VOLUME, lambda x: layers.AveragePooling3D(3, strides=2, padding="same")(x)),
)
register(
    layers.AdaptiveAveragePooling3D, AdaptiveWindowMean(), Example(_VOLUME, lambda x: layers.AdaptiveAveragePooling3D(3)(x))
)

for _function, _example in (
    (ops.sum, Example(_IMAGE, lambda x: ops.sum(x, axis=(1, 2)))),
    (ops.mean, Example(_IMAGE, lambda x: ops.mean(x, axis=-1, keepdims=True))),
    (ops.average_pool, Example(_IMAGE, lambda x: ops.average_pool(x, 2))),
):
    register(_function, Affine(), _example)

_EITHER, _FIRST = (0, 1), (0,)
for _function, _positions, _example in (
    (ops.multiply, _EITHER, Example((4,), lambda x: x * np.array([1.0, -2.0, 3.0, 0.5]))),
    (ops.divide, _FIRST, Example((4,), lambda x: ops.divide(x, 3.0))),
    (ops.true_divide, _FIRST, Example((4,), lambda x: x / 3.0)),
):
    register(_function, ScaledByConstant(_positions), _example)
for _function, _positions, _example in (
    (ops.matmul, _EITHER, Example((4,), lambda x: ops.matmul(x, np.arange(8.0).reshape(4, 2)))),
    (ops.dot, _EITHER, Example((4,), lambda x: ops.dot(x, np.arange(8.0).reshape(4, 2)))),
    (ops.tensordot, _EITHER, Example((4,), lambda x: ops.tensordot(x, np.arange(8.0).reshape(4, 2), axes=1))),
    (ops.conv, _FIRST, Example(_IMAGE, lambda x: ops.conv(x, np.ones((3, 3, 2, 2), "float32")))),
    (ops.einsum, _EITHER, Example((4,), lambda x: ops.einsum("bi,ij->bj", x, np.arange(8.0).reshape(4, 2)))),
):
    register(_function, TimesConstant(_positions), _example)

register(ops.cast, Cast(), Example((4,), lambda x: ops.cast(x, "float64")))

register(
    layers.UpSampling2D,
    Interpolation(),
    Example(_IMAGE, lambda x: layers.UpSampling2D(2)(x)),
    Example(_IMAGE, lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear")(x)),
    Example(_IMAGE, lambda x: layers.UpSampling2D(2, interpolation="bicubic")(x)),
)
register(
    layers.Resizing,
    Interpolation(),
    Example(_IMAGE, lambda x: layers.Resizing(9, 4)(x)),
    Example(_IMAGE, lambda x: layers.Resizing(4, 5, interpolation="nearest", crop_to_aspect_ratio=True)(x)),
)
register(
    layers.CenterCrop,
    Interpolation(),
    Example(_IMAGE, lambda x: layers.CenterCrop(4, 3)(x)),
    Example(_IMAGE, lambda x: layers.CenterCrop(7, 9)(x)),
)
register(
    ops.image.resize,
    Interpolation(),
    Example(_IMAGE, lambda x: ops.image.resize(x, (9, 9))),
    Example(_IMAGE, lambda x: ops.image.resize(x, (3, 4), antialias=True)),
)
