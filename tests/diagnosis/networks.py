"""Digits that are hard to tell apart by their pixels, and a network that learns to do it."""

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

NUM_TRAINING = 1400
_SIDE = 12


def shifted_digits():
    """Images `(1797, 12, 12, 1)` of float32 with a digit of 8 x 8 somewhere on each, and their labels."""
    digits, labels = load_digits(return_X_y=True)
    images = np.zeros((len(digits), _SIDE, _SIDE, 1), "float32")
    corners = np.random.default_rng(0).integers(0, _SIDE - 7, (len(digits), 2))
    for image, digit, (row, column) in zip(images, digits.reshape(-1, 8, 8) / 16, corners, strict=True):
        image[row : row + 8, column : column + 8, 0] = digit
    return images, labels


def network(name="network"):
    """Two blocks, a dense layer and ten scores, with the same random weights each time."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pooling1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pooling2"),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="scores"),
        ],
        name=name,
    )


def trained_network():
    """The same network after six epochs."""
    model = network("trained")
    images, labels = shifted_digits()
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    model.fit(images[:NUM_TRAINING], labels[:NUM_TRAINING], epochs=6, batch_size=64, verbose=0)
    return model
