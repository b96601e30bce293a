"""Pictures of decision features and boundary features."""

import numpy as np
import pytest

from keras_xai.openbox import Facets, OpenBox
from keras_xai.report import decision_plot


def _facets(normals):
    k = len(normals)
    names = tuple(f"reason {i}" for i in range(k))
    return Facets(normals, np.ones(k), np.arange(1.0, k + 1), ("conv",) * k, ((0,),) * k, names)


def _drawn(figure):
    return [axes for axes in figure.axes if axes.axison and axes.images]


def test_decision_features_stand_beneath_their_images_on_one_scale():
    features = np.random.default_rng(0).normal(size=(7, 4, 5, 2))
    images = np.random.default_rng(1).random((7, 4, 5, 3))
    figure = decision_plot(features, images, titles=list("abcdefg"))
    shown = {id(axes): axes for axes in _drawn(figure)}
    assert len(shown) == 14
    heatmaps = [axes.images[0] for axes in shown.values() if axes.images[0].get_array().ndim == 2]
    assert len(heatmaps) == 7
    limit = np.abs(features.sum(axis=3)).max()
    np.testing.assert_allclose([heatmap.get_clim() for heatmap in heatmaps], [(-limit, limit)] * 7)
    found, expected = np.array([heatmap.get_array() for heatmap in heatmaps]), features.sum(axis=3)
    order, wanted = (np.argsort(values[:, 0, 0]) for values in (found, expected))
    np.testing.assert_allclose(found[order], expected[wanted])
    assert [axes.get_title() for axes in shown.values() if axes.get_title()] == list("abcdefg")


@pytest.mark.parametrize("channels", [1, 3])
def test_decision_features_with_channels_first(channels):
    features = np.random.default_rng(0).normal(size=(2, 4, 5, channels))
    images = np.random.default_rng(1).random((2, 4, 5, channels))
    right = _drawn(decision_plot(features, images))
    found = _drawn(decision_plot(np.moveaxis(features, -1, 1), np.moveaxis(images, -1, 1), layout="NCHW"))
    for axes, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), expected.images[0].get_array())


def test_each_facet_is_drawn_with_its_distance_and_reason():
    normals = np.random.default_rng(0).normal(size=(6, 4, 5, 1))
    figure = _facets(normals).plot(np.zeros((4, 5, 1)))
    drawn = _drawn(figure)
    assert len(drawn) == 7
    for place, normal, number in zip(drawn[1:], normals, range(6), strict=True):
        np.testing.assert_allclose(place.images[0].get_array(), normal[..., 0] / np.abs(normal).max())
        assert place.get_title() == f"distance {number + 1}" and place.get_xlabel() == f"reason {number}"


def test_real_facets(trained, digits):
    x = digits[0][1500:1501]
    (found,) = OpenBox(trained("cnn"))(x, verbose=0).nearest_facets(3, verbose=0)
    assert len(_drawn(found.plot(x[0]))) == 4


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="same number, height and width"):
        decision_plot(np.zeros((2, 4, 4)), np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="2 names, one for each image. Received: 1 names"):
        decision_plot(np.ones((2, 4, 4)), np.zeros((2, 4, 4)), titles=["a"])
    with pytest.raises(ValueError, match="at least one facet"):
        _facets(np.zeros((0, 4, 4, 1))).plot(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="height and width"):
        _facets(np.zeros((2, 5, 4, 1))).plot(np.zeros((4, 4)))
