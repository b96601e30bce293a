"""Reconstructions against loops over layers in NumPy, and their sheets."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_xai.attribution import Deconvnet
from keras_xai.features.reconstruct import Reconstructions, reconstruct
from keras_xai.openbox import UnsupportedLayerError
from keras_xai.report.reconstructions import deconvnet_plot
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn


def patches(size, window, stride, padding):
    """For each window along an axis, the entries of the input that are in it, by place in the window."""
    count = -(-size // stride) if padding == "same" else (size - window) // stride + 1
    before = max((count - 1) * stride + window - size, 0) // 2 if padding == "same" else 0
    starts = [stride * i - before for i in range(count)]
    return [[(k, start + k) for k in range(window) if 0 <= start + k < size] for start in starts]


def through_convolution(layer, before, message):
    back = np.zeros_like(before)
    kernel = np.asarray(layer.kernel)
    rows, columns = (patches(before.shape[axis], kernel.shape[axis], 1, layer.padding) for axis in (0, 1))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for a, y in row:
                for b, x in column:
                    back[y, x] += kernel[a, b] @ message[i, j]
    return back


def through_pooling(layer, before, message):
    back = np.zeros_like(before)
    rows, columns = (patches(before.shape[axis], layer.pool_size[axis], layer.strides[axis], layer.padding) for axis in (0, 1))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            places = [(y, x) for _, y in row for _, x in column]
            for channel in range(before.shape[-1]):
                best = places[int(np.argmax([before[y, x, channel] for y, x in places]))]
                back[(*best, channel)] += message[i, j, channel]
    return back


def backward(stack, x, channel, *, rule="deconvnet", keep="map"):
    """What comes back to one sample from a channel of the last layer's output; also for rules that are not the right one."""
    tensors = [x]
    for layer in stack:
        tensors.append(np.asarray(layer(tensors[-1][None]))[0])
    message = np.zeros_like(tensors[-1])
    message[..., channel] = tensors[-1][..., channel]
    if keep == "largest":
        message[message != message.max()] = 0
    for layer, before, after in zip(stack[::-1], tensors[-2::-1], tensors[:0:-1], strict=True):
        if isinstance(layer, layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu:
            masked = message * (after > 0)
            message = {"deconvnet": np.maximum(message, 0), "gradient": masked, "guided": np.maximum(masked, 0)}[rule]
        if isinstance(layer, layers.Conv2D):
            message = through_convolution(layer, before, message)
        elif isinstance(layer, layers.MaxPooling2D):
            message = through_pooling(layer, before, message)
        elif isinstance(layer, layers.BatchNormalization):
            message = message * np.asarray(layer.gamma / ops.sqrt(layer.moving_variance + layer.epsilon))
    return message


@pytest.fixture(scope="module")
def network():
    """A network in float64 that ends in tanh, after the layers that are looked at, and samples."""
    with in_dtype("float64"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [
                keras.Input((9, 8, 3)),
                layers.Conv2D(5, 3, padding="same", activation="relu", name="conv1"),
                layers.MaxPooling2D(3, strides=2, padding="same", name="pool1"),
                layers.Conv2D(4, 2, name="conv2"),
                layers.BatchNormalization(name="norm2"),
                layers.ReLU(name="relu2"),
                layers.MaxPooling2D(2, strides=1, name="pool2"),
                layers.Conv2D(7, 2, padding="same", activation="relu", name="conv3"),
                layers.Flatten(),
                layers.Dense(4, name="scores"),
                layers.Activation("tanh", name="tanh"),
            ],
            name="small",
        )
    rng = np.random.default_rng(0)
    for variable in model.variables:
        low = 0.4 if "variance" in variable.path else -1
        variable.assign(rng.uniform(low, 1.1, size=variable.shape))
    return model, rng.normal(size=(3, 9, 8, 3))


@pytest.fixture(scope="module")
def found(network):
    """All reconstructions from `conv3`."""
    return reconstruct(*network, layer="conv3")


def expected(model, x, last, **options):
    stack = model.layers[: 1 + model.layers.index(model.get_layer(last))]
    channels = model.get_layer(last).output.shape[-1]
    return np.stack([[backward(stack, each, channel, **options) for channel in range(channels)] for each in x])


def test_all_maps_of_a_layer_against_a_loop(network, found):
    model, x = network
    loop = expected(model, x, "conv3")
    np.testing.assert_allclose(found.values, loop, rtol=1e-9, atol=1e-11)
    assert found.values.shape == (3, 7, 9, 8, 3)
    # The controls: neither the gradient, nor the mask of the forward pass beside the rectified message, gives the same.
    for rule in ("gradient", "guided"):
        other = expected(model, x[:1], "conv3", rule=rule)
        assert not np.allclose(other, loop[:1], rtol=0.1, atol=0.1 * np.abs(loop[:1]).max())
    np.testing.assert_array_equal(found.maps, np.tile(np.arange(7), (3, 1)))
    activation = np.asarray(keras.Model(model.inputs, model.get_layer("conv3").output)(x))
    np.testing.assert_allclose(found.activations, activation.max(axis=(1, 2)), rtol=1e-9)
    np.testing.assert_array_equal(found.inputs, x)
    assert (found.layer, found.model, found.num_maps, found.keep) == ("conv3", "small", 7, "map")


@pytest.mark.parametrize("layer, last", [("conv1", "conv1"), ("pool1", "pool1"), ("conv2", "relu2"), ("pool2", "pool2")])
def test_other_layers_with_the_rectifier_that_belongs_to_them(network, layer, last):
    model, x = network
    values = reconstruct(model, x[:1], layer=layer).values
    np.testing.assert_allclose(values, expected(model, x[:1], last), rtol=1e-9, atol=1e-11)


def test_only_the_largest_activation(network, found):
    model, x = network
    largest = reconstruct(model, x[:2], layer="conv3", keep="largest")
    np.testing.assert_allclose(largest.values, expected(model, x[:2], "conv3", keep="largest"), rtol=1e-9, atol=1e-11)
    assert not np.allclose(largest.values, found.values[:2])
    np.testing.assert_allclose(largest.activations, found.activations[:2], rtol=1e-12)


@pytest.mark.parametrize("top, batch_size", [pytest.param(3, 1, marks=pytest.mark.slow), (3, 7), (7, 64), (1, 2)])
def test_the_top_maps_are_those_of_the_largest_activations_in_batches_of_any_size(network, found, top, batch_size):
    model, x = network
    some = reconstruct(model, x, layer="conv3", top=top, batch_size=batch_size)
    order = np.argsort(-found.activations, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(some.maps, order)
    np.testing.assert_allclose(some.activations, np.take_along_axis(found.activations, order, axis=1))
    chosen = np.take_along_axis(found.values, order[:, :, None, None, None], axis=1)
    np.testing.assert_allclose(some.values, chosen, rtol=1e-9, atol=1e-11)
    assert top == 1 or len({tuple(each) for each in order}) > 1  # each image has its own


def test_maps_that_are_equal_at_their_largest_are_ranked_by_their_mean():
    model = keras.Sequential([keras.Input((3, 3, 1)), layers.Conv2D(4, 1, activation="relu6", name="conv")])
    model.set_weights([np.array([9, 1, 99, 99]).reshape(1, 1, 1, 4), np.zeros(4)])
    found = reconstruct(model, np.linspace(0, 1, 9).reshape(1, 3, 3, 1), layer="conv", top=4)
    assert found.maps.tolist() == [[2, 3, 0, 1]] and found.activations.tolist() == [[6, 6, 6, 1]]


def test_no_more_rows_than_the_batch_size_are_in_the_model(network, monkeypatch):
    model, x = network
    shapes = []

    def spied(function, signature, **options):
        def call(*arguments):
            shapes.append(arguments[-1].shape if len(arguments) > 1 else (len(arguments[0]), 1))
            return program(*arguments)

        program = compiled(function, signature, **options)
        return call

    from keras_xai.backend import compiled

    monkeypatch.setitem(reconstruct.__globals__, "compiled", spied)
    reconstruct(model, x, layer="conv3", batch_size=5)
    assert shapes == [(3, 1), *[(1, 5), (1, 2)] * 3]
    shapes.clear()
    reconstruct(model, x, layer="conv3", top=2, batch_size=5)
    assert shapes == [(3, 1), (2, 2), (1, 2)]


def test_from_a_score_it_is_the_deconvnet_times_the_score(network):
    model, x = network
    scores = keras.Model(model.inputs, layers.Softmax(dtype="float64")(model.get_layer("scores").output))
    found = reconstruct(scores, x, layer="scores")
    for target in range(4):
        unit = Deconvnet(scores)(x, target=target).values
        for value, activation, message in zip(found.values[:, target], found.activations[:, target], unit, strict=True):
            if activation > 0:
                np.testing.assert_allclose(value, activation * message, rtol=1e-9, atol=1e-11)
            else:  # a negative message is not what a positive one is turned around
                assert not np.allclose(value, activation * message)
    assert (found.activations > 0).any()


def test_layers_in_a_nested_model_and_of_branches(float64, network):
    model, x = network
    conv1, pool1 = model.get_layer("conv1"), model.get_layer("pool1")
    backbone = keras.Sequential([keras.Input((9, 8, 3)), conv1, pool1], name="backbone")
    image = keras.Input((9, 8, 3))
    features = backbone(image)
    branches = [layers.Conv2D(2, 1, activation="relu", name=name)(features) for name in ("left", "right")]
    joined = layers.Concatenate(name="joined")(branches)
    outer = keras.Model(image, layers.Dense(2, "tanh")(layers.Flatten()(joined)))
    nested = reconstruct(outer, x[:1], layer="backbone/pool1").values
    np.testing.assert_allclose(nested, reconstruct(model, x[:1], layer="pool1").values, rtol=1e-9, atol=1e-11)
    both = reconstruct(outer, x[:1], layer="joined").values
    parts = [reconstruct(outer, x[:1], layer=name).values for name in ("left", "right")]
    np.testing.assert_allclose(both, np.concatenate(parts, axis=1), rtol=1e-9, atol=1e-11)


def test_series_and_a_layer_without_a_rectifier():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((6, 2)), layers.Conv1D(3, 2, name="conv"), layers.Activation("tanh")])
    x = np.random.default_rng(1).normal(size=(2, 6, 2))
    found = reconstruct(model, x, layer="conv")
    kernel, values = np.asarray(model.layers[0].kernel), np.asarray(model.layers[0](x))
    loop = np.zeros((2, 3, 6, 2))
    for place in range(5):
        loop[:, :, place : place + 2] += np.einsum("nk,tck->nktc", values[:, place], kernel)
    np.testing.assert_allclose(found.values, loop, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"images \(height, width, channels\).*shape \(6, 2\) from 'conv'"):
        found.plot()


