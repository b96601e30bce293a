"""Draws decision features and boundary features of small networks."""

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_xai.openbox import OpenBox
from keras_xai.report import decision_plot


def draw_features(decision_path, boundary_path):
    """Decision features of some digits, and boundary features of one of them."""
    images, labels = load_digits(return_X_y=True)
    x = ((images + np.random.default_rng(0).uniform(size=images.shape)) / 17).reshape(-1, 8, 8, 1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, labels, epochs=8, verbose=0)
    local = OpenBox(model, dtype="float64")(x[:5], verbose=0)
    titles = [f"{label}, not {other}" for label, other in zip(*np.argsort(-local.scores, axis=1)[:, :2].T, strict=True)]
    decision_plot(local.decision_features(against="runner-up"), local.x, titles=titles).savefig(decision_path, dpi=150)
    local.nearest_facets(8, verbose=0)[3].plot(local.x[3]).savefig(boundary_path, dpi=150)
