"""Distribution over several devices by `tf.distribute`."""

from contextlib import AbstractContextManager

import keras


def scope_of(model: keras.Model) -> AbstractContextManager:
    """A context in which variables are made for the devices that the model's own variables are on."""
    return model.distribute_strategy.scope()
