"""Reconstruction-error rule of Kroshchanka and Golovko."""

from typing import final

import keras
from keras import ops

from keras_xai.pretraining.rule import Rule


@keras.saving.register_keras_serializable(package="keras_xai")
@final
class ReconstructionError(Rule):
    """Squared reconstruction error of visible and hidden units, with the activation's derivative.

    With the data x0, hidden means y0, reconstructions x1 and their hidden means y1, the rule descends the gradient of half the batch mean
    of `sum(square(x1 - x0)) + sum(square(y1 - y0))`, in which y0 is held fixed everywhere, and x1 in the second sum. For linear units this
    is contrastive divergence; for others the updates are multiplied by the slope of the activation, which is 0 or 1 for ReLU.

    Source: Kroshchanka & Golovko, "Neural Networks Interpretation Improvement". The paper prints the factor 1 / (2 L) before the first sum
    only; its update rules show that it applies to both.

    Args:
        **options: See `keras_xai.pretraining.Rule`.

    Example:

    >>> from keras_xai.pretraining import ReconstructionError
    >>> ReconstructionError().learning_rate
    0.04
    """

    learning_rate = 0.04

    def loss(self, machine, visible, *, training):
        hidden = ops.stop_gradient(machine.hidden_means(visible))
        reconstruction = machine.visible_means(hidden)
        again = machine.hidden_means(ops.stop_gradient(reconstruction))
        error = ops.sum(ops.square(reconstruction - visible), axis=-1) + ops.sum(ops.square(again - hidden), axis=-1)
        return error / 2
