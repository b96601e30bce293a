"""Composite layers, divided into the layers and operations in their `call()`, and wrappers."""

import dataclasses

import keras
from keras import layers, ops

from keras_xai.graph.calls import inside
from keras_xai.kinds.activation import trace_activation
from keras_xai.kinds.axes import Named
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.kind import OnePiece


class Composite(OnePiece):
    """A layer whose `call()` consists of Keras layers and `keras.ops` alone, into which it is expanded."""

    role = "composite"

    def parts(self, step):
        return inside(step, compare=False)  # registered as what its `call()` does


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
    """A wrapper that calls its layer for each time step: all time steps are samples for the layer inside."""

    opens = True

    def parts(self, step):
        layer = step.operation.layer

        def call(x, training=None, mask=None):
            if mask is not None or x.shape[1] is None:
                raise ValueError("its time steps have a mask, or their number is not known")
            found = layer(ops.reshape(x, (-1, *x.shape[2:])), **({} if training is None else {"training": training}))
            return ops.reshape(found, (-1, x.shape[1], *found.shape[1:]))

        return inside(step, call)

    def apart(self, step):
        layer, count = step.operation.layer, step.input_specs[0].shape[1]
        if count is None:
            raise ValueError(
                "it calls its layer once for each time step, and their number is not known; give `keras.Input` a length"
            )

        def call(x, training=None, mask=None):
            if mask is not None:
                raise ValueError("its time steps have a mask")
            return ops.stack([layer(x[:, i]) for i in range(count)], axis=1)

        return inside(step, call)

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
    TimeDistributed(),
    Example((3, 6, 6, 2), lambda x: layers.TimeDistributed(layers.Conv2D(2, 3))(x)),
)
