"""Pictures of lines and planes show all that was computed, where it is."""

import io

import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from keras_xai.openbox import OpenBox
from keras_xai.openbox.partition.line import line
from keras_xai.openbox.partition.plane import plane
from keras_xai.report.classes import class_color


@pytest.fixture(scope="module")
def box():
    keras.utils.set_random_seed(0)
    hidden = [
        keras.layers.Conv2D(2, 3, activation="relu", bias_initializer="normal", name="one"),
        keras.layers.Flatten(),
        keras.layers.Dense(6, "relu", name="two"),
    ]
    return OpenBox(keras.Sequential([keras.Input((5, 4, 1)), *hidden, keras.layers.Dense(3)]), dtype="float64", batch_size=64)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, 5, 4, 1))


@pytest.fixture(scope="module")
def sliced(box, images):
    return plane(box, *images, verbose=0)


@pytest.fixture(scope="module")
def way(box, images):
    return line(box, *images[:2], verbose=0)


def _labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _saved(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def test_plane_shows_cells_walls_boundary_and_inputs_to_scale(sliced, images):
    figure = sliced.plot(class_names=["cat", "dog", "bird"], input_names=list("abc"), images=images)
    (axes,) = figure.axes
    cells, walls, boundary, marks = axes.collections
    assert axes.get_xlabel() == "distance from a toward b" and axes.get_ylabel() == "distance from this line, toward c"
    assert len(cells.get_paths()) == len(sliced.cells.polygons)
    assert len(walls.get_segments()) == sum((layers >= 0).sum() for layers in sliced.edge_layers)
    assert len(boundary.get_segments()) == len(sliced.boundary.segments)
    apart = np.linalg.norm(np.diff(images[[0, 1, 2, 0]], axis=0).reshape(3, -1), axis=1)
    offsets = np.asarray(marks.get_offsets())
    np.testing.assert_allclose(np.linalg.norm(np.diff(offsets[[0, 1, 2, 0]], axis=0), axis=1), apart)
    assert axes.get_aspect() == 1
    assert _labels(figure) == [("cat", "dog", "bird")[k] for k in np.unique(sliced.cells.classes)] + [
        "decision boundary",
        "the three inputs",
    ]
    assert len(axes.artists) == 3
    assert _saved(figure).startswith(b"\x89PNG")


def test_axes_measure_distances_in_the_input_space(sliced, images):
    axes = sliced.plot().axes[0]
    offsets = np.asarray(axes.collections[-1].get_offsets())
    np.testing.assert_allclose(offsets[0], 0)
    np.testing.assert_allclose(offsets[1], [np.linalg.norm(images[1] - images[0]), 0], atol=1e-12)
    assert offsets[2, 1] > 0 and np.linalg.norm(offsets[2]) == pytest.approx(np.linalg.norm(images[2] - images[0]))
    assert len(axes.get_xticks()) > 2 and axes.get_xlabel() == "distance from corner toward second"


def test_samples_are_projected_onto_the_plane(box, sliced, images):
    draw = np.random.default_rng(1)
    away = draw.normal(size=images[0].size)
    directions = (images[1:] - images[0]).reshape(2, -1)
    away -= directions.T @ np.linalg.lstsq(directions.T, away, rcond=None)[0]  # at a right angle to the plane
    points = draw.uniform(0, 1, size=(6, 2))
    x = sliced.inputs(points) + (away / np.linalg.norm(away)).reshape(images[0].shape) * np.arange(6)[:, None, None, None]
    found, distances, classes = sliced.project(x)
    np.testing.assert_allclose(found, points, atol=1e-12)
    np.testing.assert_allclose(distances, np.arange(6), atol=1e-12)
    np.testing.assert_array_equal(classes, box(x, verbose=0).scores.argmax(axis=1))
    figure = sliced.plot(x=np.concatenate([x, x + 99]), y=[*[0, 1, 2] * 2, *[0] * 6])  # the others are beyond the rectangle
    dots = figure.axes[0].collections[3]
    np.testing.assert_allclose(dots.get_offsets(), sliced.places(points)[::-1], atol=1e-12)
    colors = dots.get_facecolors()
    assert (np.diff(colors[:, 3]) > 0).all() and len(np.unique(colors[:, :3], axis=0)) == 3
    told = [label for label in _labels(figure) if "sample" in label]
    assert told == [
        f"6 samples in the colors\nof their classes,\n{distances.min():.2g} to 5 from the plane\n(the farther, the paler)"
    ]
    shown = [tuple(dot.get_color()) for dot in figure.legends[0].findobj(Line2D) if dot.get_marker() == "o"]
    assert shown == [tuple(0.75 * np.array(to_rgb(class_color(k)))) for k in (0, 1, 2)]
    (label,) = (each for each in _labels(sliced.plot(x=x[:1], mark_inputs=False)) if "sample" in each)
    assert label == "1 sample in the color\nof its predicted class"


def test_entries_of_the_inputs_along_the_axes():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(2)])
    box = OpenBox(model, dtype="float64")
    flat = plane(box, [1.0, 5.0, 2.0], [3.0, 5.0, 2.0], [1.0, 5.0, 4.0], verbose=0)
    axes = flat.plot(x=np.array([[2.0, 5.0, 3.0], [2.5, 5.0, 2.5]])).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("entry 0", "entry 2")
    np.testing.assert_allclose(axes.collections[-1].get_offsets(), [[1, 2], [3, 2], [1, 4]])
    np.testing.assert_allclose(sorted(np.asarray(axes.collections[3].get_offsets()).tolist()), [[2, 3], [2.5, 2.5]])
    assert "2 samples in the colors\nof their predicted classes" in _labels(axes.figure)  # in the plane
    several = {"a": keras.Input((1,), name="a"), "b": keras.Input((1,), name="b")}
    joined = keras.layers.Dense(2)(keras.layers.Dense(6, "relu")(keras.layers.Concatenate()(list(several.values()))))
    corners = [{"a": np.array([u]), "b": np.array([v])} for u, v in ((0.0, 0.0), (1.0, 1.0), (0.0, 2.0))]
    both = plane(OpenBox(keras.Model(several, joined), dtype="float64"), *corners, verbose=0)
    assert both.entry_names == ("entry 0 of input 0", "entry 0 of input 1")


