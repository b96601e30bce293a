"""Pictures of features show what they were given."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_xai.features.ascent import Ascent
from keras_xai.features.deep_dream import Dreamed
from keras_xai.features.embedding import EmbeddingMap
from keras_xai.features.extreme_examples import extreme_examples
from keras_xai.features.maximize_activation import maximize_activation
from keras_xai.report.maps import maps_plot


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def arrays(axes):
    return np.array([image.get_array() for image in axes.images])


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def test_maps_beside_their_image(rng):
    values, images = rng.normal(size=(3, 5, 6, 9)), rng.uniform(size=(3, 8, 8, 3))
    figure = drawn(maps_plot({"conv": values}, images, sample=2, title="maps"))
    np.testing.assert_array_equal(arrays(figure.axes[0]), np.moveaxis(values[2], -1, 0))
    np.testing.assert_array_equal(arrays(figure.axes[-1])[0], images[2])
    # The image is at the left of all maps, and of their names.
    left = figure.axes[-1].get_position().x1
    label = figure.axes[0].yaxis.label.get_window_extent().x0 / figure.bbox.width
    assert left < label < figure.axes[0].get_position().x0


@pytest.mark.parametrize("strongest", [False, True])
def test_maps_with_channels_first(rng, strongest):
    values, images = rng.normal(size=(3, 5, 6, 9)), rng.uniform(size=(3, 8, 7, 3))
    options = {"sample": 2, "strongest": strongest, "max_filters": 4}
    right = drawn(maps_plot({"conv": values}, images, **options))
    found = drawn(maps_plot({"conv": np.moveaxis(values, -1, 1)}, np.moveaxis(images, -1, 1), layout="NCHW", **options))
    for axes, expected in zip(found.axes, right.axes, strict=True):
        np.testing.assert_array_equal(arrays(axes), arrays(expected))
        assert axes.get_ylabel() == expected.get_ylabel()


def test_the_strongest_maps_first(rng):
    values = rng.uniform(size=(2, 4, 4, 6)) * np.array([1, 5, -9, 0.1, 7, 3])
    figure = drawn(maps_plot({"conv": values}, sample=1, strongest=True, max_filters=3))
    np.testing.assert_array_equal(arrays(figure.axes[0]), np.moveaxis(values[1][..., [2, 4, 1]], -1, 0))
    assert figure.axes[0].get_ylabel().splitlines()[:2] == ["conv", "strongest of 6"]
    everything = maps_plot({"conv": values}, sample=1, strongest=True)
    np.testing.assert_array_equal(arrays(everything.axes[0]), np.moveaxis(values[1][..., [2, 4, 1, 5, 0, 3]], -1, 0))


@pytest.mark.parametrize(
    "activations, options, message",
    [
        ({"dense": np.zeros((3, 5))}, {}, r"Expected activations of shape \(n, height, width, channels\) for 'dense'"),
        ({"conv": np.zeros((3, 5, 5, 2))}, {"sample": 3}, "from 0 to 2. Received: sample=3"),
        ({"conv": np.zeros((3, 5, 5, 2))}, {"max_filters": 0}, "max_filters=0"),
        ({"conv": np.full((3, 5, 5, 2), np.nan)}, {}, "Expected finite values"),
        ({}, {}, "`activations` to map layers to arrays.*Received: {}"),
    ],
)
def test_errors_of_maps(activations, options, message):
    for strongest in (False, True):
        with pytest.raises(ValueError, match=message):
            maps_plot(activations, strongest=strongest, **options)


def test_maximized():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(5, 2, name="conv"), layers.Flatten(), layers.Dense(9)])
    low = np.array([-3.0, 0.0, 1.0])
    found = maximize_activation(model, list(range(7)), value_range=(low, low + 2), ascent=Ascent(steps=2), seed=0)
    figure = drawn(found.plot(class_names=[f"name {i}" for i in range(9)]))
    places = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title().splitlines()[0] for axes in places] == [f"name {i}" for i in range(7)]
    np.testing.assert_allclose(arrays(places[3])[0], (found.images[3] - low) / 2, atol=1e-5)
    reversed_colors = drawn(found.plot(show=lambda image: image[..., ::-1] * 0 + [0.1, 0.2, 0.3]))
    np.testing.assert_allclose(arrays(reversed_colors.axes[0])[0, 0, 0], [0.1, 0.2, 0.3])
    unit = maximize_activation(model, (0, 1, 4), layer="conv", ascent=Ascent(steps=2), seed=0)
    assert unit.plot().axes[0].get_title().startswith("unit 0, 1, 4\n")


def test_dream(rng):
    images = rng.uniform(size=(3, 6, 9, 3))
    end = np.ones((1, 1, 1, 1))
    found = Dreamed(images, images * 0.5, np.zeros((1, 1, 3)), ["conv"], (0 * end, end))
    figure = drawn(found.plot(samples=2))
    assert len(figure.axes) == 4
    for axes, image in zip(figure.axes, (images[0] / 2, images[0], images[1] / 2, images[1]), strict=True):
        np.testing.assert_allclose(arrays(axes)[0], image)
    with pytest.raises(ValueError, match="samples=0"):
        found.plot(samples=0)


def test_examples(rng):
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, name="conv")])
    x = rng.normal(size=(20, 8, 8, 1))
    found = extreme_examples(model, x, layer="conv", units=[2, (0, 1, 3)], k=5)
    figure = drawn(found.plot())
    assert len(figure.axes) == 20
    rows = np.reshape(figure.axes, (4, 5))
    assert [row[0].get_ylabel() for row in rows] == [
        *("channel 2\nhighest", "channel 2\nlowest"),
        *("unit 0, 1, 3\nhighest", "unit 0, 1, 3\nlowest"),
    ]
    np.testing.assert_array_equal(arrays(rows[1][4])[0], found.lowest.crops[0][4][..., 0])
    assert rows[1][4].get_title().endswith(f"(#{found.lowest.indices[0, 4]})")
    one = found.plot(ends="lowest", max_units=1)
    assert len(one.axes) == 5 and "the first 1 of 2 units" in one._suptitle.get_text()
    for options, message in (({"ends": "top"}, "ends='top'"), ({"ends": []}, r"ends=\[\]"), ({"max_units": 0}, "max_units=0")):
        with pytest.raises(ValueError, match=message):
            found.plot(**options)


def test_examples_of_series_features_texts_and_several_inputs(rng):
    series = keras.Sequential([keras.Input((9, 2)), layers.Conv1D(2, 4, name="conv")])
    found = extreme_examples(series, rng.normal(size=(6, 9, 2)), layer="conv", k=2)
    figure = drawn(found.plot())
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), found.highest.crops[0][0][:, 1])
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    table = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    found = extreme_examples(table, rng.normal(size=(6, 3)), k=2)
    heights = [bar.get_height() for bar in drawn(found.plot()).axes[0].patches]
    np.testing.assert_allclose(heights, found.highest.crops[0][0])
    words = drawn(found.plot(show=lambda crop: f"{crop[0]:.1f} words")).axes[0].texts[0].get_text()
    assert words.endswith("words")
    crops = [[{"a": np.zeros(3)}] * 2] * 2
    several = dataclasses.replace(found, highest=dataclasses.replace(found.highest, crops=crops))
    with pytest.raises(ValueError, match=r"Received: dict of shape \['a'\]. Give `show`"):
        several.plot()


MAP = EmbeddingMap(np.random.default_rng(1).uniform(size=(60, 2)) * [30, 20] - 7, "conv", 10.0, 1.0, 0.5)


def test_points_in_the_colors_of_their_labels(rng):
    labels = np.array(["b", "a", "c"])[rng.integers(3, size=60)]
    figure = drawn(MAP.plot(labels=labels))
    (scatter,) = figure.axes[0].collections
    span = np.ptp(MAP.points, axis=0).max()
    np.testing.assert_allclose(scatter.get_offsets(), (MAP.points - MAP.points.min(axis=0)) / span)
    colors = [tuple(color) for color in scatter.get_facecolors()]
    assert len({(color, label) for color, label in zip(colors, labels, strict=True)}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert not MAP.plot().legends


def test_thumbnails_do_not_overlap_and_are_where_their_points_are(rng):
    images = rng.uniform(size=(60, 5, 8, 3))
    axes = drawn(MAP.plot(images=images, labels=np.arange(60) % 2, cells=7)).axes[0]
    boxes = np.array([image.get_extent() for image in axes.images])
    assert len(boxes) == len(axes.patches) and 20 < len(boxes) <= 7 * 5
    for i, (left, right, bottom, top) in enumerate(boxes):
        others = np.delete(boxes, i, axis=0)
        assert not ((others[:, 0] < right) & (others[:, 1] > left) & (others[:, 2] < top) & (others[:, 3] > bottom)).any()
        assert right - left > top - bottom  # as wide as the image
        (which,) = [k for k in range(60) if np.array_equal(images[k], axes.images[i].get_array())]
        place = (MAP.points[which] - MAP.points.min(axis=0)) / np.ptp(MAP.points, axis=0).max() * 7
        assert np.abs(place - [(left + right) / 2, (bottom + top) / 2]).max() <= 0.5 + 1e-9
    assert f"{len(boxes)} of 60 images" in axes.get_xlabel()
    gray = drawn(MAP.plot(images=images[..., :1], show=lambda image: 1 - image)).axes[0]
    assert gray.images[0].get_array().shape == (5, 8, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"images": np.zeros((3, 4, 4))}, "`images` to have one entry for each of 60 points. Received: images="),
        ({"labels": [1, 2]}, "`labels` to have one entry for each of 60 points. Received: labels="),
        ({"labels": range(60)}, "at most 10 distinct labels.*Received: 60"),
        ({"cells": 0}, "cells=0"),
    ],
)
def test_errors_of_maps_of_samples(options, message):
    with pytest.raises(ValueError, match=message):
        MAP.plot(**options)
