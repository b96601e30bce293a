"""`RBMTrainer`: trains one layer through `fit()`, with a rule as the loss."""

from typing import final

import keras
from keras import ops

from keras_xai.backend import BatchMean
from keras_xai.data.backups import read_ruin, save_resumable
from keras_xai.graph.steps import Graph
from keras_xai.pretraining.plan import Stage


@final
class RBMTrainer(keras.Model):
    """Trains one machine through `fit()`. Callbacks get it as their `model`.

    Args:
        stage: The layer and rule of the training.
        batch_size: Samples per batch.
        seed: Seed of all randomness.

    Attributes:
        layer: The machine. Its kernel, bias and visible bias are trained in place.
        rule: This layer's copy of the rule.
        trained: Completed epochs, and batches of the next one.
        ruin: The reason why the layer is invalid, with `{layer}` in place of its path; empty if it is valid. Saved in backups.
        seed: Integer variable, saved in backups so that resumed training sees the data in the same order.
    """

    def __init__(self, stage: Stage, batch_size: int, seed: int):
        layer = stage.layer
        # No casting of inputs: the layers before the machine do that themselves.
        super().__init__(dtype=layer.dtype_policy, name=f"pretraining_{layer.name}", autocast=False)
        self.layer = layer
        self.rule = type(stage.rule).from_config(stage.rule.get_config())
        self.rule.prepare(layer, batch_size, seed)
        self._stage = stage
        self.seed = self.add_weight(
            name="seed", shape=(), dtype="int64", initializer=keras.initializers.Constant(seed), trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip
        self._mean_loss = BatchMean(name="mean", dtype=layer.variable_dtype)
        self._error = keras.metrics.Mean(name="reconstruction_error")
        self.trained = (0, 0)
        self.ruin = ""
        self.built = True

    @property
    def graph(self) -> Graph:
        """The network from the model's inputs to those of the machine."""
        return self._stage.network.graph

    def call(self, inputs):
        """The visible units' values, `(..., features)`, for a batch of the network's inputs."""
        return ops.cast(self._stage.front(inputs), self.layer.variable_dtype)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        machine = self.layer.machine()
        losses = self.rule.loss(machine, y_pred, training=training) + self.rule.penalty(machine, y_pred, training=training)
        # Measured here instead of in `compute_metrics`, where the weights are already updated and everything would be recomputed.
        error = ops.mean(ops.square(machine.reconstruct(y_pred) - y_pred), axis=-1)
        self._error.update_state(error, sample_weight)
        return self._mean_loss(losses, losses, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        """Saves the weights and the state of training, as `keras.Model.save_weights`; a file is replaced once it is complete."""
        save_resumable(self, filepath, super().save_weights, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Loads weights and the state of training, as `keras.Model.load_weights`."""
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        self.ruin = read_ruin(filepath)
