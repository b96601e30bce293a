"""Models that this machine cannot run are refused before any work; all others run."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import LRP, Occlusion, Saliency
from keras_xai.features import activations
from keras_xai.layers import RBMDense
from keras_xai.losses import fbi_penalty
from keras_xai.models import FBIModel
from keras_xai.openbox import OpenBox
from keras_xai.pretraining import pretrain
from tests import channels_first
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

FIRST = {"data_format": "channels_first"}
X = np.random.default_rng(0).normal(size=(3, 2, 9, 8)).astype("float32")


def _model(*body, shape=(2, 9, 8), units=3):
    x = y = keras.Input(shape)
    for each in body:
        y = each(y)
    return keras.Model(x, layers.Dense(units, name="head")(layers.Flatten()(y)))


def _tried(call, dtype="float32"):
    """What a call returns, `None` where it is refused, which it has to be where the machine does not compute such models."""
    if channels_first.computed_here(dtype):
        return call()
    with channels_first.refused():
        call()
    return None


@pytest.mark.parametrize(
    "call",
    [
        lambda model: Saliency(model)(X, target=1),
        lambda model: LRP(model)(X, target=1),
        lambda model: Occlusion(model)(X, target=1),
        lambda model: OpenBox(model, layer="conv")(X, verbose=0),
        lambda model: activations(model, X),
        lambda model: fbi_penalty(model, X, [0, 1, 2]),
        lambda model: FBIModel(model, weight=1e-3),
    ],
    ids=["Saliency", "LRP", "Occlusion", "front of an OpenBox", "activations", "fbi_penalty", "FBIModel"],
)
def test_whatever_runs_a_model(call):
    keras.utils.set_random_seed(0)
    model = _model(layers.Conv2D(4, 3, activation="relu", name="conv", **FIRST))
    before = [weight.tobytes() for weight in model.get_weights()]
    _tried(lambda: call(model))
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_pretraining_behind_a_convolution():
    model = _model(layers.Conv2D(4, 3, activation="sigmoid", **FIRST), layers.Flatten(), RBMDense(5, "sigmoid"))
    _tried(lambda: pretrain(model, X, epochs=1, verbose=0))


def test_values_are_those_of_the_same_network_with_channels_last():
    keras.utils.set_random_seed(0)
    turned = _model(layers.Conv2D(4, 3, activation="relu", **FIRST), layers.MaxPooling2D(2, **FIRST))
    last = _model(
        *(layers.Permute((2, 3, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Permute((3, 1, 2)))
    )
    last.set_weights(turned.get_weights())
    for method in (Saliency, LRP):
        expected = method(last)(X, target=1).values
        found = _tried(lambda method=method: method(turned)(X, target=1).values)
        if found is not None:
            np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "name, make",
    [
        ("conv", lambda: layers.Conv2D(4, 3, dilation_rate=2, name="conv", **FIRST)),
        ("conv", lambda: layers.Conv2DTranspose(4, 3, strides=2, name="conv", **FIRST)),
        ("conv", lambda: keras.Sequential([keras.Input((2, 9, 8)), layers.Conv2D(4, 3, name="conv", **FIRST)])),
        ("conv", lambda: layers.Lambda(lambda x: ops.conv(x, np.ones((3, 3, 2, 4), "float32"), **FIRST), name="conv")),
    ],
    ids=["dilated", "transposed", "nested", "function"],
)
def test_the_layer_is_named(name, make):
    model = _model(make())
    if channels_first.computed_here():
        assert Saliency(model)(X, target=1).values.any()
        return
    with pytest.raises(ValueError, match=f"Received: '[^']*{name}[^']*' .*data_format='channels_first'"):
        Saliency(model)


def test_within_a_wrapper():
    model = _model(layers.TimeDistributed(layers.Conv2D(4, 3, **FIRST), name="over_time"), shape=(5, 2, 9, 8))
    _tried(lambda: activations(model, X[:, None].repeat(5, axis=1), layers=["over_time"]))


def test_inputs_of_open_size():
    x = keras.Input((2, None, None))
    y = layers.GlobalAveragePooling2D(**FIRST)(layers.Conv2D(4, (3, 40), padding="same", **FIRST)(x))
    _tried(lambda: Saliency(keras.Model(x, layers.Dense(3)(y)))(X, target=1))


def test_types_in_which_a_cpu_computes_no_channels_first():
    """OneDNN has them in float32 and bfloat16: the type that counts is the one that is computed in."""
    model = _model(layers.Conv2D(4, 3, activation="relu", name="conv", **FIRST))
    _tried(lambda: OpenBox(model, layer="conv", dtype="float64")(X, verbose=0), "float64")
    with in_dtype("float64"):
        model = _model(layers.Conv2D(4, 3, activation="relu", **FIRST))
    _tried(lambda: Saliency(model)(X, target=1), "float64")
    with in_dtype("float16"):
        model = _model(layers.Conv2D(4, 3, activation="relu", **FIRST))
    _tried(lambda: Saliency(model)(X, target=1), "float32")  # half precision is explained in it


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.MaxPooling2D(2, **FIRST),
        lambda: layers.AveragePooling2D(2, **FIRST),
        lambda: layers.DepthwiseConv2D(3, **FIRST),
        lambda: layers.SeparableConv2D(4, 3, **FIRST),
        lambda: layers.Conv2D(4, 3, groups=2, **FIRST),
        lambda: layers.UpSampling2D(2, **FIRST),
        lambda: layers.ZeroPadding2D(1, **FIRST),
    ],
    ids=["MaxPooling2D", "AveragePooling2D", "DepthwiseConv2D", "SeparableConv2D", "groups", "UpSampling2D", "ZeroPadding2D"],
)
def test_what_every_machine_computes_is_not_refused(make):
    assert np.isfinite(Saliency(_model(make()))(X, target=1).values).all()


def test_nothing_is_tried_where_channels_are_last(monkeypatch):
    calls = []
    model = _model(layers.Conv2D(4, 3, activation="relu"), shape=(9, 8, 2))
    monkeypatch.setattr("keras_xai.graph.runnable._runs", lambda *arguments: calls.append(arguments) or True)
    Saliency(model)
    assert not calls
    Saliency(_model(layers.MaxPooling2D(2, **FIRST)))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda **layout: layers.Conv2D(4, 3, strides=2, activation="relu", **layout),
        pytest.param(
            lambda **layout: layers.Conv2D(20, 2, padding="same", activation="relu", **layout), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda **layout: layers.Conv2DTranspose(3, 3, strides=2, activation="relu", **layout), marks=pytest.mark.slow
        ),
    ],
    ids=["strided", "small windows", "transposed"],
)
def test_linear_pieces_need_no_channels_first(make):
    """An `OpenBox` computes walls in float64, in which no CPU has such convolutions, so it turns them."""
    keras.utils.set_random_seed(0)
    turned = _model(make(**FIRST))
    last = _model(layers.Permute((2, 3, 1)), make(), layers.Permute((3, 1, 2)))
    last.set_weights(turned.get_weights())
    found, expected = (OpenBox(model, dtype="float64")(X, verbose=0) for model in (turned, last))
    np.testing.assert_allclose(found.coef, expected.coef, atol=1e-12)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-12)
    np.testing.assert_allclose(found.radius(verbose=0), expected.radius(verbose=0), rtol=1e-9)
    assert found.radius(verbose=0).all()
