"""MNIST for benchmarks."""

import os
import pathlib

import keras
import numpy as np

NUM_VALIDATION = 5_000  # of the images for training, the last


def mnist_arrays() -> list[np.ndarray]:
    """Images and labels for training, images and labels for the test, as they are stored.

    Read from `mnist.npz` in the folder that the environment variable KERAS_XAI_DATA names, else as Keras downloads it.
    """
    path = pathlib.Path(os.environ.get("KERAS_XAI_DATA", "")) / "mnist.npz"
    if path.exists():
        with np.load(path) as file:
            return [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    return [array for pair in keras.datasets.mnist.load_data() for array in pair]
