"""Initialization of the visible bias from the data."""

from typing import Any, final

import keras
from keras import ops

from keras_xai.pretraining.trainer import RBMTrainer


def fit_visible_bias(trainer: RBMTrainer, data: Any, steps: int | None = None) -> None:
    """Sets the visible bias of a machine so that each unconnected visible unit has the data's mean.

    For Bernoulli units that is log(p / (1 - p)), see
    [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), section 8.1.

    Args:
        trainer: The trainer of the machine.
        data: The training data, in batches.
        steps: Number of batches to read, all by default.
    """
    layer = trainer.layer
    reader = _Reader(trainer.call, layer.visible_bias.shape[0])
    reader.compile()
    reader.evaluate(data, steps=steps, verbose=0)
    totals, count = (ops.convert_to_numpy(variable) for variable in (reader.totals.sums, reader.totals.count))
    layer.visible_bias.assign(layer.machine().visible.bias(totals, float(count)))


@final
class _Reader(keras.Model):
    """Sums the visible units' values during evaluation."""

    def __init__(self, visible, features):
        super().__init__(autocast=False, name="totals")
        self._visible = visible
        self.totals = _Totals(features)
        self.built = True

    def call(self, inputs):
        return self._visible(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.totals.update_state(y_pred)
        return ops.zeros(())

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()


@final
class _Totals(keras.metrics.Metric):
    """Sums over samples, as a metric because Keras sums metrics over devices."""

    def __init__(self, features):
        super().__init__(dtype="float64", name="samples")
        self.sums = self.add_variable((features,), "zeros", name="sums")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values):
        rows = ops.cast(ops.reshape(values, (-1, values.shape[-1])), self.dtype)
        self.sums.assign_add(ops.sum(rows, axis=0))
        self.count.assign_add(ops.cast(ops.shape(rows)[0], self.dtype))

    def result(self):
        return self.count
