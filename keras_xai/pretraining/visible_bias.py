"""The visible bias that fits the data before any connection is learned."""

from typing import Any, final

import keras
from keras import ops

from keras_xai.pretraining.trainer import RBMTrainer


def fit_visible_bias(trainer: RBMTrainer, data: Any, steps: int | None = None) -> None:
    """Sets the visible bias of a machine to the one that, without connections, gives each visible unit the data's mean.

    For Bernoulli units that is log(p / (1 - p)), see
    [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), section 8.1.

    Args:
        trainer: Of the machine.
        data: What it is going to be trained on, in batches.
        steps: Number of batches to read, all by default.
    """
    totals = _Totals(trainer.call, trainer.layer.visible_bias.shape)
    totals.compile()
    totals.evaluate(data, steps=steps, verbose=0)
    bias = trainer.layer.machine().visible.bias(ops.convert_to_numpy(totals.sum), float(ops.convert_to_numpy(totals.count)))
    trainer.layer.visible_bias.assign(bias)


@final
class _Totals(keras.Model):
    """Adds up the visible units' values as it evaluates them."""

    def __init__(self, visible, shape):
        super().__init__(dtype="float64", autocast=False, name="totals")
        self._visible = visible
        for name, each in (("sum", shape), ("count", ())):
            variable = self.add_weight(name=name, shape=each, initializer="zeros", trainable=False, aggregation="sum")
            setattr(self, name, variable)
        self.built = True

    def call(self, inputs):
        return self._visible(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        rows = ops.cast(ops.reshape(y_pred, (-1, y_pred.shape[-1])), self.variable_dtype)
        self.sum.assign_add(ops.sum(rows, axis=0))
        self.count.assign_add(ops.cast(ops.shape(rows)[0], self.variable_dtype))
        return ops.zeros(())
