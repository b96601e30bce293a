"""Guided backpropagation and the deconvolutional network against loops over layers, in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import Saliency
from keras_xai.attribution.gradient.rectified import Deconvnet, GuidedBackprop
from keras_xai.openbox import UnsupportedLayerError
from tests.attribution import naive_lrp as naive
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

METHODS = {"guided": GuidedBackprop, "deconvnet": Deconvnet}


def at_rectifier(method, active, message):
    """What a ReLU passes back. `gradient`, `no mask` and `forward mask only` are what the methods would be if they were broken."""
    return {
        "guided": np.maximum(message, 0) * active,
        "deconvnet": np.maximum(message, 0),
        "gradient": message * active,
    }[method]


def affine_back(function, x, message):
    """A message through the transpose of an affine map."""
    weights, _ = naive.matrix(function, x.shape[1:])
    return (message.reshape(len(x), -1) @ weights.T).reshape(x.shape)


def backward(model, x, target, method):
    """The message at the input of a sequential model of linear layers, ReLUs and max poolings."""
    steps = []
    for layer in model.layers:
        if getattr(layer, "activation", None) is keras.activations.relu:
            steps += [naive.linear(layer), layers.ReLU(dtype="float64")]
        else:
            steps.append(layer)
    tensors = [x]
    for layer in steps:
        tensors.append(np.asarray(layer(tensors[-1])))
    message = np.zeros_like(tensors[-1])
    message[:, target] = 1
    for layer, before in zip(reversed(steps), reversed(tensors[:-1]), strict=True):
        if isinstance(layer, layers.ReLU):
            message = at_rectifier(method, before > 0, message)
        elif isinstance(layer, layers.MaxPooling2D):
            message = naive.through_max_pooling(layer, before, message)
        else:
            message = affine_back(naive.composed(layer), before, message)
    return message


def stack():
    """Layers with overlapping poolings, that reach beyond the border in part."""
    return [
        layers.Conv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.Conv2D(5, 2, activation="relu"),
        layers.MaxPooling2D(2, strides=1),
        layers.Flatten(),
        layers.Dense(6, activation="relu"),
        layers.Dense(3),
    ]


@pytest.fixture(scope="module")
def plain():
    """A sequential model in float64, and samples."""
    with in_dtype("float64"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((8, 8, 1)), *stack()])
    rng = np.random.default_rng(0)
    for variable in model.variables:
        low = 0.4 if "variance" in variable.path else -1
        variable.assign(rng.uniform(low, 1.2, size=variable.shape))
    return model, rng.normal(size=(3, 8, 8, 1))


@pytest.fixture(scope="module")
def expected(plain):
    model, x = plain
    return {name: backward(model, x, 1, name) for name in (*METHODS, "gradient")}


@pytest.mark.parametrize("name", METHODS)
def test_a_network_against_a_loop_over_its_layers(plain, expected, name):
    model, x = plain
    values = METHODS[name](model)(x, target=1).values
    np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12)
    # The control: no variant gives what another does.
    for other, wrong in expected.items():
        assert other == name or not np.allclose(values, wrong, rtol=1e-2, atol=1e-3 * np.abs(wrong).max())


def test_the_loop_with_the_plain_rule_is_the_gradient(plain, expected):
    model, x = plain
    np.testing.assert_allclose(Saliency(model)(x, target=1).values, expected["gradient"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_layers_in_a_nested_model_are_reached(float64, plain, expected, name):
    model, x = plain
    image = keras.Input((8, 8, 1))
    for layer in (backbone := keras.Sequential([keras.Input((8, 8, 1)), *model.layers[:-1]], name="backbone")).layers:
        assert layer in model.layers
    nested = keras.Model(image, layers.Softmax()(model.layers[-1](backbone(image))))
    np.testing.assert_allclose(METHODS[name](nested)(x, target=1).values, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_a_shortcut_adds_its_message(float64, name):
    keras.utils.set_random_seed(0)
    x = keras.Input((5,))
    first, second, head = layers.Dense(4), layers.Dense(4), layers.Dense(2)
    a = layers.ReLU()(first(x))
    b = layers.ReLU()(layers.Add()([a, second(a)]))
    model = keras.Model(x, head(b))
    samples = np.random.default_rng(0).normal(size=(6, 5))
    inner = samples @ first.kernel
    outer = np.maximum(inner, 0) + np.maximum(inner, 0) @ second.kernel
    message = at_rectifier(name, outer > 0, np.tile(head.kernel[:, 1], (6, 1)))
    message = at_rectifier(name, inner > 0, message + message @ np.transpose(second.kernel))
    np.testing.assert_allclose(
        METHODS[name](model)(samples, target=1).values, message @ np.transpose(first.kernel), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "build, slope",
    [
        (lambda: layers.LeakyReLU(0.25), lambda z: np.where(z > 0, 1, 0.25)),
        (lambda: layers.PReLU(keras.initializers.Constant(0.5)), lambda z: np.where(z > 0, 1, 0.5)),
        (lambda: layers.Activation("relu6"), lambda z: (z > 0) * (z < 6.0)),
        (lambda: layers.ReLU(threshold=0.5), lambda z: z > 0.5),
    ],
)
def test_other_rectifiers(float64, build, slope):
    keras.utils.set_random_seed(0)
    first, last = layers.Dense(8), layers.Dense(2)
    model = keras.Sequential([keras.Input((5,)), first, build(), last])
    x = np.random.default_rng(0).normal(scale=4.0, size=(6, 5))
    positive = np.maximum(last.kernel[:, 0], 0)
    into = np.transpose(first.kernel)
    guided = (positive * slope(x @ first.kernel)) @ into
    np.testing.assert_allclose(GuidedBackprop(model)(x, target=0).values, guided, rtol=1e-9, atol=1e-12)
    deconvolved = np.tile(positive @ into, (6, 1))
    np.testing.assert_allclose(Deconvnet(model)(x, target=0).values, deconvolved, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_a_trained_network(trained, digits, name):
    model, x = trained("cnn"), digits[0][1500:1503]
    scores = keras.Sequential([keras.Input((8, 8, 1)), *model.layers[:-1]])
    loop, gradient = (backward(scores, x, 4, method) for method in (name, "gradient"))
    np.testing.assert_allclose(METHODS[name](model)(x, target=4).values, loop, rtol=1e-7, atol=1e-10)
    assert not np.allclose(loop, gradient, rtol=0.1, atol=0.1 * np.abs(gradient).max())


def test_a_token_is_worth_the_length_of_what_comes_back_to_its_vector(float64):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((4,), dtype="int32")
    embedding, first, last = layers.Embedding(9, 3), layers.Dense(5, "relu"), layers.Dense(2)
    model = keras.Model(tokens, last(layers.GlobalAveragePooling1D()(first(embedding(tokens)))))
    x = np.array([[1, 2, 3, 4]])
    active = np.asarray(first(embedding(x))) > 0
    message = (np.maximum(last.kernel[:, 1] / 4, 0) * active) @ np.transpose(first.kernel)
    values = GuidedBackprop(model)(x, target=1).values
    np.testing.assert_allclose(values, np.linalg.norm(message, axis=-1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS.values())
def test_a_model_without_rectifiers_is_an_error(method):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2, "softmax")])
    with pytest.raises(ValueError, match="at rectifiers, such as ReLU.*which has none before its scores.*the plain gradient"):
        method(model)


@pytest.mark.parametrize(
    "build, path, reason",
    [
        (lambda x: layers.Dense(3, "sigmoid", name="bad")(x), "bad.sigmoid", "a sigmoid is not piecewise linear"),
        (lambda x: layers.Dense(3, "tanh", name="bad")(x), "bad.tanh", "its activation is curved"),
        (lambda x: layers.Activation("gelu", name="bad")(x), "bad", "its activation is curved"),
        (lambda x: layers.Activation("swish", name="bad")(x), "bad", "its activation is curved"),
        (lambda x: layers.Dense(3, "hard_tanh", name="bad")(x), "bad.hardtanh", "other than a rectifier"),
        (lambda x: ops.absolute(layers.Dense(3)(x)), "absolute", "other than a rectifier"),
        (lambda x: layers.LayerNormalization(name="bad")(x), "bad", "statistics of the sample"),
    ],
)
def test_activations_that_are_no_rectifiers_are_refused(build, path, reason):
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2)(build(layers.Dense(4, "relu")(x))))
    for name, method in METHODS.items():
        with pytest.raises(UnsupportedLayerError, match=f"{method.__name__} cannot explain(.|\n)*'{path}.*{reason}"):
            method(model)
        assert name


def test_batches_change_nothing(plain):
    model, x = plain
    one, other = GuidedBackprop(model, batch_size=2)(x).values, GuidedBackprop(model)(x).values
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert Deconvnet(model)(x).num_forward_passes == 2
