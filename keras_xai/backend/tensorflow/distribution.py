"""Distribution over several devices by `tf.distribute`."""

from contextlib import AbstractContextManager

import keras


def scope_of(model: keras.Model) -> AbstractContextManager:
    """A strategy scope in which new variables are placed as the model's own variables are."""
    return model.distribute_strategy.scope()
