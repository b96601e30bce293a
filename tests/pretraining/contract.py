"""What every learning rule must do, whatever it learns."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_xai.layers import RBMDense
from keras_xai.pretraining import pretrain
from tests.layers.test_rbm_dense import build
from tests.pretraining.naive import REPLICAS
from tests.public import DOCS, names_in_code

BATCH = 10
# Options with which a rule draws at random, where it has them.
DRAWING = {"sampling": True}


def gradients(function, variables):
    """The derivatives of a function without arguments by variables."""
    with tf.GradientTape() as tape:
        tape.watch([variable.value for variable in variables])
        value = function()
    return tape.gradient(value, [variable.value for variable in variables])


def check_gradient(rule, activation, seed=0):
    """One step is that of the replica, and that for other data is another. To be called where layers compute in float64."""
    assert rule in REPLICAS, f"tests/pretraining/naive.py has no replica of {rule.__name__}"
    layer, made = build(seed=seed % 1000, activation=activation), rule()
    x = np.random.default_rng(seed).uniform(size=(5, 6))
    made.prepare(layer, len(x), 0)
    variables = [layer.kernel, layer.bias, layer.visible_bias]
    found = gradients(lambda: keras.ops.mean(made.loss(layer.machine(), x, training=True)), variables)
    right, wrong = (REPLICAS[rule](each, layer.get_weights(), activation, made) for each in (x, x[::-1] ** 2))
    for gradient, step, other in zip(found, right, wrong, strict=True):
        np.testing.assert_allclose(gradient, -step, rtol=1e-6, atol=1e-9)
        assert not np.allclose(gradient, -other, rtol=1e-3)


def network(*names, seed=3):
    """Machines, one behind the other."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), *(RBMDense(5, "sigmoid", name=name) for name in names)])


def drawing(rule):
    """The rule, drawing at random if it can."""
    return rule(**{name: value for name, value in DRAWING.items() if name in inspect.signature(rule).parameters})


def trained(model, rule, callbacks=(), *, seed=1, epochs=3, learning_rate=0.1):
    """The weights after pretraining on data that are always the same."""
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(0).uniform(size=(4 * BATCH, 6)).astype("float32")
    options = {"epochs": epochs, "batch_size": BATCH, "verbose": 0, "callbacks": list(callbacks)}
    pretrain(model, x, rule, optimizer=keras.optimizers.SGD(learning_rate), **options)
    return model.get_weights()


class Kill(keras.callbacks.Callback):
    """Interrupts the training of the second layer in its last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.model.layer.name, self._epoch, batch) == ("second", 2, 2):
            raise KeyboardInterrupt


def check_repetition(rule):
    """A seed repeats a run bit by bit, and another one does not."""
    first, again, other = (trained(network("first"), drawing(rule), seed=seed, epochs=2) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


def check_resuming(rule, folder):
    """A run that was killed and goes on, in another process with another seed, ends with the weights that it would have had."""
    layers, made = ("first", "second"), drawing(rule)
    expected = trained(network(*layers), made)
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    with pytest.raises(KeyboardInterrupt):
        trained(network(*layers), made, [backup, Kill()])
    for one, two in zip(trained(network(*layers, seed=9), made, [backup], seed=99), expected, strict=True):
        np.testing.assert_array_equal(one, two)


def check_saving(rule):
    """A rule is what its config says."""
    made = rule(weight_cost=0.1, sparsity_target=0.2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is rule and again.get_config() == made.get_config() and again.weight_cost == 0.1


def check_learning(rule):
    """Reconstructions get better than those by the mean of the data, which is what the visible bias alone could reach."""
    x = load_digits().data[:1000] / 16
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), RBMDense(50, "sigmoid", name="hidden")])
    options = {"epochs": 12, "batch_size": 20, "optimizer": keras.optimizers.SGD(0.1), "verbose": 0}
    history = pretrain(model, x, rule(), **options)["hidden"].history
    error = history["reconstruction_error"]
    assert error[0] > error[-1] and error[-1] < 0.7 * np.square(x - x.mean(axis=0)).mean()


def check_documentation(rule):
    """The guide names it."""
    assert rule.__name__ in names_in_code((DOCS / "guide" / "pretraining.md").read_text()), (
        f"docs/guide/pretraining.md does not name `{rule.__name__}`"
    )
