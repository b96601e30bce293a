"""Pictures of restricted Boltzmann machines show the weights, samples and errors that they were given."""

import keras
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_xai.layers import RBMDense
from keras_xai.report import filters_plot, reconstructions_plot


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _tiles(figure):
    """Axes of images, row by row."""
    tiles = [axes for axes in figure.axes if axes.images]
    return sorted(tiles, key=lambda axes: (-round(axes.get_position().y0, 6), axes.get_position().x0))


def _arrays(figure):
    return np.array([np.asarray(axes.images[0].get_array()) for axes in _tiles(figure)])


def _scale(figure):
    (axes,) = (axes for axes in figure.axes if not axes.images)
    return axes


def _texts(figure):
    return [text.get_text() for text in figure.texts]


def test_each_unit_is_drawn_in_its_order_with_its_weights_at_the_places_of_its_inputs(rng):
    kernel = rng.normal(size=(12, 20))
    drawn = _arrays(filters_plot(kernel, (3, 4)))
    np.testing.assert_array_equal(drawn, kernel.T.reshape(20, 3, 4))
    # What the comparison above must tell apart.
    assert not np.array_equal(drawn, kernel.reshape(20, 3, 4))


def test_filters_share_one_scale_centered_on_zero(rng):
    kernel = rng.normal(size=(12, 5)) * [1, 2, 3, 0.01, 0]
    figure = filters_plot(kernel, (3, 4, 1))
    limit = np.abs(kernel).max()
    assert {axes.images[0].get_clim() for axes in _tiles(figure)} == {(-limit, limit)}
    assert _scale(figure).get_xlim() == (-limit, limit) and "one scale for all" in _scale(figure).get_xlabel()
    dead, weak, strong = (_tiles(figure)[unit].images[0] for unit in (4, 3, 2))
    assert dead.to_rgba(dead.get_array())[..., :3].min() > 0.95
    assert weak.to_rgba(weak.get_array())[..., :3].min() > 0.9 > 0.5 > strong.to_rgba(strong.get_array())[..., :3].min()


def test_a_limit_is_that_of_the_scale_which_shows_whether_weights_are_beyond(rng):
    kernel = rng.uniform(-1, 1, size=(4, 3))
    figure = filters_plot(kernel, (2, 2), limit=2.0)
    assert _tiles(figure)[0].images[0].get_clim() == (-2.0, 2.0)
    ends = [len(_scale(filters_plot(kernel, (2, 2), limit=limit)).patches) for limit in (2.0, 0.5)]
    assert ends == [0, 2]


def test_the_first_units_are_drawn_and_the_picture_says_so(rng):
    kernel = rng.normal(size=(4, 1000)) * np.arange(1, 1001)
    figure = filters_plot(kernel, (2, 2), max_filters=7, title="a machine")
    np.testing.assert_array_equal(_arrays(figure), kernel.T[:7].reshape(7, 2, 2))
    assert _scale(figure).get_xlim()[1] == np.abs(kernel[:, :7]).max()
    assert "the first 7 of 1,000 units" in _scale(figure).get_xlabel() and _texts(figure) == ["a machine"]
    assert "first" not in _scale(filters_plot(kernel[:, :7], (2, 2))).get_xlabel()


def test_filters_of_colors_are_gray_at_zero(rng):
    kernel = rng.normal(size=(27, 4))
    kernel[:, 1] = 0
    drawn = _arrays(filters_plot(kernel, (3, 3, 3)))
    assert drawn.shape == (4, 3, 3, 3) and (drawn[1] == 0.5).all()
    np.testing.assert_allclose((2 * drawn - 1) * np.abs(kernel).max(), kernel.T.reshape(4, 3, 3, 3))
    # Beyond the limit all is of one color, and nothing is moved into the range by itself.
    drawn = _arrays(filters_plot(kernel, (3, 3, 3), limit=0.1))
    assert drawn.min() == 0 and drawn.max() == 1 and (drawn[1] == 0.5).all()


