"""Activations are the outputs of the layers that were asked for, as the model itself computes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.features import activations
from tests.tolerance import rounding
from tests.zoo import ZOO

pytestmark = pytest.mark.onednn

# Sums of 9 to 72 products of up to 5, batch by batch and all at once.
CLOSE = {"rtol": 1e-5, "atol": rounding("float32", 5, 16)}
X = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype("float32")


def sequential(*body, shape=(8, 8, 1)):
    """A model whose weights, also those of batch normalization, are random."""
    model = keras.Sequential([keras.Input(shape), *body])
    randomize(model)
    return model


def randomize(model):
    for number, weight in enumerate(model.weights):
        low = 0.5 if "variance" in weight.path else -1
        weight.assign(np.random.default_rng(number).uniform(low, 1, size=weight.shape))


def output_of(model, tensor, x):
    """The oracle: a model of Keras that ends there."""
    return keras.Model(model.inputs, tensor).predict(x, verbose=0)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_layers_are_those_of_a_submodel(batch_size):
    model = sequential(
        layers.Conv2D(4, 3, activation="relu", name="a"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(),
        layers.Dense(5, activation="tanh", name="dense"),
    )
    found = activations(model, X, ["dense", "a", "pool"], batch_size=batch_size)
    assert list(found) == ["dense", "a", "pool"]
    for path, values in found.items():
        np.testing.assert_allclose(values, output_of(model, model.get_layer(path).output, X), **CLOSE)
    assert found["a"].min() == 0 and found["a"].dtype == "float32"


@pytest.mark.parametrize(
    "name, paths",
    [
        ("residual", ["conv2d", "conv2d_1", "conv2d_2"]),
        pytest.param("depthwise", ["conv2d", "depthwise_conv2d", "separable_conv2d"], marks=pytest.mark.slow),
        ("shared", ["shared", "conv2d", "shared:1"]),
        ("nested", ["backbone/block/conv2d"]),
        pytest.param("series", ["conv1d", "conv1d_1"], marks=pytest.mark.slow),
        pytest.param("transpose", ["conv2d", "conv2d_transpose"], marks=pytest.mark.slow),
    ],
)
def test_convolutions_are_found_by_default(name, paths):
    keras.backend.clear_session()  # which numbers automatic names anew
    assert list(activations(ZOO[name](), X)) == paths


@pytest.mark.parametrize(
    "after",
    [
        [layers.ReLU],
        [layers.BatchNormalization, layers.ReLU],
        [layers.BatchNormalization, lambda: layers.Activation("tanh")],
        [lambda: keras.activations.relu],
        [lambda: ops.silu],
    ],
)
def test_a_convolution_is_followed_to_the_activation_that_is_its_own(after):
    inputs = keras.Input((8, 8, 1))
    convolution = y = layers.Conv2D(4, 3, name="conv")(inputs)
    for make in after:
        y = make()(y)
    model = keras.Model(inputs, layers.Flatten()(y))
    randomize(model)
    before, behind = (output_of(model, tensor, X) for tensor in (convolution, y))
    np.testing.assert_allclose(activations(model, X)["conv"], behind, **CLOSE)
    # The comparison tells the two apart, and a path that is given is the layer itself.
    assert not np.allclose(before, behind, atol=1e-2)
    np.testing.assert_allclose(activations(model, X, ["conv"])["conv"], before, **CLOSE)


def test_an_activation_that_others_share_is_not_that_of_a_convolution():
    """What the convolution returns goes around it as well, or is an output itself; or what comes is no activation."""

    def around(y):
        return layers.Add()([layers.ReLU()(y), y])

    for end in (
        around,
        lambda y: [layers.ReLU()(y), y],
        layers.MaxPooling2D(),
    ):
        inputs = keras.Input((8, 8, 1))
        y = layers.Conv2D(4, 3, name="conv")(inputs)
        model = keras.Model(inputs, end(y))
        np.testing.assert_allclose(activations(model, X)["conv"], output_of(model, y, X), **CLOSE)


def test_normalization_and_functions_that_activate_belong_to_a_convolution():
    for end in (layers.BatchNormalization(epsilon=0.5), layers.Lambda(ops.relu)):
        inputs = keras.Input((8, 8, 1))
        y = end(layers.Conv2D(4, 3, name="conv")(inputs))
        model = keras.Model(inputs, layers.MaxPooling2D()(y))
        np.testing.assert_allclose(activations(model, X)["conv"], output_of(model, y, X), **CLOSE)


def test_a_fused_activation_is_the_last_that_belongs_to_a_convolution():
    model = sequential(layers.Conv2D(4, 3, activation="relu", name="conv"), layers.Activation("sigmoid"))
    np.testing.assert_allclose(
        activations(model, X)["conv"], output_of(model, model.layers[0].output, X), rtol=1e-5, atol=1e-6
    )


def test_wrapped_convolutions():
    model = sequential(
        layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu", name="conv"), name="frames"),
        layers.TimeDistributed(layers.Flatten()),
        shape=(3, 8, 8, 1),
    )
    assert activations(model, np.random.default_rng(1).normal(size=(2, 3, 8, 8, 1)))["frames/conv"].shape == (2, 3, 6, 6, 4)


def backbone_and_head():
    images, extra = keras.Input((8, 8, 1), name="images"), keras.Input((3,), name="extra", dtype="int32")
    inner = keras.Input((8, 8, 1))
    backbone = keras.Model(inner, layers.Conv2D(4, 3, activation="relu", name="conv5")(inner), name="backbone")
    pooled = layers.GlobalAveragePooling2D()(backbone(images))
    embedded = layers.Flatten(name="flat")(layers.Embedding(10, 2, name="embedding")(extra))
    both = layers.Concatenate(name="both")([pooled, embedded])
    model = keras.Model({"images": images, "extra": extra}, layers.Dense(2)(both))
    return model, backbone


def test_nested_model_of_several_inputs():
    model, backbone = backbone_and_head()
    x = {"extra": np.random.default_rng(1).integers(10, size=(7, 3)), "images": X}
    found = activations(model, x, ["backbone/conv5", "both"], batch_size=4)
    np.testing.assert_allclose(found["backbone/conv5"], backbone.predict(X, verbose=0), **CLOSE)
    np.testing.assert_allclose(found["both"], output_of(model, model.get_layer("both").output, x), **CLOSE)


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[3 * index : 3 * index + 3], np.zeros(3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.data.Dataset.from_tensor_slices((X, np.zeros(7))).batch(3),
        lambda: tf.data.Dataset.from_tensor_slices(X).batch(3).filter(lambda batch: True),  # of unknown length
        Numbered,
        lambda: (X[i : i + 3] for i in (0, 3, 6)),
        lambda: tf.constant(X),
    ],
)
def test_datasets_and_tensors(make):
    model = sequential(layers.Conv2D(4, 3, name="conv"))
    np.testing.assert_allclose(activations(model, make())["conv"], model(X), **CLOSE)


def test_inputs_without_a_fixed_size():
    model = sequential(layers.Conv2D(4, 3, activation="relu", name="conv"), shape=(None, None, 1))
    for x in (X, X[:, :5]):
        np.testing.assert_allclose(activations(model, x)["conv"], model(x), **CLOSE)


def test_other_types():
    with_policy = keras.DTypePolicy("mixed_float16")
    model = sequential(
        layers.Conv2D(4, 3, dtype=with_policy, name="half"), layers.Conv2D(2, 3, dtype="float64", name="double")
    )
    found = activations(model, X)
    assert [values.dtype.name for values in found.values()] == ["float16", "float64"]
    half, double = model.layers
    exact = keras.ops.conv(X, half.kernel) + half.bias
    np.testing.assert_allclose(found["half"].astype("float32"), exact, atol=rounding("float16", exact, 2))
    np.testing.assert_allclose(found["double"], double(found["half"].astype("float64")), rtol=1e-9, atol=1e-12)


def test_at_inference_and_without_a_trace_in_the_model():
    model = sequential(
        layers.Dropout(0.5, seed=1),
        layers.Conv2D(4, 3, name="conv", activity_regularizer="l2"),
        layers.BatchNormalization(),
        layers.ReLU(),
    )
    model.compile("sgd", "mse")
    before = [np.array(variable) for variable in model.variables]
    first, second = (activations(model, X)["conv"] for _ in range(2))
    np.testing.assert_allclose(first, second, **CLOSE)
    assert not model.losses
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    # What that is compared with: calls of the layers leave losses, and those of training change statistics.
    model(X, training=True)
    assert model.losses
    assert any(not np.array_equal(variable, value) for variable, value in zip(model.variables, before, strict=True))
    model.fit(X, np.zeros((7, 6, 6, 4)), verbose=0)


def test_progress(capsys):
    model = sequential(layers.Conv2D(4, 3))
    activations(model, X, batch_size=2)
    assert not capsys.readouterr().out
    activations(model, X, batch_size=2, verbose=1)
    assert "4/4" in capsys.readouterr().out


DENSE = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, name="head")])
CONV = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, name="conv1"), layers.Conv2D(4, 3, name="conv2")])


@pytest.mark.parametrize(
    "model, x, layers, options, message",
    [
        (
            DENSE,
            X,
            None,
            {},
            "Expected a model with convolutional layers. Received: .* consists of Dense, Flatten. Give the paths of layers.*head",
        ),
        (CONV, X, ["conv3"], {}, r"path='conv3'. The nearest paths are \['conv"),
        (CONV, X, "conv1", {}, "list of different paths of layers.*Received: layers='conv1'"),
        (CONV, X, [], {}, r"Received: layers=\[\]"),
        (CONV, X[0], None, {}, "add the batch dimension"),
        (
            CONV,
            X[:, :4],
            None,
            {},
            r"Expected an array of shape \(None, 8, 8, 1\).*Received: an array of shape \(7, 4, 8, 1\)",
        ),
        (CONV, X[:0], None, {}, "at least one sample"),
        (CONV, np.where(X > 2, np.nan, X), None, {}, "NaN or infinity"),
        (CONV, tf.data.Dataset.from_tensor_slices(X[:0]).batch(2), None, {}, "a dataset without elements"),
        (CONV, tf.data.Dataset.from_tensor_slices(X[:, :4]).batch(2), None, {}, "Expected an array of shape"),
        (CONV, X, None, {"batch_size": 0}, "integer of at least 1. Received: batch_size=0"),
        (CONV, X, None, {"verbose": 3}, "verbose=3"),
        (keras.Sequential([layers.Conv2D(4, 3)]), X, None, {}, "Expected a built model"),
    ],
)
def test_errors(model, x, layers, options, message):
    with pytest.raises(ValueError, match=message):
        activations(model, x, layers, **options)


def test_what_is_not_a_model_of_layers_with_one_output():
    with pytest.raises(TypeError, match="Expected a `keras.Model`"):
        activations(lambda x: x, X)
    inputs = keras.Input((8, 8))
    model = keras.Model(inputs, layers.LSTM(2, return_state=True, name="recurrent")(inputs))
    with pytest.raises(ValueError, match=r"one output. Received: \['recurrent'\]"):
        activations(model, X[..., 0], ["recurrent"])