@pytest.mark.parametrize("name", ["cat", "a class with quite a long name"])
def test_nothing_of_a_plane_is_cut_off(sliced, name):
    figure = sliced.plot(class_names=[name, "dog", "bird"])
    figure.canvas.draw()
    extent = figure.axes[0].get_tightbbox()
    assert extent.x0 >= 0 and extent.y0 >= 0 and extent.y1 <= figure.bbox.height + 1
    assert (
        extent.x1 <= figure.legends[0].get_window_extent().x0 and figure.legends[0].get_window_extent().x1 <= figure.bbox.width
    )


def test_cells_of_one_class_have_shades_of_one_color(sliced):
    colors = sliced.plot().axes[0].collections[0].get_facecolor()[:, :3]
    for k in np.unique(sliced.cells.classes):
        tints = 1 - colors[sliced.cells.classes == k]
        shares = tints / tints.max(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, shares[:1].repeat(len(shares), axis=0), atol=1e-9)
        assert len(np.unique(tints, axis=0)) > 1


def test_walls_in_the_colors_of_their_layers(sliced):
    figure = sliced.plot(by_layer=True, mark_inputs=False)
    _, walls, _ = figure.axes[0].collections
    assert len(np.unique(walls.get_colors(), axis=0)) == 2
    assert _labels(figure)[-3:] == ["one.relu", "two.relu", "decision boundary"]


def test_line_shows_scores_breakpoints_and_crossings(way):
    figure = way.plot(class_names=["cat", "dog", "bird"])
    axes, rug = figure.axes
    curves = [curve for curve in axes.get_lines() if len(curve.get_xdata()) == len(way) + 1]
    drawn = np.sort([curve.get_ydata() for curve in curves], axis=0)
    np.testing.assert_allclose(drawn, np.sort(way.breakpoint_scores.T, axis=0))
    ticks = [segment[0, 0] for segment in rug.collections[0].get_segments()]
    np.testing.assert_array_equal(ticks, way.breakpoints)
    dots = [curve.get_xdata()[0] for curve in axes.get_lines() if curve.get_marker() == "o"]
    np.testing.assert_array_equal(dots, way.crossings)
    assert set(_labels(figure)) == {("cat", "dog", "bird")[k] for k in way.classes}
    assert way.length == pytest.approx(np.linalg.norm(way.inputs([0.0])[0] - way.inputs([1.0])[0]))
    assert f"{way.length:.3g} apart" in rug.get_xlabel()
    assert _saved(figure).startswith(b"\x89PNG")


def test_one_score_is_drawn_beside_zero(box):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    way = line(OpenBox(model), [-1.0, 0.0], [1.0, 1.0], verbose=0)
    curves = [curve.get_ydata() for curve in way.plot().axes[0].get_lines() if len(curve.get_xdata()) == len(way) + 1]
    assert len(curves) == 2 and any((curve == 0).all() for curve in curves)


def test_gradients_beside_the_images(way, images):
    gradients = way.integrated_gradients(1, verbose=0)
    start, end, attribution, _ = gradients.plot().axes
    np.testing.assert_allclose(start.images[0].get_array(), images[0, ..., 0])
    np.testing.assert_allclose(end.images[0].get_array(), images[1, ..., 0])
    drawn = attribution.images[0]
    np.testing.assert_allclose(drawn.get_array(), gradients.attribution[..., 0])
    low, high = drawn.get_clim()
    assert -low == high == np.abs(gradients.attribution).max()
    assert f"{gradients.difference:+.3f}" in attribution.get_xlabel()


def test_gradients_of_one_score_name_no_class(images):
    model = keras.Sequential([keras.Input((5, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    gradients = line(OpenBox(model), *images[:2], verbose=0).integrated_gradients(verbose=0)
    assert gradients.plot(class_names=["no", "yes"]).axes[2].get_title() == "attribution to the score"
    np.testing.assert_allclose([gradients.start, gradients.end], images[:2], atol=1e-12)
    shown = gradients.plot(images=1 - images[:2]).axes
    np.testing.assert_allclose([axes.images[0].get_array() for axes in shown[:2]], 1 - images[:2, ..., 0])


def test_bad_arguments(sliced, way, images):
    with pytest.raises(ValueError, match="3 names, one for each class of the model. Received: 2 names"):
        sliced.plot(class_names=["cat", "dog"])
    with pytest.raises(ValueError, match="three `images`, one for each input of the plane. Received: images="):
        sliced.plot(images=images[:2])
    with pytest.raises(ValueError, match="Expected `y` to be a class index from 0 to 2 for each of 3 samples"):
        sliced.plot(x=images, y=[0, 1, 3])
    with pytest.raises(ValueError, match="3 names, one for each class of the model. Received: 4 names"):
        way.plot(class_names=list("abcd"))
    keras.utils.set_random_seed(0)
    flat = line(OpenBox(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])), np.zeros(4), np.ones(4), verbose=0)
    with pytest.raises(ValueError, match="Expected a line between two images"):
        flat.integrated_gradients(verbose=0).plot()
