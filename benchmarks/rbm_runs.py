"""What the benchmarks of pretraining share: flat MNIST images, networks of `RBMDense` layers, and a file of finished runs."""

import json
import pathlib
from collections.abc import Callable, Iterable

import keras
import numpy as np
from mnist import mnist_arrays

from keras_xai.layers import RBMDense

NUM_VALIDATION = 5_000


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


class Runs:
    """Finished runs in a file, one JSON object a line; several processes may write to it.

    Args:
        path: The file.
        make: Makes the results of a run from its settings.
    """

    def __init__(self, path: pathlib.Path, make: Callable[..., dict]):
        self._path = path
        self._make = make

    def get(self, **settings) -> dict:
        """The results of a run, which is made if it is not in the file."""
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            run = json.loads(line)
            if run["settings"] == settings:
                return run["results"]
        print(f"\n{settings}", flush=True)
        results = self._make(**settings)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"settings": settings, "results": results}) + "\n")
        return results
