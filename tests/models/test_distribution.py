"""Under a distribution strategy, on two logical devices, which take a process of their own."""

import subprocess
import sys

import pytest

SCRIPT = """
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras import layers

from keras_xai.callbacks import FBIWarmUp
from keras_xai.models import FBIModel

x = np.random.default_rng(0).uniform(size=(96, 8, 8, 1)).astype("float32")
y = np.random.default_rng(1).integers(3, size=96)
weights = np.random.default_rng(2).uniform(0.5, 2, size=96)


def train(strategy, rule, warm_up=(), normalization=()):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        normalization = [layers.BatchNormalization(synchronized=synchronized) for synchronized in normalization]
        hidden = [layers.Conv2D(4, 3), *normalization, layers.ReLU(), layers.MaxPooling2D(2)]
        head = [layers.Flatten(), layers.Dense(8, "relu", kernel_regularizer="l2"), layers.Dense(3, "softmax")]
        model = keras.Sequential([keras.Input((8, 8, 1)), *hidden, *head])
    training = FBIModel(model, 0.3, rule=rule, reduction="mean")  # outside of the scope
    with strategy.scope():
        training.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = training.fit(x, y, sample_weight=weights, epochs=3, batch_size=32, shuffle=False, verbose=0, callbacks=list(warm_up))
    return model.get_weights(), history.history


def farthest(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other))


two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
for rule in ("z", "zplus"):
    for warm_up in ([], [FBIWarmUp("loss", 100.0)]):
        (one, first), (other, second) = (train(each, rule, warm_up) for each in (tf.distribute.get_strategy(), two))
        print("weights", farthest(one, other))
        print("history", max(abs(a - b) for name in first for a, b in zip(first[name], second[name])))
        assert first["fbi_penalty"][0] > 0 or warm_up
# Batch normalization takes the statistics of each device's own batch; synchronized, those of all.
for synchronized in (False, True):
    (one, _), (other, _) = (train(each, "z", normalization=[synchronized]) for each in (tf.distribute.get_strategy(), two))
    print("synchronized" if synchronized else "unsynchronized", farthest(one, other))
"""


@pytest.mark.slow
def test_two_devices_give_the_weights_of_one():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    differences: dict[str, list[float]] = {}
    for name, value in (line.split() for line in result.stdout.splitlines() if len(line.split()) == 2):
        differences.setdefault(name, []).append(float(value))
    assert len(differences["weights"]) == 4 and max(differences["weights"]) < 1e-5
    assert max(differences["history"]) < 1e-4
    # The statistics of half a batch are others: that a difference would be seen.
    assert differences["unsynchronized"][0] > 1e-3
    assert differences["synchronized"][0] < 1e-4
