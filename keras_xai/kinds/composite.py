"""Composite layers, divided into the layers and operations in their `call()`, and wrappers."""

import dataclasses

import keras
from keras import layers, ops, tree

from keras_xai.graph.trace import trace_function
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.axes import Named
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.smooth import Smooth


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


class TimeDistributed(Smooth):
    """A wrapper that calls its layer once for each time step."""

    def convolves(self, step):
        inner = self._of_one_time(step)
        return kind_of(inner).convolves(inner)

    def channel_axis(self, step):
        inner = self._of_one_time(step)
        return kind_of(inner).channel_axis(inner)  # counted from the end, unaffected by the time axis

    def axis_names(self, step):
        inner = self._of_one_time(step)
        named = kind_of(inner).axis_names(inner)
        if named is not None:
            return Named(["T", *named.inputs], ["T", *named.outputs], named.certainty)
        ranks = (len(step.input_specs[0].shape) - 1, len(step.output_specs[0].shape) - 1)
        return Named(["T", *[None] * (ranks[0] - 1)], ["T", *[None] * (ranks[1] - 1)])

    def axis_sources(self, step, position):
        inner = self._of_one_time(step)
        sources = kind_of(inner).axis_sources(inner, position)
        return sources and [(0,), *(tuple(axis + 1 for axis in each) for each in sources)]

    @staticmethod
    def _of_one_time(step):
        specs = [
            tuple(keras.KerasTensor((spec.shape[0], *spec.shape[2:]), spec.dtype) for spec in each)
            for each in (step.input_specs, step.output_specs)
        ]
        return dataclasses.replace(step, operation=step.operation.layer, input_specs=specs[0], output_specs=specs[1])


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
    TimeDistributed(
        "it calls its layer once for each time step, which is not divided into pieces; give a layer that takes them all"
    ),
    Example((3, 6, 6, 2), lambda x: layers.TimeDistributed(layers.Conv2D(2, 3))(x)),
)
