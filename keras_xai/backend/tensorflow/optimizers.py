"""Gradient descent with momentum as one operation per variable."""

from typing import final

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_xai")
@final
class FusedSGD(keras.optimizers.SGD):
    """`keras.optimizers.SGD` whose step with momentum is one operation, instead of one for each product and sum.

    Each operation reads and writes memory of the variable's size, which takes longer than the gradient if there are few samples.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.momentum == 0 or self.nesterov or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[self._get_variable_index(variable)].value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.constant(self.momentum, variable.dtype),
        )
