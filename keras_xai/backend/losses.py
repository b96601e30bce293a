"""Mean losses over the batches of several devices, as Keras' own trainers take them."""

from typing import Any, final

import keras
from keras.src.losses.loss import unscale_loss_for_distribution


@final
class BatchMean(keras.losses.Loss):
    """The mean of losses that are there already; Keras' own class knows about weights and about several devices.

    Called as `mean(losses, losses, sample_weight)`. Like every loss of Keras it gives a device its share of the mean over
    the batches of all.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def of_own_batch(loss: Any) -> Any:
    """A device's share of a loss as the mean over its own batch, which is what metrics are updated with."""
    return unscale_loss_for_distribution(loss)