def _parts(figure):
    """Whether all parts are within the figure, and none on another."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes] + [
        text.get_window_extent(renderer) for text in figure.texts
    ]
    ends = np.array([box.extents for box in boxes])
    inside = (ends[:, :2] >= 0).all() and (ends[:, 2:] <= figure.bbox.extents[2:]).all()
    return inside, not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("shape", [(8, 8), (2, 32), (64, 1)])
@pytest.mark.parametrize("count", [1, 30])
def test_nothing_overlaps_or_is_cut_off(shape, count, rng):
    kernel, x = rng.normal(size=(64, count + 1)), rng.uniform(-1, 1, size=(1000, 64))
    assert _parts(filters_plot(kernel, shape, max_filters=count, title="a title")) == (True, True)
    figure = reconstructions_plot(x, 1e4 * x, shape, max_samples=count)
    assert _parts(figure) == (True, True)
    # Longer texts are seen to be too long.
    for text in figure.texts:
        text.set_text(10 * text.get_text())
    assert _parts(figure) == (False, False)


def test_samples_stand_above_their_reconstructions_with_their_errors(rng):
    x = rng.uniform(size=(6, 2, 3))
    reconstructions = np.clip(x + rng.normal(scale=0.1, size=x.shape), 0, 1)
    figure = reconstructions_plot(x, reconstructions.reshape(6, 6), (2, 3, 1), max_samples=4)
    np.testing.assert_array_equal(_arrays(figure), np.concatenate([x[:4], reconstructions[:4]]))
    errors = [float(text) for text in _texts(figure) if text.replace(".", "").isdigit()]
    expected = [np.mean((a - b) ** 2) for a, b in zip(x[:4], reconstructions[:4], strict=True)]
    np.testing.assert_allclose(errors, expected, rtol=0.05)
    # Errors of other pairs are told apart by that.
    assert not np.allclose(errors, expected[::-1], rtol=0.05)
    assert "the first 4 of 6 samples" in _texts(figure)[-1]


def test_a_pale_reconstruction_looks_pale(rng):
    x = rng.uniform(size=(2, 9))
    x[0, :2] = 0, 1
    figure = reconstructions_plot(x, 0.5 + 0.1 * x, (3, 3))
    assert {axes.images[0].get_clim() for axes in _tiles(figure)} == {(0.0, 1.0)}
    assert "black 0, white 1" in _texts(figure)


def test_colors_outside_their_range_are_moved_together(rng):
    x = rng.uniform(-1, 1, size=(2, 12))
    x[0, :2] = -1, 1
    drawn = _arrays(reconstructions_plot(x, 0.1 * x, (2, 2, 3)))
    np.testing.assert_allclose(drawn, (np.concatenate([x, 0.1 * x]).reshape(4, 2, 2, 3) + 1) / 2)
    inside = rng.uniform(0.2, 0.8, size=(1, 12))
    np.testing.assert_array_equal(_arrays(reconstructions_plot(inside, inside, (2, 2, 3))), [inside.reshape(2, 2, 3)] * 2)


def test_a_layer(rng):
    keras.utils.set_random_seed(0)
    layer = RBMDense(5, "sigmoid")
    x = rng.uniform(size=(3, 16))
    layer(x)
    drawn = _arrays(filters_plot(layer.kernel, (4, 4)))
    np.testing.assert_allclose(drawn.reshape(5, 16).T, keras.ops.convert_to_numpy(layer.kernel))
    assert len(_tiles(reconstructions_plot(x, layer.reconstruct(x), (4, 4)))) == 6


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((np.ones((4, 3)), (2, 3)), {}, r"with 6 features for images of shape \(2, 3, 1\). Received: shape \(4, 3\)"),
        ((np.ones(4), (2, 2)), {}, r"Expected `kernel` to have shape .features, units.*Received: shape \(4,\)"),
        ((np.ones((4, 0)), (2, 2)), {}, r"Received: shape \(4, 0\)"),
        ((np.ones((8, 3)), (2, 2, 2)), {}, r"Expected `shape` to be .*Received: shape=\(2, 2, 2\)"),
        ((np.ones((8, 3)), (8,)), {}, r"Received: shape=\(8,\)"),
        ((np.ones((4, 3)), (-2, -2)), {}, r"Received: shape=\(-2, -2\)"),
        ((np.full((4, 3), np.nan), (2, 2)), {}, "Received: NaN or infinity"),
        ((np.ones((4, 3)), (2, 2)), {"max_filters": 0}, "Received: max_filters=0"),
        ((np.ones((4, 3)), (2, 2)), {"limit": 0}, "Expected `limit` to be a positive number. Received: limit=0"),
        ((np.ones((12, 3)), (2, 2, 3)), {"limit": -1.0}, "Received: limit=-1.0"),
    ],
)
def test_filters_that_cannot_be_drawn(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        filters_plot(*arguments, **options)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((np.ones((2, 4)), np.ones((3, 4)), (2, 2)), {}, "`reconstructions` of each of 2 samples `x`. Received: 3."),
        ((np.ones((2, 5)), np.ones((2, 4)), (2, 2)), {}, r"Expected `x` to have shape \(n, 4\).*Received: shape \(2, 5\)"),
        ((np.ones((2, 4)), np.ones(4), (2, 2)), {}, r"Expected `reconstructions` to have shape.*Received: shape \(4,\)"),
        ((np.ones((0, 4)), np.ones((0, 4)), (2, 2)), {}, "n at least 1"),
        ((np.ones((2, 4)), np.ones((2, 4)), (4,)), {}, "Expected `shape`"),
        ((np.ones((2, 4)), np.full((2, 4), np.inf), (2, 2)), {}, "Received: NaN or infinity"),
        ((np.ones((2, 4)), np.ones((2, 4)), (2, 2)), {"max_samples": 0}, "Received: max_samples=0"),
    ],
)
def test_reconstructions_that_cannot_be_drawn(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        reconstructions_plot(*arguments, **options)
