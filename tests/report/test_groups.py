"""Pictures of groups show the numbers they were given."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from keras_xai.openbox import OpenBox
from keras_xai.openbox.grouping.groups import merge_regions
from keras_xai.report.groups import fidelity_plot

CURVE = pd.DataFrame(
    {
        "method": ["network", "merge", "merge", "prune", "flatten"],
        "num_groups": [9, 9, 2, 4, 4],
        "agreement": [1.0, 1.0, 0.8, 0.7, 0.9],
        "auc": [np.nan] * 5,
    }
)


@pytest.fixture(scope="module")
def groups():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(8, "relu"), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(200, 2))
    return merge_regions(OpenBox(model, dtype="float64", batch_size=500), x, 3, verbose=0), x


def test_one_line_for_each_method_and_the_network():
    (axes,) = fidelity_plot(CURVE).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"merge", "flatten", "prune", "network"}
    np.testing.assert_array_equal(lines["merge"].get_xydata(), [[2, 0.8], [9, 1.0]])
    assert lines["network"].get_ydata()[0] == 1.0
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "agreement with the network"


@pytest.mark.parametrize("measure, message", [("loss", "Expected `measure` to be one of"), ("auc", "need labels")])
def test_measures_that_are_not_there(measure, message):
    with pytest.raises(ValueError, match=message):
        fidelity_plot(CURVE, measure)


def test_areas_are_the_groups(groups):
    merged, x = groups
    (axes,) = merged.plot(x, resolution=30).axes
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    grid = np.stack(np.meshgrid(np.linspace(left, right, 30), np.linspace(bottom, top, 30)), axis=-1)
    np.testing.assert_array_equal(image.get_array(), merged.apply(grid.reshape(-1, 2)).reshape(30, 30))
    assert {text.get_text() for text in axes.texts} == {"0", "1", "2"}
    assert sum(len(points.get_offsets()) for points in axes.collections if points.get_label().startswith("class")) == 200


def test_bad_samples(groups):
    merged, x = groups
    with pytest.raises(ValueError, match="Expected `x` to have shape"):
        merged.plot(x[:, :1])
    with pytest.raises(ValueError, match="Expected `y` to be one class index for each of 200 samples. Received: y="):
        merged.plot(x, np.zeros(3))
