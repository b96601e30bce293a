"""Under a distribution strategy, on two logical devices, which take a process of their own."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, PersistentContrastiveDivergence, ReconstructionError, pretrain

x = np.random.default_rng(0).uniform(size=(64, 6)).astype("float32")
y = np.random.default_rng(1).integers(2, size=64)


def train(strategy, rule, epochs):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        hidden = [RBMDense(8, "sigmoid", name="first"), RBMDense(4, "sigmoid", name="second")]
        model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(2, "softmax")])
    pretrain(model, x, rule, epochs=epochs, batch_size=16, validation_data=x, verbose=0)
    with strategy.scope():
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    return model.get_weights()


rules = {
    "hybrid": (Hybrid([(ContrastiveDivergence(weight_cost=0.01, fit_visible_bias=True), 3), (ReconstructionError(), 3)]), 6),
    "sparse": (ContrastiveDivergence(sparsity_target=0.2), 2),
    "persistent": (PersistentContrastiveDivergence(), 2),
}
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
for name, (rule, epochs) in rules.items():
    pairs = list(zip(*(train(strategy, rule, epochs) for strategy in (tf.distribute.get_strategy(), two))))
    print(name, max(float(np.abs(one - other).max()) for one, other in pairs))
"""


@pytest.mark.slow
def test_two_devices_give_the_weights_of_one():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    differences = {line.split()[0]: float(line.split()[1]) for line in result.stdout.splitlines() if len(line.split()) == 2}
    assert differences["hybrid"] < 1e-5 and differences["sparse"] < 1e-5
    assert differences["persistent"] < 1e-5  # the chains are those of the first replica
