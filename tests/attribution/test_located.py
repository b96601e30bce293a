"""Explanations by the output of a layer, and of a unit of it, against tapes on parts of the model and loops over the definitions."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai import metrics
from keras_xai.attribution import (
    Explanation,
    GradientTimesInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
    explain_generation,
)
from keras_xai.report import explanations_plot
from keras_xai.targets.units import Unit
from tests.zoo import in_dtype

METHODS = (Saliency, GradientTimesInput, IntegratedGradients)


@pytest.fixture(scope="module")
def network():
    """A smooth convolutional network with biases, in float64."""
    keras.utils.set_random_seed(3)
    with in_dtype("float64"):
        return keras.Sequential(
            [
                keras.Input((6, 5, 2)),
                layers.Flatten(name="flat"),
                layers.Reshape((6, 5, 2), name="again"),
                layers.Conv2D(3, 3, activation="gelu", bias_initializer="normal", name="conv"),
                layers.MaxPooling2D(name="pool"),
                layers.Flatten(),
                layers.Dense(4, "relu", bias_initializer="normal", name="dense"),
                layers.Dense(5, "gelu", bias_initializer="normal"),
                layers.Dense(3, "softmax", bias_initializer="normal", name="out"),
            ]
        )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(5, 6, 5, 2))


def divided(model, name):
    """The functions before and after the output of a layer of a Sequential model, up to the logits."""
    position = [layer.name for layer in model.layers].index(name) + 1

    def before(samples):
        for layer in model.layers[:position]:
            samples = layer(samples)
        return samples

    def after(tensor):
        for layer in model.layers[position:-1]:
            tensor = layer(tensor)
        last = model.layers[-1]
        return tensor @ last.kernel + last.bias

    return before, after


def tape_gradient(function, point, index):
    point = tf.convert_to_tensor(point)
    with tf.GradientTape() as tape:
        tape.watch(point)
        score = function(point)[:, index]
    return tape.gradient(score, point).numpy()


@pytest.mark.parametrize("name", ["conv", "pool", "dense"])
def test_gradients_by_a_layer_are_those_of_a_tape(network, x, name):
    before, after = divided(network, name)
    y = before(x)
    expected = tape_gradient(after, y, 1)
    found = Saliency(network, layer=name)(x, target=1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-10, atol=1e-13)
    assert found.derivatives and found.layer == name and found.values.shape == y.shape
    assert np.abs(expected - tape_gradient(after, y, 2)).max() > 1e-3  # another class would not do
    times = GradientTimesInput(network, layer=name)(x, target=1)
    np.testing.assert_allclose(times.values, expected * y, rtol=1e-10, atol=1e-13)
    left = after(y).numpy()[:, 1] - (expected * y.numpy()).reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(times.convergence_delta, left, atol=1e-12)


@pytest.mark.parametrize("name", ["conv", "dense"])
def test_conductance_is_the_integral_of_its_definition(network, x, name):
    """sum_i of df/dy_j dy_j/dx_i (x_i - b_i), averaged over a fine grid on the path, with whole Jacobians."""
    before, after = divided(network, name)
    baseline = np.full((1, 6, 5, 2), 0.2)
    grid = (np.arange(400) + 0.5) / 400
    expected = []
    for sample in x[:2]:
        total = 0.0
        for part in np.split(grid, 2):
            points = tf.convert_to_tensor(baseline + part[:, None, None, None] * (sample - baseline))
            with tf.GradientTape() as tape:
                tape.watch(points)
                y = before(points)
            jacobian = tape.batch_jacobian(y, points).numpy().reshape(len(part), *y.shape[1:], -1)
            moved = jacobian @ (sample - baseline).ravel()
            total = total + (tape_gradient(after, y, 2) * moved).sum(axis=0) / len(grid)
        expected.append(total)
    found = IntegratedGradients(network, layer=name, steps=256)(x[:2], target=2, baseline=baseline[0])
    np.testing.assert_allclose(found.values, expected, atol=2e-3 * np.abs(expected).max())
    # The integrated gradient by the layer's output on the straight line between its ends is something else.
    ends = before(x[:2]).numpy(), before(baseline).numpy()
    line = np.mean([tape_gradient(after, ends[1] + t * (ends[0] - ends[1]), 2) for t in grid[::10]], axis=0)
    assert np.abs(line * (ends[0] - ends[1]) - expected).max() > 2e-2 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["flat", "conv", "pool", "dense"])
def test_conductance_adds_up_to_the_score_difference(network, x, name):
    found = IntegratedGradients(network, layer=name, steps=100)(x, target=0)
    _, after = divided(network, "flat")
    scores = [after(np.reshape(each, (len(each), -1))).numpy()[:, 0] for each in (x, np.zeros_like(x))]
    rise = found.values.reshape(5, -1).sum(axis=1) + found.convergence_delta
    np.testing.assert_allclose(rise, scores[0] - scores[1], atol=1e-10)
    assert np.abs(found.convergence_delta).max() < 1e-2 * np.abs(rise).max()
    coarse = IntegratedGradients(network, layer=name, steps=2)(x, target=0)
    assert np.abs(coarse.convergence_delta).max() > 5 * np.abs(found.convergence_delta).max()
    within = IntegratedGradients(network, layer=name, steps=8, tolerance=1e-5)(x, target=0)
    assert (np.abs(within.convergence_delta) <= 1e-5 * np.abs(rise)).all()
    np.testing.assert_allclose(within.values, found.values, atol=2e-2 * np.abs(found.values).max())


def test_conductance_of_a_layer_that_moves_entries_is_that_of_the_inputs(network, x):
    ours = IntegratedGradients(network, layer="flat", steps=9)(x, target=1, baseline=0.3)
    theirs = IntegratedGradients(network, steps=9)(x, target=1, baseline=0.3)
    np.testing.assert_allclose(ours.values, theirs.values.reshape(5, -1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.convergence_delta, theirs.convergence_delta, atol=1e-12)
    assert ours.num_forward_passes == 3 * 9 + 2


@pytest.mark.parametrize("method", METHODS)
def test_batches_do_not_matter(network, x, method):
    for options in ({"layer": "conv"}, {"layer": "conv", "unit": 2}):
        whole = method(network, **options)(x, target=None)
        for size in (1, 3):
            np.testing.assert_allclose(method(network, batch_size=size, **options)(x).values, whole.values, atol=1e-12)


SELECTED = [
    (2, lambda y: ops.mean(y[..., 2], axis=(1, 2))),
    ((3, 1, 0), lambda y: y[:, 3, 1, 0]),
    ((slice(1, 3), 2, slice(None)), lambda y: ops.mean(y[:, 1:3, 2, :], axis=(1, 2))),
]


@pytest.mark.parametrize("unit, function", SELECTED, ids=["channel", "single", "several"])
@pytest.mark.parametrize("method", METHODS)
def test_units_are_explained_as_the_output_of_a_part_of_the_model(network, x, method, unit, function):
    y = network.get_layer("conv").output
    part = keras.Model(network.inputs, ops.expand_dims(function(y), 1))
    expected = method(part)(x)
    found = method(network, layer="conv", unit=unit)(x)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.layer is None and found.target == Unit("conv", unit, 3)
    assert np.abs(found.values).max() > 1e-3
    called = method(network, layer=network.get_layer("conv"), unit=function)(x)
    np.testing.assert_allclose(called.values, expected.values, atol=1e-14)


def test_the_gradient_of_a_unit_is_that_of_a_tape(network, x):
    before, _ = divided(network, "dense")
    expected = tape_gradient(before, x, 3)
    np.testing.assert_allclose(Saliency(network, layer="dense", unit=3)(x).values, expected, rtol=1e-10, atol=1e-13)
    assert np.abs(expected - tape_gradient(before, x, 1)).max() > 1e-3


def test_the_score_itself_may_be_the_unit(network, x):
    for method in METHODS:
        whole = method(network)(x, target=2)
        np.testing.assert_allclose(method(network, layer="out", unit=2)(x).values, whole.values, atol=1e-13)


def test_vectors_of_tokens_keep_their_padding():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True, name="vectors"),
            layers.Dropout(0.5, name="dropped"),
            layers.SimpleRNN(5, return_sequences=True, name="inner"),
            layers.SimpleRNN(5),
            layers.Dense(3),
        ]
    )
    tokens = np.array([[3, 1, 4, 0, 0, 0], [5, 8, 2, 6, 5, 3]])
    summed = IntegratedGradients(model, steps=8)(tokens, target=1)
    for name in ("vectors", "dropped"):
        found = IntegratedGradients(model, layer=name, steps=8)(tokens, target=1)
        assert found.values.shape == (2, 6, 4)
        np.testing.assert_allclose(found.values.sum(axis=-1), summed.values, atol=1e-6)
        gradients = Saliency(model, layer=name)(tokens, target=1).values
        np.testing.assert_allclose(np.linalg.norm(gradients, axis=-1), Saliency(model)(tokens, target=1).values, atol=1e-6)
        assert not gradients[0, 3:].any() and gradients[0, :3].any()
    unit = GradientTimesInput(model, layer="inner", unit=(2, 4))(tokens)
    assert not unit.values[0, 3:].any() and not unit.values[1, 3:].any() and unit.values[1, :3].all()


def residual():
    keras.utils.set_random_seed(1)
    start = keras.Input((4,))
    other = keras.Input((2,), name="other")
    inner = layers.Dense(4, "tanh", name="inner")(start)
    head = layers.Dense(2, name="head")(layers.Concatenate()([layers.Add(name="sum")([start, inner]), other]))
    aside = layers.Dense(2, name="aside")(inner)
    return keras.Model([start, other], {"head": head, "aside": aside})


def test_paths_around_a_layer_leave_no_convergence_delta():
    model = residual()
    x = [np.random.default_rng(0).normal(size=(3, n)).astype("float32") for n in (4, 2)]
    around = IntegratedGradients(model, layer="inner")(x, target={"head": 1})
    assert around.convergence_delta is None
    assert GradientTimesInput(model, layer="inner")(x, target={"head": 1}).convergence_delta is None
    y = keras.Model(model.inputs, model.get_layer("inner").output)(x).numpy()  # 0 at the baseline, as there are no biases
    np.testing.assert_allclose(around.values, y * model.get_layer("head").kernel.numpy()[:4, 1], atol=1e-5)
    with pytest.raises(ValueError, match="through which all inputs reach the explained score.*'inner'"):
        IntegratedGradients(model, layer="inner", tolerance=1e-3)(x, target={"head": 1})
    assert IntegratedGradients(model, layer="inner", tolerance=1e-3)(x, target={"aside": 1}).convergence_delta is not None
    with pytest.raises(ValueError, match="on which it does not depend"):
        Saliency(model, layer="sum")(x, target={"aside": 0})
    unit = GradientTimesInput(model, layer="inner", unit=1)(x)  # without a choice of outputs
    assert not unit.values[1].any() and unit.values[0].all()


def test_nested_shared_and_recurrent_layers():
    keras.utils.set_random_seed(2)
    with in_dtype("float64"):
        inside = layers.Dense(3, "tanh", name="inside")
        backbone = keras.Sequential([keras.Input((3,)), inside, layers.Dense(3, name="after")], name="backbone")
        shared = layers.Dense(3, "tanh", name="shared")
        start = keras.Input((3,))
        once = backbone(start)
        twice = shared(shared(once))
        model = keras.Model(start, layers.Dense(2)(twice))
    x = np.random.default_rng(0).normal(size=(2, 3))
    tails = {
        "backbone/inside": lambda y: shared(shared(backbone.get_layer("after")(y))),
        "backbone": lambda y: shared(shared(y)),
        "shared": shared,
        "shared:1": lambda y: y,
    }
    heads = {
        "backbone/inside": inside,
        "backbone": backbone,
        "shared": lambda y: shared(backbone(y)),
        "shared:1": lambda y: shared(shared(backbone(y))),
    }
    for path, tail in tails.items():
        expected = tape_gradient(lambda y, tail=tail: model.layers[-1](tail(y)), heads[path](x), 1)
        np.testing.assert_allclose(Saliency(model, layer=path)(x, target=1).values, expected, atol=1e-13)
        of_unit = tape_gradient(heads[path], x, 2)
        np.testing.assert_allclose(Saliency(model, layer=path, unit=2)(x).values, of_unit, atol=1e-13)
    np.testing.assert_array_equal(Saliency(model, layer=inside)(x).values, Saliency(model, layer="backbone/inside")(x).values)
    with pytest.raises(ValueError, match=r"called 2 times.*'shared', 'shared:1'"):
        Saliency(model, layer=shared)


def test_sizes_that_are_open():
    model = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(2, 3, name="conv"), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    for height in (5, 7):
        x = np.random.default_rng(0).normal(size=(2, height, 5, 1))
        assert IntegratedGradients(model, layer="conv")(x).values.shape == (2, height - 2, 3, 2)
        assert np.count_nonzero(Saliency(model, layer="conv", unit=(0, 1, 1))(x).values[0]) == 9
    with pytest.raises(ValueError, match=r"\(5, 3, 2\).*unit=\(9, 1, 1\)"):
        Saliency(model, layer="conv", unit=(9, 1, 1))(x)


def bad_models():
    start = keras.Input((4, 3))
    states = layers.LSTM(3, return_state=True, name="states")(start)
    yield keras.Model(start, layers.Dense(2)(states[0])), "states", "one output"
    inner = layers.TimeDistributed(
        keras.Sequential([keras.Input((3,)), layers.Dense(2, name="step")], name="each"), name="over"
    )
    model = keras.Model(start, layers.Dense(2)(layers.Flatten()(inner(start))))
    yield model, "over/each/step", "has 4 for a sample"
    tokens = keras.Input((3,), dtype="int32")
    moved = layers.Reshape((3, 1), name="moved")(tokens)
    yield keras.Model(tokens, layers.Dense(2)(layers.Flatten()(layers.Embedding(5, 2)(moved)))), "moved", "real numbers"


@pytest.mark.parametrize("model, layer, message", list(bad_models()), ids=["states", "time steps", "integers"])
def test_layers_that_have_no_values_are_refused_by_name(model, layer, message):
    x = np.ones((2, *model.input_shape[1:]))
    for options in ({}, {"unit": 0}):
        with pytest.raises(ValueError, match=f"(?s){layer}.*{message}|{message}.*{layer}"):
            Saliency(model, layer=layer, **options)(x)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "nowhere"}, "nearest paths"),
        ({"layer": 3}, "Received: layer=3"),
        ({"unit": 2}, "Expected `layer`, the layer of the unit"),
        ({"layer": "conv", "unit": 3}, r"Expected `unit`.*\(4, 3, 3\).*unit=3"),
        ({"layer": "conv", "unit": -1}, "Expected `unit`"),
        ({"layer": "conv", "unit": 0.5}, "Expected `unit`"),
        ({"layer": "conv", "unit": True}, "Expected `unit`"),
        ({"layer": "conv", "unit": "two"}, "Expected `unit`"),
        ({"layer": "conv", "unit": [1, 2]}, "Expected `unit`"),
        ({"layer": "conv", "unit": (1, 2)}, "Expected `unit`"),
        ({"layer": "conv", "unit": (4, 0, 0)}, "Expected `unit`"),
        ({"layer": "conv", "unit": (slice(7, 9), 0, 0)}, "Expected `unit`"),
        ({"layer": "conv", "unit": ()}, "Expected `unit`"),
    ],
)
def test_bad_layers_and_units(network, options, message):
    for method in METHODS:
        with pytest.raises(ValueError, match=message):
            method(network, **options)


def test_bad_calls(network, x):
    with pytest.raises(ValueError, match="Expected no `target` for a method that explains unit 1 of dense"):
        Saliency(network, layer="dense", unit=1)(x, target=2)
    with pytest.raises(ValueError, match="one value per sample"):
        Saliency(network, layer="conv", unit=lambda y: y)(x)
    for method in (Saliency(network), SmoothGrad(network), Saliency(network, layer="conv")):
        with pytest.raises(ValueError, match="Expected a `target` of the scores.*'dense'"):
            method(x, target=Unit("dense", 1))
    with pytest.raises(ValueError, match="values of the layer 'conv'"):
        explain_generation(Saliency(network, layer="conv"), [1], generated=[2])


def test_explanations_are_kept_and_sliced(network, x, tmp_path):
    for options in ({}, {"unit": (slice(0, 2), 1, slice(None))}):
        method = IntegratedGradients(network, layer=network.get_layer("conv"), **options)
        found = method(x)
        found.save(tmp_path / "found.npz")
        for again in (Explanation.load(tmp_path / "found.npz"), pickle.loads(pickle.dumps(found))):
            np.testing.assert_array_equal(again.values, found.values)
            assert (again.layer, again.channel_axis) == (found.layer, found.channel_axis)
            assert again.target == found.target if "unit" in options else (again.target == found.target).all()
            assert hash(again.target) == hash(found.target) if "unit" in options else True
        np.testing.assert_array_equal(found[1:3].values, found.values[1:3])
        loaded = pickle.loads(pickle.dumps(method))
        np.testing.assert_allclose(loaded(x).values, found.values, atol=1e-14)
    assert "the layer conv" in Saliency(network, layer="conv")(x)._repr_html_()


def test_pictures_of_layers(network, x):
    named = {method.__name__: method(network, layer="conv")(x, target=1) for method in METHODS}
    figure = explanations_plot(named, samples=[0, 3])
    assert [axes.get_title() for axes in figure.axes[:3]] == [f"{name}, conv" for name in named]
    assert [len(axes.images) for axes in figure.axes[:6]] == [3] * 6  # a picture for each channel, and none of the sample
    strongest = np.abs(named["Saliency"].values[0]).mean(axis=(0, 1)).argsort()[::-1]
    assert [text.get_text() for text in figure.axes[0].texts] == [str(i) for i in strongest]
    assert {image.get_array().shape for image in figure.axes[0].images} == {(4, 3, 4)}
    bars = Saliency(network, layer="dense")(x, target=1)
    axes = bars.plot(samples=1).axes[0]
    order = np.abs(bars.values[0]).argsort(kind="stable")[::-1]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], bars.values[0][order])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"channel {i}" for i in order]
    with pytest.raises(ValueError, match="all of the inputs, or all of a layer"):
        explanations_plot({**named, "inputs": Saliency(network)(x)})
    with pytest.raises(ValueError, match="show"):
        named["Saliency"].plot(show=lambda image: image)
    with pytest.raises(ValueError, match="same samples"):
        explanations_plot({"one": bars, "other": bars[:2]})
    unit = Saliency(network, layer="conv", unit=2)(x).plot(samples=1)
    assert unit.axes[0].get_ylabel() == "unit 2 of conv"
    assert len(unit.axes[0].images) == 1  # the sample is drawn: these are values of it


def test_metrics_refuse_values_of_layers(network, x):
    of_layer, of_unit = Saliency(network, layer="conv"), Saliency(network, layer="conv", unit=2)
    for metric in (metrics.Deletion(network), metrics.Sparseness(), metrics.Complexity(), metrics.MaxSensitivity(of_unit)):
        with pytest.raises(ValueError, match="values of the layer 'conv'"):
            metric(of_layer(x))
    with pytest.raises(ValueError, match="MaxSensitivity rates values of the inputs.*'conv'"):
        metrics.MaxSensitivity(of_layer)
    with pytest.raises(ValueError, match="Expected a `target` of the scores.*'conv'"):
        metrics.Deletion(network)(of_unit(x))
    assert (metrics.MaxSensitivity(of_unit, seed=0)(of_unit(x)) > 0).all()  # which explains the unit again
    assert metrics.Sparseness()(of_unit(x)).shape == (5,)


def test_units_of_channels_first():
    maps = np.arange(24.0).reshape(1, 2, 3, 4)
    for index in (1, (2, 3, 1), (slice(None), 0, 1)):
        last = Unit("conv", index)(np.moveaxis(maps, 1, -1))
        np.testing.assert_allclose(Unit("conv", index, channel_axis=1)(maps), last)
    assert float(Unit("conv", (2, 3, 1), channel_axis=1)(maps)[0]) == maps[0, 1, 2, 3]
    assert Unit("conv", 1) != Unit("conv", 0) and Unit("conv", 1) != Unit("other", 1)
    assert repr(Unit("conv", (slice(0, 2), 1))) == "Unit(layer='conv', index=(slice(0, 2, None), 1))"
    assert Unit("conv", (slice(0, 2), slice(None), 1)).label(0) == "unit (0:2, :, 1) of conv"


def test_methods_of_scores_alone_take_no_layer(network):
    with pytest.raises(TypeError):
        Occlusion(network, layer="conv")
