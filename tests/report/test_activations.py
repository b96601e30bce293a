"""Pictures of activations show the maps that they were given, at one scale for all trainings."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_xai.report import activations_plot


def trainings(*names, **shapes):
    rng = np.random.default_rng(0)
    return {name: {path: rng.uniform(size=shape) for path, shape in shapes.items()} for name in names}


def blocks(figure):
    """Axes that show maps, and those of the color scales."""
    return [axes for axes in figure.axes if axes.images], [axes for axes in figure.axes if not axes.images]


def arrays(axes):
    return np.array([image.get_array() for image in axes.images])


def test_each_block_has_the_maps_of_one_training_and_layer_in_order():
    named = trainings("a", "b", conv1=(3, 6, 5, 16), conv2=(3, 4, 4, 7))
    figure = activations_plot(named, sample=1, title="both")
    maps, scales = blocks(figure)
    assert len(maps) == 4 and len(scales) == 2
    for axes, (name, path) in zip(maps, [("a", "conv1"), ("b", "conv1"), ("a", "conv2"), ("b", "conv2")], strict=True):
        np.testing.assert_array_equal(arrays(axes), np.moveaxis(named[name][path][1], -1, 0))
    # What the comparison above must tell apart.
    assert not np.array_equal(arrays(maps[0]), np.moveaxis(named["b"]["conv1"][1], -1, 0))
    assert not np.array_equal(arrays(maps[0]), np.moveaxis(named["a"]["conv1"][0], -1, 0))
    assert [axes.get_title() for axes in maps] == ["a", "b", "", ""]
    assert [axes.get_ylabel() for axes in maps] == ["conv1\n16 filters\n6 x 5", "", "conv2\n7 filters\n4 x 4", ""]
    assert figure._suptitle.get_text() == "both"  # without a public way to it before matplotlib 3.8


@pytest.mark.parametrize("count, columns", [(1, 1), (7, 3), (8, 4), (16, 4), (32, 8), (64, 8)])
def test_filters_stand_row_by_row_beside_each_other(count, columns):
    (axes,), _ = blocks(activations_plot(trainings("a", conv=(1, 4, 6, count))))
    extents = np.array([image.get_extent() for image in axes.images])
    lefts, tops = extents[:, 0], extents[:, 3]
    places = [
        (np.searchsorted(np.unique(tops), top), np.searchsorted(np.unique(lefts), left))
        for left, top in zip(lefts, tops, strict=True)
    ]
    assert places == [divmod(i, columns) for i in range(count)]
    assert (np.diff(np.unique(lefts)) > 6).all() and (np.diff(np.unique(tops)) > 4).all()
    np.testing.assert_allclose(extents[:, 1] - lefts, 6)
    np.testing.assert_allclose(extents[:, 2] - tops, 4)


def test_trainings_share_one_scale_and_layers_do_not():
    named = trainings("strong", "weak", conv1=(2, 4, 4, 3), conv2=(2, 4, 4, 3))
    named["weak"]["conv1"] *= 0.05
    named["strong"]["conv2"] *= 10
    maps, scales = blocks(activations_plot(named))
    for row, path in enumerate(("conv1", "conv2")):
        limit = max(found[path][0].max() for found in named.values())
        limits = {image.get_clim() for axes in maps[2 * row : 2 * row + 2] for image in axes.images}
        assert limits == {(0.0, limit)} and scales[row].get_ylim() == (0.0, limit)
    strong, weak = (image.to_rgba(image.get_array())[..., :3] for image in (maps[0].images[0], maps[1].images[0]))
    assert weak.min() > 0.85 > 0.5 > strong.min()


def test_zero_is_white_with_negative_values_and_without():
    for low in (0.0, -3.0):
        values = np.array([low, 0.0, 2.0]).reshape(1, 1, 3, 1)
        (axes,), _ = blocks(activations_plot({"a": {"conv": values}}))
        (image,) = axes.images
        assert image.get_clim() == ((0.0, 2.0) if low == 0 else (-3.0, 3.0))
        lowest, zero, positive = image.to_rgba(image.get_array())[0, :, :3]
        assert zero.min() > 0.95 and positive[0] > positive[2] + 0.2
        assert (lowest[2] > lowest[0] + 0.2) == (low < 0)


def test_a_layer_that_is_dead_in_all_trainings():
    (axes,), (scale,) = blocks(activations_plot({"a": {"conv": np.zeros((1, 3, 3, 4))}}))
    assert scale.get_ylim() == (0.0, 1.0) and axes.images[0].to_rgba(axes.images[0].get_array())[..., :3].min() > 0.95


def test_chosen_layers_and_the_first_filters():
    named = trainings("a", "b", conv1=(2, 4, 4, 100), head=(2, 10), conv2=(2, 3, 3, 4))
    named["a"]["conv1"][0, ..., 7] = 50  # of a filter that is not drawn
    maps, scales = blocks(activations_plot(named, layers=["conv2", "conv1"], max_filters=6))
    assert [len(axes.images) for axes in maps] == [4, 4, 6, 6]
    assert maps[0].get_ylabel().startswith("conv2\n4 filters") and maps[2].get_ylabel().startswith("conv1\nfirst 6 of 100")
    assert scales[1].get_ylim()[1] <= 1


@pytest.mark.parametrize("shape", [(24, 24), (3, 3), (2, 40), (40, 1)])
@pytest.mark.parametrize("count", [1, 33])
def test_nothing_overlaps_or_is_cut_off(shape, count):
    named = trainings("conventional", "regularized", **{"backbone/block1_conv1": (1, *shape, count), "conv2": (1, *shape, 16)})
    figure = activations_plot(named, title="a title")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()

    def parts():
        boxes = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
        boxes.append(figure._suptitle.get_window_extent())
        ends = np.array([box.extents for box in boxes])
        # Half a pixel is left to rounding.
        inside = (ends[:, :2] >= -0.5).all() and (ends[:, 2:] <= figure.bbox.extents[2:] + 0.5).all()
        return inside, any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])

    assert parts() == (True, False)
    # Longer texts are seen to be too long, where the layout has no say any more.
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_title(20 * "too long")
    assert parts() == (False, True)


@pytest.mark.parametrize(
    "named, options, message",
    [
        ({}, {}, "at least one training"),
        ({"a": {}}, {}, "its activations by layer. Received: named_activations="),
        (trainings("a", c=(2, 3, 3, 4)), {"layers": "c"}, "a list of different paths of layers.*Received: layers='c'"),
        (
            trainings("a", c=(2, 3, 3, 4)),
            {"layers": ["d"]},
            r"of layer 'd' for each training. Received: 'a' with \['c'\].*`layers`",
        ),
        (
            trainings("a", c=(2, 3, 3, 4)) | trainings("b", d=(2, 3, 3, 4)),
            {},
            r"of layer 'c' for each training. Received: 'b' with",
        ),
        (trainings("a", c=(2, 10)), {}, r"shape \(n, height, width, channels\) for 'c'. Received: shape \(2, 10\)"),
        (trainings("a", c=(2, 3, 3, 4)) | trainings("b", c=(2, 3, 3, 5)), {}, r"shapes \[\(3, 3, 4\), \(3, 3, 5\)\] for 'c'"),
        (trainings("a", c=(2, 3, 3, 4)), {"sample": 2}, "from 0 to 1. Received: sample=2"),
        (trainings("a", c=(2, 3, 3, 4)), {"sample": -1}, "Received: sample=-1"),
        (trainings("a", c=(2, 3, 3, 4)), {"max_filters": 0}, "Received: max_filters=0"),
        ({"a": {"c": np.full((1, 2, 2, 1), np.nan)}}, {}, "NaN or infinity"),
    ],
)
def test_errors(named, options, message):
    with pytest.raises(ValueError, match=message):
        activations_plot(named, **options)
