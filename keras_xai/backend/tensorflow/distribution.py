"""Distribution over several devices by `tf.distribute`."""

from contextlib import AbstractContextManager

import keras
import tensorflow as tf


def scope_of(model: keras.Model) -> AbstractContextManager:
    """A strategy scope in which new variables are placed as the model's own variables are."""
    return model.distribute_strategy.scope()


def is_distributed(model: keras.Model) -> bool:
    """Whether the model's variables are placed by a strategy."""
    with scope_of(model):
        return tf.distribute.has_strategy()
