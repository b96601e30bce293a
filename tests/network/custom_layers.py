"""Layers and a model with a `call()` of their own, of which the package knows no more than what it traces."""

import math

import keras
from keras import layers, ops

registered = keras.saving.register_keras_serializable(package="tests.network")


@registered
class LeakyHinge(layers.Layer):
    """`max(x, slope * x) - shift` with a slope and a shift for each entry of the last axis: piecewise linear."""

    def build(self, shape):
        self.slope = self.add_weight(shape=(shape[-1],), initializer="ones", name="alpha")
        self.shift = self.add_weight(shape=(shape[-1],), initializer="zeros", name="shift")

    def call(self, x):
        slope = ops.minimum(ops.abs(self.slope), 1)
        return ops.subtract(ops.maximum(x, x * slope), self.shift)


@registered
class SineGate(layers.Layer):
    """`x * sigmoid(x w) + sin(x)`, of operations."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x):
        return x * ops.sigmoid(ops.matmul(x, self.kernel)) + ops.sin(x)


@registered
class Rows(layers.Layer):
    """Reshaping that asks for the number of samples, and numbers that every sample has."""

    def call(self, x):
        count = ops.shape(x)[0]
        flat = ops.reshape(x, (count, math.prod(x.shape[1:])))
        return ops.concatenate([flat, ops.ones((count, 1), dtype=x.dtype)], axis=-1)


@registered
class ResidualBlock(layers.Layer):
    """`x + second(relu(first(x)))`, of layers: piecewise linear."""

    def build(self, shape):
        self.first = layers.Dense(2, activation="relu", dtype=self.dtype_policy)
        self.second = layers.Dense(shape[-1], dtype=self.dtype_policy)
        self.first.build(shape)
        self.second.build((*shape[:-1], 2))

    def call(self, x):
        return x + self.second(self.first(x))


@registered
class SqueezeBlock(layers.Layer):
    """Squeeze-and-excitation: the input, scaled by a layer that sees its mean over the places."""

    def build(self, shape):
        self.gate = layers.Dense(shape[-1], activation="sigmoid", dtype=self.dtype_policy)
        self.normalize = layers.LayerNormalization(dtype=self.dtype_policy)
        self.gate.build((shape[0], shape[-1]))
        self.normalize.build(shape)

    def call(self, x):
        weights = self.gate(ops.mean(x, axis=tuple(range(1, len(x.shape) - 1))))
        return self.normalize(x) * ops.reshape(weights, (-1, *[1] * (len(x.shape) - 2), x.shape[-1]))


@registered
class Subclassed(keras.Model):
    """A model that calls a Sequential or functional one in a `call()` of its own.

    Args:
        inner: The model.
    """

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        if not isinstance(self.inner, keras.Sequential):
            return self.inner(inputs)
        for layer in self.inner.layers:
            inputs = layer(inputs)
        return inputs

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)
