"""Draws groups of regions and their fidelity curve."""

import keras
from sklearn.datasets import make_circles

from keras_xai.openbox import OpenBox, fidelity_curve, merge_regions
from keras_xai.report import fidelity_plot


def draw_groups(groups_path, curve_path):
    """Two noisy circles divided by eight linear classifiers, and fidelity by the number of groups."""
    x, y = make_circles(1200, noise=0.1, random_state=0)
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(24, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x[:800], y[:800], epochs=40, verbose=0)
    box = OpenBox(model, dtype="float64", batch_size=256)
    merge_regions(box, x[:800], 8, verbose=0).plot(x[:800], y[:800]).savefig(groups_path, dpi=150)
    curve = fidelity_curve(box, x[:800], y[:800], sizes=[2, 3, 4, 6, 8, 12, 16, 24], test=(x[800:], y[800:]), verbose=0)
    fidelity_plot(curve, "auc").savefig(curve_path, dpi=150)
