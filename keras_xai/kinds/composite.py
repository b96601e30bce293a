"""Composite layers, divided into the layers and operations in their `call()`, and wrappers."""

import dataclasses

import keras
from keras import layers, ops, tree

from keras_xai.graph.trace import trace_function
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.kind import OnePiece


class Composite(OnePiece):
    """A layer whose `call()` consists of Keras layers and `keras.ops` alone, into which it is expanded."""

    role = "composite"

    def parts(self, step):
        def call(*tensors):
            args, kwargs = step.bind(tensors)
            return step.operation.call(*args, **kwargs)

        layer = step.operation
        graph = trace_function(call, step.input_specs, name=f"{type(layer).__name__}.call", owner=layer)
        if layer.variables and any(map(_is_computed, tree.flatten([part.arguments for part in graph.steps]))):
            raise ValueError(
                "its `call()` computes a tensor from its weights before the input is known, which would not change "
                "when the weights change; register a kind that computes it in `freeze`"
            )
        return graph


def _is_computed(leaf):
    # `keras.ops` treats a variable as a tensor, which is read at each call.
    return ops.is_tensor(leaf) and not isinstance(leaf, keras.Variable)


class ActivationFunction(OnePiece):
    """The activation function that the layer applies."""

    role = "composite"

    def parts(self, step):
        return trace_activation(step.operation.activation, step.output_specs)


class CompositeWrapper(Composite):
    """A wrapper, expanded into the steps of the wrapped layer and the rest of its own `call()`."""

    def convolves(self, step):
        inner = dataclasses.replace(step, operation=step.operation.layer)
        return kind_of(inner).convolves(inner)


class TimeDistributed(Composite):
    """A wrapper that calls its layer once for each time step, expanded into these calls."""

    def parts(self, step):
        layer, count = step.operation, step.input_specs[0].shape[1]
        if count is None:
            raise ValueError(
                "it calls its layer once for each time step, and their number is not known; give `keras.Input` a length"
            )

        def call(x):
            return ops.stack([layer.layer(x[:, i]) for i in range(count)], axis=1)

        return trace_function(call, step.input_specs, name="TimeDistributed.call", owner=layer)

    def convolves(self, step):
        inner = self._of_one_time(step)
        return kind_of(inner).convolves(inner)

    def channel_axis(self, step):
        inner = self._of_one_time(step)
        return kind_of(inner).channel_axis(inner)  # counted from the end, unaffected by the time axis

    @staticmethod
    def _of_one_time(step):
        specs = [keras.KerasTensor((spec.shape[0], *spec.shape[2:]), spec.dtype) for spec in step.output_specs]
        return dataclasses.replace(step, operation=step.operation.layer, output_specs=tuple(specs))


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
    CompositeWrapper(),
    Example((4,), lambda x: layers.SpectralNormalization(layers.Dense(3, "relu"))(x)),
)
register(
    layers.TimeDistributed,
    TimeDistributed(),
    Example((3, 6, 6, 2), lambda x: layers.TimeDistributed(layers.Conv2D(2, 3))(x)),
)
