"""Mean losses under data parallelism, as Keras' trainers reduce them."""

from typing import Any, final

import keras
from keras.src.losses.loss import unscale_loss_for_distribution


@final
class BatchMean(keras.losses.Loss):
    """A `keras.losses.Loss` that averages precomputed losses, with sample weights and several devices.

    Called as `mean(losses, losses, sample_weight)`. Like every Keras loss, it gives each replica its share of the mean over the global
    batch.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def of_own_batch(loss: Any) -> Any:
    """Rescales a replica's share of a loss to the mean over its own batch, for metrics."""
    return unscale_loss_for_distribution(loss)
