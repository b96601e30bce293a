"""Layers that are one affine map of one tensor at inference: dense layers, normalization by constants, casts."""

import keras
from keras import layers, ops

from keras_xai.graph.inlining import preceded
from keras_xai.graph.view import borrow
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.axes import BY_PRODUCT, BY_USE, Named, by_letters, channel_at
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.ranges import along


class Affine(OnePiece):
    """One affine map of one tensor."""

    role = "affine"

    def parts(self, step):
        return None


class AffineWithActivation(OnePiece):
    """An affine map, followed by a fused activation."""

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

    def bias(self, step):
        return getattr(step.operation, "bias", None)

    def kernel_channels(self, step):
        return (-1,) if self.kernels(step) else None


class Dense(AffineWithActivation):
    """A product with a matrix along the last axis, followed by a fused activation."""

    def axis_names(self, step):
        names = channel_at(-1, len(step.input_specs[0].shape) - 1)
        return Named(names, names, BY_PRODUCT)

    def receptive_range(self, step, wanted, shape, output_shape):
        return along([len(shape) - 1], wanted, shape)


class EinsumDense(AffineWithActivation):
    """A contraction with a tensor, followed by a fused activation."""

    def kernel_channels(self, step):
        _, kernel, output = step.operation.equation.replace("->", ",").split(",")
        return (-1,) if kernel[-1] == output[-1] else None

    def axis_sources(self, step, position):
        return by_letters(step.operation.equation, 0)


class Scaling(Affine):
    """Scales and shifts each entry."""

    def elementwise(self, step):
        return True


class Standardization(Scaling):
    """A scaling and a shift by constants, along one axis or for all entries alike."""

    def axis_names(self, step):
        axes = step.operation.axis
        if len(axes) != 1:
            return None
        names = channel_at(axes[0], len(step.input_specs[0].shape) - 1)
        return Named(names, names, BY_USE)


class BatchNormalization(Scaling):
    """A scaling; in training, by the statistics of the batch, which relevance treats as constants."""

    def axis_names(self, step):
        names = channel_at(step.operation.axis, len(step.input_specs[0].shape) - 1)
        return Named(names, names, BY_USE)

    def normalized_axis(self, step):
        return step.operation.axis

    def scale(self, step):
        layer = step.operation
        scale = ops.rsqrt(ops.convert_to_tensor(layer.moving_variance) + layer.epsilon)
        return scale * ops.convert_to_tensor(layer.gamma) if layer.scale else scale

    def tangent(self, step, inputs):
        layer, (x,) = step.operation, inputs
        if not step.arguments[1]["training"] or not layer.trainable or getattr(layer, "renorm", False):
            return None  # renormalization depends on more than the batch's statistics
        axis = layer.axis % len(x.shape)
        others = [other for other in range(len(x.shape)) if other != axis]
        precise = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        _, variance = ops.moments(precise, others, keepdims=True, synchronized=layer.synchronized)
        slope = ops.rsqrt(variance + layer.epsilon)
        if layer.scale:
            slope = slope * ops.reshape(ops.cast(layer.gamma, precise.dtype), slope.shape)
        return lambda inputs: [ops.cast(slope, inputs[0].dtype) * inputs[0]]


class Cast(OnePiece):
    """A change of floating-point type."""

    role = "affine"

    def parts(self, step):
        return None

    def elementwise(self, step):
        return True

    def keeps_sign(self, step):
        return True

    def refusal(self, step):
        dtype = step.output_specs[0].dtype
        return None if dtype.startswith(("float", "bfloat")) else f"it rounds to {dtype}"

    def freeze(self, step, pattern):
        return list  # everything is computed in one dtype


def _normalization():
    return layers.Normalization(mean=[0.3, -0.2], variance=[0.5, 2.0])


def _batch_normalization():
    random = keras.initializers.RandomUniform(0.5, 1.5, seed=0)
    return layers.BatchNormalization(
        gamma_initializer=random, beta_initializer=random, moving_mean_initializer=random, moving_variance_initializer=random
    )


_IMAGE = (6, 6, 2)

register(layers.Dense, Dense(), Example((4,), lambda x: layers.Dense(3, "relu")(x)))
register(
    layers.EinsumDense,
    EinsumDense(),
    Example((3, 4), lambda x: layers.EinsumDense("abc,cd->abd", (3, 5), activation="relu", bias_axes="d")(x)),
    Example((3, 4), lambda x: layers.EinsumDense("abc,cd->adb", (4, 3))(x)),  # channels are not the last axis
)
register(layers.BatchNormalization, BatchNormalization(), Example(_IMAGE, lambda x: _batch_normalization()(x)))
register(layers.Normalization, Standardization(), Example((4, 2), lambda x: _normalization()(x)))
register(layers.Rescaling, Scaling(), Example(_IMAGE, lambda x: layers.Rescaling(2.0, offset=-1.0)(x)))
register(ops.negative, Scaling(), Example((4,), lambda x: ops.negative(x)))
register(ops.cast, Cast(), Example((4,), lambda x: ops.cast(x, "float64")))
register(ops.convert_to_tensor, Cast(), Example((4,), lambda x: ops.convert_to_tensor(x)))
