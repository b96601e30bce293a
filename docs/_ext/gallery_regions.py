"""Draws the coefficients of regions as parallel coordinates."""

import keras
from sklearn.datasets import load_breast_cancer

from keras_xai.openbox import OpenBox
from keras_xai.report import parallel_coordinates


def draw_coefficients(path):
    """The coefficients of the largest regions of a network for breast cancer data."""
    data = load_breast_cancer(as_frame=True)
    x, y = (data.data - data.data.mean()) / data.data.std(), data.target
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(units, activation="relu") for units in (5, 4)]
    model = keras.Sequential([keras.Input((30,)), *hidden, keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(x, y, epochs=60, verbose=0)
    classifier = OpenBox(model).convert(x, y, verbose=0)
    table = classifier.table(x, y, max_regions=12)
    parallel_coordinates(
        classifier.pieces(table.index)[0][:, 0],
        table["samples"],
        feature_names=x.columns,
        response=table["response_mean_0"],
        label="coefficient per standard deviation",
        response_label="share of malignant samples",
    ).savefig(path, dpi=150)