def test_a_dead_map_sends_back_nothing_and_nothing_of_the_model_changes():
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(4, 3, activation="relu", name="conv", activity_regularizer="l2")
    model = keras.Sequential([keras.Input((8, 8, 1)), conv, layers.MaxPooling2D(name="pool")])
    conv.bias.assign([0, -100, 0, 0])
    before, random_state = model.get_weights(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = reconstruct(model, np.random.default_rng(1).normal(size=(2, 8, 8, 1)), layer="pool")
    assert not found.values[:, 1].any() and not found.activations[:, 1].any()
    assert found.values[:, [0, 2, 3]].any(axis=(2, 3, 4)).all() and found.values.dtype == "float32"
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(random_state, np.random.get_state()[1])  # noqa: NPY002
    assert not model.losses
    figure = found.plot(sample=1)
    assert figure.axes[-1].get_title() == "pool: 4 maps, 1 empty"
    sheet = figure.axes[-1].images[0].get_array()
    middle = len(sheet) // 2 + 10
    assert (sheet[: middle - 20, middle:] == 0.5).all() and not (sheet[middle:, middle:] == 0.5).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "conv33"}, r"path='conv33'. The nearest paths are \['conv3'"),
        ({"layer": "conv3", "top": 0}, "from 1 to 7, the number of maps of 'conv3', or None.*top=0"),
        ({"layer": "conv3", "top": 8}, "top=8"),
        ({"layer": "conv3", "top": 2.0}, "top=2.0"),
        ({"layer": "conv3", "keep": "all"}, "Expected `keep` to be one of.*'map', 'largest'.*keep='all'"),
        ({"layer": "conv3", "batch_size": 0}, "batch_size=0"),
        ({"layer": "conv3", "verbose": 3}, "verbose=3"),
    ],
)
def test_bad_options(network, options, message):
    with pytest.raises(ValueError, match=message):
        reconstruct(*network, **options)


