"""The color scale is symmetric about zero, and shared where heatmaps are compared."""

import numpy as np
import pytest

from keras_xai.report import color_bar, heatmap, picture
from keras_xai.report.heatmap import shared_limit
from keras_xai.report.plots import histogram


def drawn(figure):
    (image,) = figure.axes[0].images
    return image


def test_scale_is_symmetric_and_zero_is_its_neutral_center():
    image = drawn(heatmap(np.array([[0.0, 2.0], [-0.5, 1.0]])))
    assert image.get_clim() == (-2.0, 2.0)
    # An even number of colors has two at its center, both all but white.
    np.testing.assert_allclose(image.to_rgba(0.0)[:3], 1.0, atol=0.05)


def test_red_is_positive_and_blue_negative():
    image = drawn(heatmap(np.array([[3.0, -3.0]])))
    for value, strong, weak in ((3.0, 0, 2), (0.5, 0, 2), (-0.5, 2, 0), (-3.0, 2, 0)):
        color = image.to_rgba(value)
        assert color[strong] > color[weak] + 0.05


def test_values_are_where_they_were():
    values = np.arange(6.0).reshape(2, 3)
    figure = heatmap(values)
    image = drawn(figure)
    np.testing.assert_array_equal(image.get_array(), values)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top and image.origin == "upper"  # row 0 above row 1


def test_channels_are_added():
    values = np.random.default_rng(0).normal(size=(4, 5, 3))
    np.testing.assert_allclose(drawn(heatmap(values)).get_array(), values[..., 0] + values[..., 1] + values[..., 2])


def test_limit_is_shared():
    arrays = [np.array([[1.0, -0.5]]), np.array([[0.1, -4.0]])]
    limit = shared_limit(arrays)
    assert limit == 4.0
    assert {drawn(heatmap(array, limit)).get_clim() for array in arrays} == {(-4.0, 4.0)}
    assert color_bar(limit, "label").axes[0].get_xlim() == (-4.0, 4.0)
    # Without it they are not comparable, which is what the argument is for.
    assert len({drawn(heatmap(array)).get_clim() for array in arrays}) == 2


def test_all_zero_is_all_neutral():
    assert shared_limit([np.zeros(3)]) == 1.0


def test_outline_goes_around_bright_pixels():
    image = np.zeros((5, 5))
    image[1, 3] = 1.0
    (lines,) = heatmap(np.ones((5, 5)), outline=image).axes[0].collections
    ends = {tuple(map(tuple, segment)) for segment in lines.get_segments()}
    assert ends == {
        ((2.5, 0.5), (2.5, 1.5)),
        ((3.5, 0.5), (3.5, 1.5)),
        ((2.5, 0.5), (3.5, 0.5)),
        ((2.5, 1.5), (3.5, 1.5)),
    }


def test_histogram_leaves_out_what_has_no_logarithm():
    axes = histogram(np.array([0.0, np.inf, 1e-3, 2e-3, 0.5]), "distance").axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 3
    assert histogram(np.full(7, 0.1), "distance").axes[0].patches[0].get_height() == 7


def test_pictures_keep_gray_levels_and_colors():
    np.testing.assert_array_equal(drawn(picture(np.eye(3)[..., None])).get_array(), np.eye(3))
    colors = np.random.default_rng(0).random((3, 4, 3))
    np.testing.assert_array_equal(drawn(picture(colors)).get_array(), colors)
    moved = drawn(picture(255 * colors - 100)).get_array()
    assert moved.min() == 0 and moved.max() == 1


def test_errors_say_what_was_received():
    with pytest.raises(ValueError, match=r"Received: shape \(2, 8, 8, 1\). Draw one sample at a time"):
        heatmap(np.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"positive number. Received: limit=0"):
        heatmap(np.ones((2, 2)), 0)
    with pytest.raises(ValueError, match="Received: limit=nan"):
        color_bar(np.nan, "label")
    with pytest.raises(ValueError, match="NaN or infinity"):
        heatmap(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="NaN or infinity"):
        heatmap(np.array([[np.inf, 1.0]]), 1.0)
    with pytest.raises(
        ValueError, match=r"`outline` to have the height and width of the values, \(2, 2\). Received: \(3, 2\)"
    ):
        heatmap(np.ones((2, 2)), outline=np.ones((3, 2)))
    with pytest.raises(ValueError, match="at least one value.*Received: no values"):
        shared_limit([])
    with pytest.raises(ValueError, match="positive, finite value.*Received: no such value"):
        histogram(np.zeros(3), "distance")
    with pytest.raises(ValueError, match=r"Received: shape \(4, 4, 7\)"):
        picture(np.zeros((4, 4, 7)))
