"""Base classes of learning rules of restricted Boltzmann machines."""

import abc
from typing import Any, TypedDict

import keras
import numpy as np
from keras import ops

from keras_xai.data.checks import check_flag, check_number
from keras_xai.layers.machine import Machine
from keras_xai.layers.rbm_dense import RBMDense


class Schedule(abc.ABC):
    """Base class of schedules: the rules of each layer, and their numbers of epochs."""

    @abc.abstractmethod
    def stages(self, path: str, epochs: int) -> list[tuple["Rule", int]]:
        """Returns the rules for a layer in order, each with its number of epochs.

        Args:
            path: The layer's path in the model.
            epochs: Requested number of epochs.

        Raises:
            ValueError: If the schedule does not cover the layer or has another number of epochs.
        """


class RuleOptions(TypedDict, total=False):
    """The options of all rules, for type checkers."""

    weight_cost: float
    sparsity_target: float | None
    sparsity_cost: float
    fit_visible_bias: bool
    name: str
    dtype: str


class Rule(keras.layers.Layer, Schedule):
    """A learning rule as a loss: one gradient descent step on the loss is one step of the rule.

    A rule is a template. Each layer is trained with its own copy, created by `from_config`, which may keep variables and random generators
    between steps; they are created in `prepare` and saved in backups, like those of any Keras layer.

    Args:
        weight_cost: Strength of the weight decay in pretraining, `weight_cost / 2 * sum(square(kernel))`; biases are excluded.
        sparsity_target: Target mean activity of each hidden unit, `None` for no target.
        sparsity_cost: Strength of the sparsity term: the weighted sums of a unit are shifted by this factor times the difference between
            its mean activity, averaged over past batches, and the target.
        fit_visible_bias: Whether to initialize the visible bias so that it alone reproduces the data's mean, log(p / (1 - p)) for Bernoulli
            units, which costs one pass over the data. Otherwise the layer's own visible bias is used.

    The options follow [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), sections 8 to 11. His small random weights
    correspond to `kernel_initializer=keras.initializers.RandomNormal(stddev=0.01)` of the layer.

    Attributes:
        learning_rate: Learning rate of gradient descent if the user gives no optimizer.
        random: `keras.random.SeedGenerator` for the rule's samples.
    """

    learning_rate: float

    # Decay of the running mean of each hidden unit's activity; Hinton proposes 0.9 to 0.99.
    _PAST = 0.9

    def __init__(
        self,
        *,
        weight_cost: float = 0.0,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.1,
        fit_visible_bias: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("weight_cost", weight_cost), ("sparsity_cost", sparsity_cost)):
            check_number(name, value, least=0)
        if sparsity_target is not None:
            check_number("sparsity_target", sparsity_target)
        check_flag("fit_visible_bias", fit_visible_bias)
        self.weight_cost = weight_cost
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.fit_visible_bias = fit_visible_bias

    @abc.abstractmethod
    def loss(self, machine: Machine, visible: Any, *, training: bool) -> Any:
        """The loss of each sample. Its gradient is that of the rule; its value may be meaningless.

        Args:
            machine: The machine.
            visible: Data, `(..., features)`.
            training: Whether this is a training step. Otherwise no state may change.

        Returns:
            `(...)`.
        """

    def prepare(self, layer: RBMDense, batch_size: int, seed: int) -> None:
        """Creates the state that the rule keeps between steps.

        Args:
            layer: The built layer.
            batch_size: Samples per batch.
            seed: Seed of all randomness.
        """
        self.random = keras.random.SeedGenerator(seed)
        if self.sparsity_target is not None:
            self._activity = self.add_weight(
                name="activity", shape=(layer.units,), initializer=keras.initializers.Constant(self.sparsity_target),
                trainable=False, aggregation="mean",
            )  # fmt: skip
        self.built = True

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Seeds the random numbers of an epoch independently of earlier epochs."""
        self.random.state.assign(np.random.SeedSequence((seed, epoch)).generate_state(2))

    def penalty(self, machine: Machine, visible: Any, *, training: bool) -> Any:
        """Weight cost and sparsity term, a scalar or one value per sample."""
        total = self.weight_cost / 2 * ops.sum(ops.square(machine.kernel)) if self.weight_cost else 0.0
        if self.sparsity_target is not None:
            sums = machine.hidden_sums(visible)
            excess = ops.cast(self._activity, sums.dtype) - self.sparsity_target
            total += self.sparsity_cost * ops.sum(ops.stop_gradient(excess) * sums, axis=-1)
            if training:
                mean = ops.mean(machine.hidden.activation(sums), axis=list(range(len(sums.shape) - 1)))
                self._activity.assign(self._PAST * self._activity + (1 - self._PAST) * mean)
        return total

    def stages(self, path, epochs):
        return [(self, epochs)]

    def get_config(self):
        return {
            "weight_cost": self.weight_cost,
            "sparsity_target": self.sparsity_target,
            "sparsity_cost": self.sparsity_cost,
            "fit_visible_bias": self.fit_visible_bias,
        }