def test_bad_inputs(network):
    model, x = network
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 3 samples, first in sample 1"):
        reconstruct(model, np.where(np.arange(3)[:, None, None, None] == 1, np.nan, x), layer="conv3")
    with pytest.raises(ValueError, match=r"Expected an array of shape \(None, 9, 8, 3\)"):
        reconstruct(model, x[..., :2], layer="conv3")
    with pytest.raises(TypeError, match=r"Expected a `keras.Model`"):
        reconstruct(lambda x: x, x, layer="conv3")


def test_bad_models():
    tokens, image = keras.Input((4,), dtype="int32", name="tokens"), keras.Input((4,), name="image")
    embedded = layers.Flatten()(layers.Embedding(9, 3)(tokens))
    two = keras.Model([tokens, image], layers.Dense(2, name="head")(layers.Concatenate()([embedded, image])))
    with pytest.raises(ValueError, match=r"a model with one real-valued input.*'tokens'.*'image'.*Fix the others"):
        reconstruct(two, [np.ones((1, 4), "int32"), np.ones((1, 4))], layer="head")
    rounded = layers.Lambda(lambda x: ops.cast(x, "int32"), name="whole")(image)
    whole = keras.Model(image, layers.Dense(2)(layers.Lambda(lambda x: ops.cast(x, "float32"))(rounded)))
    with pytest.raises(ValueError, match="with a real-valued output.*'whole'.*int32"):
        reconstruct(whole, np.ones((1, 4)), layer="whole")
    broken = keras.Model(
        image, layers.Dense(2, "relu", name="dense", bias_initializer=keras.initializers.Constant(np.inf))(image)
    )
    with pytest.raises(ValueError, match="activations of 'dense' for sample 0 are NaN or infinite"):
        reconstruct(broken, np.ones((1, 4)), layer="dense")


