"""How many steps of pretraining run as one call of the compiled program."""

import math
from collections.abc import Iterable
from typing import Any

import keras

from keras_xai.pretraining.plan import Stage

# Multiplications and additions that take about as long as a hundred calls of a program; the most steps between two updates of a bar.
_WORK, _MOST = 2.5e9, 50
_BATCH_METHODS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


def steps_per_execution(
    stage: Stage, batch_size: int, num_batches: int | None, callbacks: Iterable[keras.callbacks.Callback]
) -> int:
    """The number of steps for which calling the program costs little, or 1 where someone looks at each step.

    Args:
        stage: The stage.
        batch_size: Samples per batch.
        num_batches: Batches per epoch, `None` if unknown.
        callbacks: The user's callbacks.
    """
    if any(_looks_at_batches(callback) for callback in callbacks):
        return 1
    shapes = [weight.shape for step in stage.network.graph.steps for weight in getattr(step.operation, "weights", ())]
    if any(len(shape) > 2 for shape in shapes):
        return 1  # a convolution's work is not told by its weights, and is large
    size = 5 * math.prod(stage.layer.kernel.shape) + sum(map(math.prod, shapes))
    return max(1, min(_MOST, num_batches or _MOST, round(_WORK / (2 * batch_size * size))))


def _looks_at_batches(callback: Any) -> bool:
    if "epoch" in (getattr(callback, "save_freq", None), getattr(callback, "update_freq", None)):
        return False  # backups, checkpoints and TensorBoard count the batches, and need not
    # A `LambdaCallback` has functions in the place of methods.
    methods = {name: getattr(getattr(callback, name), "__func__", None) for name in _BATCH_METHODS}
    return any(method is not getattr(keras.callbacks.Callback, name) for name, method in methods.items())
