"""What the benchmarks of pretraining share: flat MNIST images, networks of `RBMDense` layers, and checks of accuracy."""

from collections.abc import Iterable

import keras
import numpy as np
from mnist import NUM_VALIDATION, mnist_arrays

from keras_xai.layers import RBMDense


def mnist() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images `(n, 784)` in float32 from 0 to 1 and labels: 55,000 for training, 5,000 for validation, 10,000 for the test.

    Read from `mnist.npz` in the folder that the environment variable KERAS_XAI_DATA names, else as Keras downloads it.
    """
    x, y, x_test, y_test = mnist_arrays()
    x, x_test = ((images.reshape(len(images), -1) / 255).astype("float32") for images in (x, x_test))
    held_out = slice(len(x) - NUM_VALIDATION, None)
    kept = slice(len(x) - NUM_VALIDATION)
    return {"train": (x[kept], y[kept]), "validation": (x[held_out], y[held_out]), "test": (x_test, y_test)}


def network(units: Iterable[int], activation: str) -> keras.Sequential:
    """784 inputs, hidden `RBMDense` layers with He's initialization, ten softmax outputs.

    Args:
        units: Of each hidden layer.
        activation: Of the hidden layers.
    """
    model = keras.Sequential([keras.Input((784,))])
    for i, count in enumerate(units, start=1):
        model.add(RBMDense(count, activation, kernel_initializer="he_normal", name=f"hidden_{i}"))
    model.add(keras.layers.Dense(10, "softmax", kernel_initializer="he_normal", name="output"))
    return model


class Checks(keras.callbacks.Callback):
    """Accuracy on test and validation images every few epochs, in percent.

    Args:
        data: Images and labels, as `mnist` returns them.
        every: Number of epochs.

    Attributes:
        results: A dict of epoch and accuracies for each check.
    """

    def __init__(self, data: dict, every: int):
        super().__init__()
        self._data = data
        self._every = every
        self.results: list[dict] = []

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        if done % self._every and done != self.params["epochs"]:
            return
        accuracy = {
            name: 100 * self.model.evaluate(*self._data[name], batch_size=1000, verbose=0)[1]
            for name in ("test", "validation")
        }
        self.results.append({"epoch": done} | accuracy)
        print(self.results[-1], flush=True)