@pytest.mark.parametrize(
    "build, path, reason",
    [
        (lambda x: layers.Dense(3, "tanh", name="bad")(x), "bad.tanh", "its activation is curved"),
        (lambda x: layers.Dense(3, "hard_tanh", name="bad")(x), "bad.hardtanh", "other than a rectifier"),
        (lambda x: layers.LayerNormalization(name="bad")(x), "bad", "statistics of the sample"),
    ],
)
def test_activations_that_are_no_rectifiers_are_refused_before_the_layer_and_not_after_it(build, path, reason):
    x = keras.Input((4,))
    first = layers.Dense(4, "relu", name="first")(x)
    model = keras.Model(x, layers.Dense(2, name="last")(build(first)))
    for layer in ("last", "bad"):
        with pytest.raises(
            UnsupportedLayerError, match=f"`reconstruct` cannot(.|\n)*'{path}.*{reason}(.|\n)*a layer before them"
        ):
            reconstruct(model, np.ones((1, 4)), layer=layer)
    kernel = np.asarray(model.get_layer("first").kernel)
    found = reconstruct(model, np.ones((1, 4)), layer="first")
    np.testing.assert_allclose(found.values[0], (kernel * found.activations).T, rtol=1e-5)


def made(values, keep="map", **changes):
    """Reconstructions that are what they are said to be."""
    values = np.asarray(values, "float64")
    count = values.shape[1]
    maps = np.tile(np.arange(10, 10 + count), (len(values), 1))
    plain = Reconstructions(
        values,
        maps,
        np.ones(maps.shape),
        np.random.default_rng(1).uniform(size=(len(values), *values.shape[2:])),
        "conv",
        "net",
        count,
        keep,
    )
    return dataclasses.replace(plain, **changes)


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def tiles(axes, count, side):
    """The tiles of a sheet, one entry for each pixel of a reconstruction."""
    sheet = np.asarray(axes.images[0].get_array())
    columns = int(np.ceil(np.sqrt(count)))
    wide = next(factor for factor in range(1000, 0, -1) if factor * side <= 1000 // columns) * side
    step = wide + max(1, round(0.03 * wide))
    corners = [(number // columns * step, number % columns * step) for number in range(count)]
    return np.stack([sheet[y : y + wide : wide // side, x : x + wide : wide // side] for y, x in corners])


def test_a_sheet_has_a_tile_for_each_map_on_its_own_scale():
    values = np.random.default_rng(1).normal(size=(2, 5, 6, 6, 3)) * np.array([1, 1e-6, 1e3, 0, 1])[:, None, None, None]
    figure = drawn(made(values).plot(sample=1))
    assert len(figure.axes) == 2 and len(figure.axes[1].images) == 1
    shown = tiles(figure.axes[1], 5, 6)
    np.testing.assert_array_equal(np.sign(shown - 0.5), np.sign(values[1]))
    limits = np.percentile(np.abs(values[1]).max(axis=-1).reshape(5, -1), 99.5, axis=1)[[0, 1, 2, 4], None, None, None]
    scaled = np.clip(values[1][[0, 1, 2, 4]] / limits, -1, 1)
    np.testing.assert_allclose(shown[[0, 1, 2, 4]], 0.5 + np.sign(scaled) * np.abs(scaled) ** 0.6 / 2, atol=1e-9)
    assert (shown[3] == 0.5).all()
    assert [text.get_text() for text in figure.axes[1].texts] == ["10", "11", "12", "13", "14"]
    assert figure.axes[1].get_title() == "conv: 5 maps, 1 empty" and figure._suptitle.get_text() == "net"
    # Blue, green and red; a sheet of few gray pixels has one channel.
    turned = tiles(drawn(made(values).plot(sample=1, bgr=True)).axes[1], 5, 6)
    np.testing.assert_array_equal(turned, shown[..., ::-1])
    assert made(values[..., :1]).plot().axes[1].images[0].get_array().ndim == 2


def test_tiles_of_single_activations_are_cut_out():
    values = np.zeros((1, 4, 20, 20, 1))
    values[0, 0, 3:6, 10:14] = np.random.default_rng(1).normal(size=(3, 4, 1))
    values[0, 1, 18:20, 0:2] = 1
    values[0, 2, 5, 5] = -1
    figure = made(values, "largest", num_maps=9).plot()
    sheet = figure.axes[1].images[0].get_array()
    whole = made(values).plot().axes[1].images[0].get_array()
    assert sheet.shape[0] * 4 < sheet.shape[1] * 3 + 20 and whole.shape[0] == whole.shape[1]
    columns = np.flatnonzero((sheet != 0.5).any(axis=0))
    assert columns[0] == 0 and figure.axes[1].get_title() == "conv: 4 strongest of 9 maps, largest activation of each, 1 empty"


def test_many_large_and_oblong_tiles_stay_small():
    values = np.zeros((1, 130, 60, 120, 1), "float32")
    values[:, :, :, 60:] = 1
    figure = drawn(made(values).plot())
    sheet = figure.axes[1].images[0].get_array()
    assert sheet.shape[1] < 1100 and 0.7 < sheet.shape[0] / sheet.shape[1] < 1.4
    tile = sheet[: 1000 // 9 // 2 - 1, : 1000 // 9]
    assert (tile[:, :50] == 0.5).all() and (tile[:, 60:] == 1).all()
    # Of 200 tiles in a row of fifteen, numbers could not be read.
    assert figure.axes[1].texts and not made(np.ones((1, 200, 4, 4, 1))).plot().axes[1].texts


def test_layers_below_each_other_and_networks_side_by_side():
    rng = np.random.default_rng(1)
    first, second = made(rng.normal(size=(2, 4, 6, 6, 3))), made(rng.normal(size=(2, 9, 6, 6, 3)), layer="deep")
    figure = drawn(deconvnet_plot([first, second], sample=1, title="two layers"))
    assert [axes.get_title() for axes in figure.axes if axes.images][1:] == ["conv: 4 maps", "deep: 9 maps"]
    assert figure._suptitle.get_text() == "two layers"
    both = drawn(deconvnet_plot({"a": [first, second], "b": first}, bgr={"b": True}, show=lambda x: x * 0))
    grid = np.array(both.axes, dtype=object).reshape(2, 3)
    assert grid[0, 1].get_title() == "a: conv: 4 maps" and grid[0, 2].get_title() == "b: conv: 4 maps"
    assert not grid[1, 2].images and grid[1, 1].get_title() == "a: deep: 9 maps"
    assert not np.asarray(grid[0, 0].images[0].get_array()).any()
    np.testing.assert_array_equal(grid[0, 1].images[0].get_array(), grid[0, 2].images[0].get_array()[..., ::-1])
    boxes = [axes.get_tightbbox() for axes in grid.flat if axes.images]
    for i, box in enumerate(boxes):
        assert all(not box.shrunk(0.98, 0.98).overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize(
    "found, options, message",
    [
        ([], {}, "reconstructions of a layer of each network"),
        ({"a": []}, {}, "reconstructions of a layer of each network"),
        (made(np.ones((2, 3, 4, 4, 1))), {"sample": 2}, "from 0 to 1. Received: sample=2"),
        (
            made(np.ones((2, 3, 4, 4, 2))),
            {},
            r"with one or three channels. Received: reconstructions of inputs of shape \(4, 4, 2\)",
        ),
        (made(np.full((2, 3, 4, 4, 1), np.nan)), {}, "NaN or infinity from 'conv'"),
    ],
)
def test_errors_of_sheets(found, options, message):
    with pytest.raises(ValueError, match=message):
        deconvnet_plot(found, **options)


@pytest.mark.slow
def test_a_real_network(data_folder):
    model = keras.models.load_model(data_folder / "models" / "squeezenet_v1.1.keras", compile=False)
    with np.load(data_folder / "coco_objects.npz", allow_pickle=False) as file:
        x = file["images"][:2, ..., ::-1].astype("float32") - np.array([104, 117, 123], "float32")
    found = reconstruct(model, x, layer="fire5_concat", top=3)
    # A Deconvnet of the layer's own model, whose message starts as the activation of the map.
    deconvnet = Deconvnet(keras.Model(model.inputs, model.get_layer("fire5_concat").output))
    for sample, channel in [(0, 0), (1, 2)]:
        index = found.maps[sample, channel]
        start = deconvnet(x, target=lambda maps, k=index: ops.sum(maps[..., k] * ops.stop_gradient(maps[..., k]), axis=(1, 2)))
        expected = start.values[sample]
        np.testing.assert_allclose(found.values[sample, channel], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_maps_of_a_trained_network_differ_and_those_of_its_untrained_twin_do_not(data_folder):
    trained = keras.models.load_model(data_folder / "models" / "squeezenet_v1.1.keras", compile=False)
    keras.utils.set_random_seed(0)
    with np.load(data_folder / "coco_objects.npz", allow_pickle=False) as file:
        x = file["images"][:3, ..., ::-1].astype("float32") - np.array([104, 117, 123], "float32")

    def likeness(model):
        """The mean cosine between the reconstructions from the strongest maps of an image."""
        tiles = reconstruct(model, x, layer="fire9_concat", top=12).values.reshape(3, 12, -1)
        tiles = tiles / np.linalg.norm(tiles, axis=2, keepdims=True)
        return (np.einsum("nip,njp->nij", tiles, tiles).sum(axis=(1, 2)) - 12) / (12 * 11)

    assert (likeness(trained) < 0.8).all() and (likeness(keras.models.clone_model(trained)) > 0.9).all()
