"""Draws the pictures of lines and planes through the linear pieces of small trained networks."""

import functools

import keras
import numpy as np
from sklearn.datasets import load_digits, make_moons

from keras_xai.openbox import OpenBox

_DPI = 150


def draw_plane_moons(path):
    """All linear pieces of a network of two inputs, with the walls of its three layers."""
    box, x, y = _moons()
    limits = ((-1.7, 2.7), (-1.4, 1.9))
    whole = box.plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], limits=limits, verbose=0)
    names = ["upper moon", "lower moon"]
    whole.plot(class_names=names, by_layer=True, mark_inputs=False, x=x, y=y).savefig(path, dpi=_DPI)


def draw_plane_digits(path):
    """The plane through three digits, divided by a convolutional network with max pooling."""
    box, images, labels = _digits()
    chosen = [int(np.flatnonzero(labels == digit)[40]) for digit in (0, 3, 6)]
    through = box.plane(*images[chosen], orthonormal=True, verbose=0)
    through.plot(images=images[chosen]).savefig(path, dpi=_DPI)


def draw_line_digits(path):
    """The scores on the line from one digit to another."""
    _way()[0].plot().savefig(path, dpi=_DPI)


def draw_gradients_digits(path):
    """Exact integrated gradients of a digit, with another digit as the baseline."""
    way, target = _way()
    way.integrated_gradients(target, verbose=0).plot().savefig(path, dpi=_DPI)


def _way():
    box, images, labels = _digits()
    start, end = (int(np.flatnonzero(labels == digit)[40]) for digit in (3, 8))
    return box.line(images[start], images[end], verbose=0), 8


@functools.cache
def _moons():
    """A box of a small network, and the points that it was trained on."""
    x, y = make_moons(200, noise=0.12, random_state=0)
    keras.utils.set_random_seed(3)
    hidden = [keras.layers.Dense(12, "relu", name=name) for name in ("first", "second", "third")]
    model = keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=40, batch_size=32, verbose=0)
    return OpenBox(model, dtype="float64", batch_size=256), x, y


@functools.cache
def _digits():
    """A box of a small network, digits without equal gray levels, and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = ((images + np.random.default_rng(0).uniform(size=images.shape)) / 17).reshape(-1, 8, 8, 1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="convolution"),
            keras.layers.MaxPooling2D(2, name="pooling"),
            keras.layers.Flatten(),
            keras.layers.Dense(24, activation="relu", name="hidden"),
            keras.layers.Dense(10, activation="softmax", name="classes"),
        ]
    )
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:1500], labels[:1500], epochs=15, batch_size=64, verbose=0)
    return OpenBox(model, dtype="float64", batch_size=64), images, labels
