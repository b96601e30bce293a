"""What cannot be done is refused before any work: with what was received, what was expected, and how to go on."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai.kinds import Affine, Composite, Example, register
from keras_xai.openbox import OpenBox, UnsupportedLayerError


@pytest.fixture(scope="module")
def box():
    return OpenBox(keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(3)]))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x[0], r"Expected an array of shape \(None, 4, 4, 1\).*Received: an array of shape \(4, 4, 1\).*np.newaxis"),
        (lambda x: x[:, :3], r"Expected an array of shape \(None, 4, 4, 1\).*Received: an array of shape \(6, 3, 4, 1\)"),
        (lambda x: x.reshape(6, 16), r"Received: an array of shape \(6, 16\)"),
        (lambda x: x[:0], r"at least one sample. Received: an empty array of shape \(0, 4, 4, 1\)"),
        (lambda x: x.astype(str), r"Expected real numbers.*dtype <U"),
        (lambda x: x.astype(complex), r"Expected real numbers.*dtype complex128"),
        (lambda x: x.astype(object), r"Expected real numbers.*dtype object"),
        (
            lambda x: np.where(np.arange(6)[:, None, None, None] == 2, np.nan, x),
            r"finite numbers.*in 1 of 6 samples, first in sample 2",
        ),
        (lambda x: np.where(x > 0, np.inf, x), r"finite numbers"),
        (lambda x: [x, x], r"Expected"),
        (lambda x: {"wrong": x}, r"Expected the inputs \['.*'\]. Received: a dict with the keys \['wrong'\]"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x).batch(4).take(0), r"at least one batch"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x), r"Received: an array of shape \(4, 4, 1\)"),
        (lambda x: None, r"Expected real numbers.*dtype object"),
    ],
)
def test_samples(change, message, box, x):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        box(change(x), verbose=0)


@pytest.mark.parametrize(
    "outputs", [[3], [-1], [1, 1], [0.5], "top", [[0, 1]], [], np.zeros((6, 1, 1), int), np.zeros((5, 2), int)]
)
def test_outputs(outputs, box, x):
    with pytest.raises(ValueError, match=r"(?s)Expected.*outputs?.*Received"):
        box(x, outputs=outputs, verbose=0)


def test_too_few_outputs_for_a_dataset(box, x):
    with pytest.raises(ValueError, match="outputs"):
        box(tf.data.Dataset.from_tensor_slices(x).batch(4), outputs=np.zeros((5, 1), int), verbose=0)


def test_integers_are_numbers(box, x):
    gray = np.round(10 * x).astype("int16")
    np.testing.assert_array_equal(box(gray, verbose=0).scores, box(gray.astype("float32"), verbose=0).scores)


@pytest.mark.parametrize("method", ["predict", "contains", "exit_distance"])
@pytest.mark.parametrize("change", [lambda x: x[:5], lambda x: x[:, :3], lambda x: x * np.nan])
def test_points(method, change, box, x):
    local = box(x, verbose=0)
    with pytest.raises(ValueError, match="Expected"):
        getattr(local, method)(change(x))


def test_settings(box, x):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="Expected `dtype`.*'float16'"):
        OpenBox(model, dtype="float16")
    for batch_size in (0, 2.5):
        with pytest.raises(ValueError, match="Expected `batch_size`.*integer of at least 1"):
            OpenBox(model, batch_size=batch_size)
    with pytest.raises(ValueError, match="Expected `verbose`"):
        box(x, verbose=3)
    with pytest.raises(ValueError, match="Expected `norm` to be 1, 2 or numpy.inf. Received: norm=3"):
        box(x, verbose=0).radius(3)


def test_several_outputs_and_none_chosen():
    x = keras.Input((3,))
    model = keras.Model(x, {"price": layers.Dense(1)(x), "name": layers.Dense(4)(x)})
    with pytest.raises(ValueError, match=r"2 outputs.*\['name', 'price'\].*OpenBox\(model, output=0\)"):
        OpenBox(model)
    with pytest.raises(ValueError, match=r"one of \['name', 'price'\].*Received: output='size'"):
        OpenBox(model, output="size")


def test_last_layer_that_is_neither_linear_nor_a_probability():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="tanh", name="last")])
    with pytest.raises(UnsupportedLayerError, match=r"'last\.tanh' \(Tanh\): its activation is curved"):
        OpenBox(model)


def test_all_refused_layers_are_listed_with_their_paths():
    block = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, activation="gelu", name="first"), layers.LayerNormalization(name="norm")]
    )
    block.name = "block"
    model = keras.Sequential([keras.Input((4,)), block, layers.Dense(2, activation="sigmoid", name="gate"), layers.Dense(2)])
    with pytest.raises(UnsupportedLayerError) as caught:
        OpenBox(model)
    assert [problem.path for problem in caught.value.problems] == ["block/first.gelu", "block/norm", "gate.sigmoid"]
    assert "Replace them" in str(caught.value) and "register" in str(caught.value)


def test_unbuilt_models():
    with pytest.raises(ValueError, match=r"(?s)built model.*has not been built.*keras.Input"):
        OpenBox(keras.Sequential([layers.Dense(2)]))


def test_subclassed_models():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    model(np.zeros((1, 3)))
    points = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    pieces = OpenBox(model)(points, verbose=0)
    np.testing.assert_allclose(pieces.coef, np.broadcast_to(model.dense.get_weights()[0].T, (4, 2, 3)), rtol=1e-6)
    with pytest.raises(ValueError, match="never called"):
        OpenBox(Subclassed())


def test_functional_subclass_that_overrides_call():
    class Doubled(keras.Model):
        def call(self, x):
            return 2 * super().call(x)

    x = keras.Input((3,))
    model = Doubled(x, layers.Dense(2)(x))
    model(np.zeros((1, 3)))
    points = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    pieces = OpenBox(model)(points, verbose=0)
    np.testing.assert_allclose(pieces.coef, np.broadcast_to(2 * model.get_weights()[0].T, (4, 2, 3)), rtol=1e-6)


def test_not_a_model():
    with pytest.raises(TypeError, match=r"Expected a `keras.Model`.*of type str"):
        OpenBox("model.keras")


def test_unknown_layers_are_refused_not_guessed():
    class Squared(layers.Layer):
        def call(self, x):
            return x * x

    class MyDense(layers.Dense):
        def call(self, x):
            return keras.ops.sin(super().call(x))

    x = keras.Input((3,))
    with pytest.raises(UnsupportedLayerError, match=r"'squared' \(Multiply\): it multiplies or divides by a tensor"):
        OpenBox(keras.Model(x, Squared(name="squared")(x)))
    with pytest.raises(UnsupportedLayerError, match=r"'own.sin' \(Sin\): its kind is not known"):
        OpenBox(keras.Model(x, MyDense(2, name="own")(x)))


def test_subclasses_that_do_not_override_call_inherit_the_kind():
    class Plain(layers.Dense):
        pass

    x = keras.Input((3,))
    OpenBox(keras.Model(x, Plain(2, activation="relu")(x)))


def test_activations_that_cannot_be_traced():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation=tf.nn.relu, name="first"), layers.Dense(2)])
    with pytest.raises(
        UnsupportedLayerError, match=r"'first' \(Dense\): `relu` cannot be called with a symbolic tensor.*keras.ops"
    ):
        OpenBox(model)


def test_lookups_of_integers():
    x = keras.Input((3,), dtype="int32")
    with pytest.raises(UnsupportedLayerError, match="looks integers up"):
        OpenBox(keras.Model(x, layers.Dense(2)(layers.Embedding(5, 2)(x))))


def _mixing():
    x = keras.Input((4, 3))
    return {
        "mean": x - keras.ops.mean(x, axis=0),
        "sum": x * 2 + keras.ops.sum(x),
        "flip": keras.ops.flip(x),
        "roll": keras.ops.roll(x, 1),
        "transpose": keras.ops.transpose(x, (1, 0, 2)),
        "reshape": keras.ops.reshape(x, (-1, 3)),
        "concatenate": keras.ops.concatenate([x, x], axis=0),
    }.items()


@pytest.mark.parametrize("name, output", _mixing())
def test_operations_that_mix_samples(name, output):
    start = output
    while start._keras_history.operation.__class__.__name__ != "InputLayer":
        start = start._keras_history.operation._inbound_nodes[0].input_tensors[0]
    with pytest.raises(UnsupportedLayerError, match="it mixes the samples of a batch|it has several rows for each sample"):
        OpenBox(keras.Model(start, output))


def test_subclasses_that_override_what_call_calls():
    class Curved(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return keras.ops.tanh(super().convolution_op(inputs, kernel))

    x = keras.Input((4, 4, 1))
    with pytest.raises(UnsupportedLayerError, match=r"'own.tanh' \(Tanh\): its activation is curved"):
        OpenBox(keras.Model(x, Curved(2, 3, name="own")(x)))


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: keras.ops.max(x, axis=1, initial=0.5), "constant `initial`"),
        (lambda x: keras.ops.clip(x, 0.4, -0.3), "not two numbers, the lower one first"),
        (lambda x: keras.ops.clip(x, np.array([0.0, 0.1, 0.2]), 1.0), "not two numbers"),
        (lambda x: keras.ops.cumsum(x, axis=1), "`keras_xai.kinds.register` makes a function of `keras.ops` known"),
    ],
)
def test_settings_that_are_not_understood(function, message):
    x = keras.Input((3,))
    with pytest.raises(UnsupportedLayerError, match=message):
        OpenBox(keras.Model(x, function(x)))


def test_constants_that_are_computed_from_weights():
    class Scaled(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],))

        def call(self, x):
            return x * keras.ops.exp(self.scale)

    register(Scaled, Composite(), Example((3,), lambda x: Scaled()(x)))
    x = keras.Input((3,))
    model = keras.Model(x, Scaled()(x))
    pieces = OpenBox(model)(np.ones((2, 3), "float32"), verbose=0)
    np.testing.assert_allclose(pieces.coef[0], np.diag(np.exp(model.get_weights()[0])), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments", [(layers.Identity, Affine()), (layers.Identity(), Affine()), (keras.ops.cumsum, Affine())]
)
def test_registering_without_an_example(arguments):
    with pytest.raises(ValueError, match="Expected a layer class or a function.*at least one `Example`. Received"):
        register(*arguments)


def test_scores_that_overflow(box, x):
    with pytest.raises(ValueError, match=r"NaN or infinite in float32, first at sample 2.*dtype='float64'"):
        box(np.where(np.arange(6)[:, None, None, None] == 2, 1e39, x.astype("float64")), verbose=0)


def test_outputs_of_one_layer():
    x = keras.Input((3,))
    shared = layers.Dense(2, name="d")
    model = keras.Model(x, [shared(x), shared(-x)])
    points = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    kernel = shared.get_weights()[0].T
    for output, expected in (("d", kernel), ("d:1", -kernel), (1, -kernel)):
        pieces = OpenBox(model, output=output)(points, verbose=0)
        np.testing.assert_allclose(pieces.coef, np.broadcast_to(expected, (4, 2, 3)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"one of \['d', 'd:1'\] or an index. Received: output='d:2'"):
        OpenBox(model, output="d:2")


def test_dict_inputs_with_wrong_keys():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}
    box = OpenBox(keras.Model(inputs, inputs["a"] - inputs["b"]))
    with pytest.raises(ValueError, match=r"Expected the inputs \['a', 'b'\]. Received: a dict with the keys \['b', 'z'\]"):
        box({"b": np.ones((1, 2)), "z": np.ones((1, 2))}, verbose=0)


def test_quantized_layers():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="first"), layers.Dense(2)])
    model.quantize("int8")
    with pytest.raises(UnsupportedLayerError, match="'first' .*quantized .'int8'., which rounds"):
        OpenBox(model)


def test_casts_to_integers():
    x = keras.Input((3,))
    with pytest.raises(UnsupportedLayerError, match="Cast.: it rounds to int32"):
        OpenBox(keras.Model(x, layers.Dense(2)(keras.ops.cast(keras.ops.cast(x, "int32"), "float32"))))


def test_products_of_two_tensors_but_not_with_constants():
    x = keras.Input((3,))
    OpenBox(keras.Model(x, 2 * x / np.array([1.0, 2.0, 3.0])))
    for product in (x * x, 1 / x, keras.ops.matmul(x, keras.ops.transpose(x)), keras.ops.einsum("bi,bi->b", x, x)):
        with pytest.raises(UnsupportedLayerError, match="multiplies or divides by a tensor that depends on the input"):
            OpenBox(keras.Model(x, product))


@pytest.mark.parametrize("layer", [keras.layers.Dense(3, activation="hard_silu"), keras.layers.Activation("hard_swish")])
def test_activations_that_convert_their_argument_are_refused_for_what_they_are(layer):
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(2)])
    with pytest.raises(UnsupportedLayerError, match=r"\(HardSilu\): its activation is curved"):
        OpenBox(model)
