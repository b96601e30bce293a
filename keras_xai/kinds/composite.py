"""Layers that mean what the layers and operations in their `call()` mean."""

import keras
from keras import layers, ops, tree

from keras_xai.graph.trace import trace_function
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.kind import Example, OnePiece, register


class Composite(OnePiece):
    """A layer whose `call()` is made of Keras layers and `keras.ops` alone; it is divided into these."""

    role = "composite"

    def parts(self, step):
        def call(*tensors):
            args, kwargs = step.bind(tensors)
            return step.operation.call(*args, **kwargs)

        layer = step.operation
        graph = trace_function(call, step.input_specs, name=f"{type(layer).__name__}.call", owner=layer)
        if layer.variables and any(map(ops.is_tensor, tree.flatten([part.arguments for part in graph.steps]))):
            raise ValueError(
                "its `call()` computes a tensor from its weights before the input comes in, which would be kept as it is now "
                "when the weights change; register a kind that computes it in `freeze`"
            )
        return graph


class ActivationFunction(OnePiece):
    """The activation function that the layer applies."""

    role = "composite"

    def parts(self, step):
        return trace_activation(step.operation.activation, step.output_specs)


register(
    layers.Activation,
    ActivationFunction(),
    Example((4,), lambda x: layers.Activation("relu")(x)),
    Example((4,), lambda x: layers.Activation(layers.LeakyReLU(0.1))(x)),
    Example((4,), lambda x: layers.Activation("linear")(x)),
)
register(
    layers.Lambda,
    Composite(),
    Example((4,), lambda x: layers.Lambda(lambda t: ops.maximum(2 * t, t) - 1)(x)),
)
register(
    layers.SpectralNormalization,
    Composite(),
    Example((4,), lambda x: layers.SpectralNormalization(keras.layers.Dense(3, "relu"))(x)),
)
