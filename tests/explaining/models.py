"""Small trained models of each kind of data."""

import functools

import keras
import numpy as np
import pandas as pd
from keras import layers

CLASSES = ["left", "right"]


@functools.cache
def images():
    """Bright patches on the left or on the right."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = 0.1 * generator.random((80, 12, 12, 1)).astype("float32")
    for sample, label in enumerate(y):
        row = generator.integers(0, 9)
        x[sample, row : row + 3, 1 + 7 * label : 4 + 7 * label] += 1
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ],
        name="sides",
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=12, verbose=0)
    return model, x, y


@functools.cache
def table():
    """Two of four columns matter."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    y = (x[:, 0] + x[:, 2] > 0).astype(int)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")], name="table")
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(x, y, epochs=12, verbose=0)
    return model, pd.DataFrame(x, columns=["age", "height", "income", "rooms"]), y


@functools.cache
def texts():
    """Whether a text has the token 3."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).integers(1, 10, (200, 6))
    x[:, 4:] = 0
    y = (x == 3).any(axis=1).astype(int)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(10, 8, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2, "softmax"),
        ],
        name="texts",
    )
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=8, verbose=0)
    return model, x, y


@functools.cache
def series():
    """The number that a series rises to."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(20, 30, 1)).astype("float32")
    return keras.Sequential(
        [keras.Input((30, 1)), layers.Conv1D(4, 5, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(1)],
        name="series",
    ), x
