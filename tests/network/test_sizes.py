"""Models whose inputs have unknown sizes, `keras.Input((None, ...))`, are explained as those of the samples' sizes."""

import importlib.util
import pickle

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import (
    LRP,
    DecisionFeatures,
    DeepLIFT,
    DeepSHAP,
    GradCAM,
    GradientTimesInput,
    GuidedBackprop,
    sizes,
)
from keras_xai.graph import trace
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.today.networks import NETWORKS, SubclassedTransformer, model_of, tokens


class Ramp(layers.Layer):
    """Multiplies time steps by rising weights. Its `call()` needs their number, which Keras does not ask for."""

    def call(self, x):
        return x * ops.reshape(ops.convert_to_tensor(np.arange(1, x.shape[1] + 1) / x.shape[1], x.dtype), (1, -1, 1))

    def compute_output_shape(self, shape):
        return shape


def series(length, *, ramp=False):
    keras.utils.set_random_seed(0)
    more = [Ramp(name="ramp")] if ramp else []
    return keras.Sequential(
        [
            keras.Input((length, 2)),
            layers.Conv1D(4, 3, activation="relu", bias_initializer="normal", name="first"),
            *more,
            layers.MaxPooling1D(2),
            layers.Conv1D(3, 3, activation="relu", bias_initializer="normal", name="second"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, bias_initializer="normal"),
        ]
    )


def image(height, width):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((height, width, 3)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer="normal"),
            layers.MaxPooling2D(2),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def _samples(*shape):
    return np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")


METHODS = {
    "LRP": lambda model: lambda x: LRP(model)(x, target=1).values,
    "DeepLIFT": lambda model: lambda x: DeepLIFT(model)(x, target=1, baseline=0.5).values,
    "DeepSHAP": lambda model: lambda x: DeepSHAP(model)(x, target=1, baseline=x[::-1].copy()).values,
    "DecisionFeatures": lambda model: lambda x: DecisionFeatures(model)(x, target=1).values,
    "GuidedBackprop": lambda model: lambda x: GuidedBackprop(model)(x, target=1).values,
    "GradCAM": lambda model: lambda x: GradCAM(model, layer=model.get_layer("first"))(x, target=2).values,
}


def _check_same(one, other):
    assert np.abs(other).max() > 1e-3
    np.testing.assert_allclose(one, other, atol=1e-6 * max(1, np.abs(other).max()))


def _cases():
    for name in METHODS:
        yield pytest.param(name, False, marks=() if name in ("LRP", "GradCAM") else pytest.mark.slow)
        if name != "GradCAM":  # reads no layer that takes a length, and runs the model at any length
            yield pytest.param(name, True, marks=() if name == "DeepLIFT" else pytest.mark.slow)


@pytest.mark.parametrize("name, ramp", _cases())
def test_lengths_one_after_another_are_those_of_models_of_these_lengths(name, ramp):
    explain = METHODS[name](series(None, ramp=ramp))
    for length in (20, 13, 20):
        x = _samples(length, 2)
        _check_same(explain(x), METHODS[name](series(length, ramp=ramp))(x))


@pytest.mark.slow
def test_boxes_of_any_length():
    box = OpenBox(series(None))
    for length in (20, 13):
        x = _samples(length, 2)
        found, expected = box(x, verbose=0), OpenBox(series(length))(x, verbose=0)
        _check_same(found.coef, expected.coef)
        _check_same(found.exit_distance(np.ones_like(x)), expected.exit_distance(np.ones_like(x)))


def test_a_box_that_needs_the_length_is_told_it_without_another_model():
    model = series(None, ramp=True)
    with pytest.raises(UnsupportedLayerError, match="'ramp'"):
        OpenBox(model)
    inputs = keras.Input((20, 2))  # around the model, whose own input stays open
    x = _samples(20, 2)
    found = OpenBox(keras.Model(inputs, model(inputs)))(x, verbose=0).coef
    _check_same(found, OpenBox(series(20, ramp=True))(x, verbose=0).coef)


@pytest.mark.parametrize("name", ["LRP", "DeepLIFT", "GradCAM"])
def test_images_of_any_size(name):
    make = METHODS[name] if name != "GradCAM" else lambda model: lambda x: GradCAM(model)(x, target=1).values
    explain = make(image(None, None))
    for size in ((12, 9), (9, 14)):
        x = _samples(*size, 3)
        _check_same(explain(x), make(image(*size))(x))


def test_nested_models_know_the_sizes_of_the_outer_one():
    inner = series(None)
    x = keras.Input((20, 2))
    graph = trace(keras.Model(x, inner(x)))
    expected = trace(series(20))
    assert [[spec.shape for spec in step.output_specs] for step in graph.steps] == [
        [spec.shape for spec in step.output_specs] for step in expected.steps
    ]


@pytest.mark.slow
def test_few_sizes_are_kept(monkeypatch):
    monkeypatch.setattr(sizes, "_MOST", 2)
    explain = DeepLIFT(series(None))
    for length in (10, 11, 12, 10):
        _check_same(explain(_samples(length, 2)).values, DeepLIFT(series(length))(_samples(length, 2)).values)
    assert len(explain._by_sizes) == 2


def test_methods_of_any_length_are_pickled():
    model = series(None, ramp=True)
    explain, x = DeepLIFT(series(None)), _samples(12, 2)
    before = explain(x)
    assert pickle.loads(pickle.dumps(explain))(x) == before
    with pytest.raises(ValueError, match="No layer of the model has the path.*nearest paths are \\['"):
        GradCAM(model, layer="seconds")(x)


@pytest.mark.parametrize("name", ["bert", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_backbones_are_explained_as_those_of_given_lengths(name):
    if importlib.util.find_spec("keras_hub") is None:
        pytest.skip("needs keras-hub, an extra for tests")
    network = NETWORKS[name]
    model = model_of(network)
    inputs = {key: keras.Input(x.shape[1:], dtype=x.dtype.name, name=key) for key, x in network.x.items()}
    twin = keras.Model(inputs, model(inputs))
    for kind in (LRP, DeepLIFT):
        _check_same(*(kind(each)(network.x, network.target).values["token_ids"] for each in (model, twin)))
    problems = []
    for each in (model, twin):
        with pytest.raises(UnsupportedLayerError) as info:
            DecisionFeatures(each)(network.x, network.target)
        problems.append([(p.path.removeprefix(f"{model.name}/"), p.layer, p.reason) for p in info.value.problems])
    assert problems[0] == problems[1] and problems[0]


@pytest.mark.slow
def test_subclassed_models_of_tokens_take_any_length_behind_an_open_input():
    model = SubclassedTransformer()
    model.positions = layers.Embedding(12, 8)
    model(tokens()[:1])
    inputs = keras.Input((None,), dtype="int32")
    explain = GradientTimesInput(keras.Model(inputs, model(inputs)))
    for length in (6, 9):
        x = tokens(length)
        twin = SubclassedTransformer()
        twin.positions = layers.Embedding(12, 8)
        twin(x)  # Keras keeps the length of the first call
        twin.set_weights(model.get_weights())
        _check_same(explain(x, target=1).values, GradientTimesInput(twin)(x, target=1).values)
