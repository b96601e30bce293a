"""Models, explanations and methods whose figures are known."""

import keras
import numpy as np
from keras import layers

from keras_xai.attribution import Explanation, Method
from keras_xai.attribution.parts import Part


def explained(inputs, values, target=None, *, method="Hand", baseline=None):
    """An explanation of given values."""
    count = len(keras.tree.flatten(inputs)[0])
    target = np.zeros(count, "int32") if target is None else target
    return Explanation(values, target, inputs, None, baseline, 1.0, method)


def linear(weights):
    """A model of one score, a weighted sum."""
    weights = np.asarray(weights, "float32")
    shape = weights.shape
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.layers[-1].kernel.assign(weights.reshape(-1, 1))
    return model


def convolutional(activation="softmax", units=3):
    """A small network on images of 6 x 5 pixels and 2 channels, its weights drawn at random."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv", bias_initializer="random_normal"),
            layers.BatchNormalization(gamma_initializer="random_normal", beta_initializer="random_normal", name="norm"),
            layers.Flatten(),
            layers.Dense(6, activation="tanh", name="hidden", bias_initializer="random_normal"),
            layers.Dense(units, activation=activation, name="head", bias_initializer="random_normal"),
        ]
    )


class Edges(Method):
    """An edge detector: it looks at the sample and never at the model."""

    def _prepare(self, target):
        predicted = self._scores.predictor(target)

        def explain(batch):
            values = [np.abs(np.gradient(x, axis=1)) for x in batch.inputs]
            return Part(values, predicted(batch.inputs, batch.indices), convergence_delta=None, num_forward_passes=0)

        return explain


class Watching(Method):
    """Notes the weights of the model each time that it explains, and fails at a given time."""

    def __init__(self, model, *, fails_at=None, error=ValueError):
        super().__init__(model)
        self.seen = []
        self._fails_at = fails_at
        self._error = error

    def _prepare(self, target):
        def explain(batch):
            self.seen.append([variable.numpy() for variable in self.variables])
            if len(self.seen) == self._fails_at:
                raise self._error("on purpose")
            return Part(list(batch.inputs), batch.indices, convergence_delta=None, num_forward_passes=1)

        return explain
