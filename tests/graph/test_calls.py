"""Subclassed models and unknown layers: traced through `call()`, equal to the same models built functionally."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import LIME, GradCAM, GradientTimesInput, IntegratedGradients, Occlusion, Saliency
from keras_xai.diagnosis import block_ends
from keras_xai.features import activations
from keras_xai.graph.calls import inside, run
from keras_xai.graph.trace import trace
from keras_xai.kinds.expansion import expand
from keras_xai.layers import with_layout
from keras_xai.losses import fbi_penalty
from keras_xai.openbox import OpenBox

X = np.random.default_rng(0).normal(size=(3, 12, 12, 2)).astype("float32")


class Block(layers.Layer):
    """A layer of layers, as in most code on the web."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")
        self.skip = layers.Conv2D(4, 1, name="skip")

    def call(self, x):
        return self.conv(x) + self.skip(x)


class Network(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = Block(name="first"), Block(name="second")
        self.pool, self.dropout = layers.GlobalAveragePooling2D(name="pool"), layers.Dropout(0.5, name="dropout")
        self.head = layers.Dense(3, activation="softmax", name="head")

    def call(self, x, training=False):
        return self.head(self.dropout(self.pool(self.second(self.first(x))), training=training))


def functional(model):
    """The same function, with the same layers, built functionally."""
    x = y = keras.Input((12, 12, 2))
    for block in (model.first, model.second):
        z = keras.Input(y.shape[1:])
        y = keras.Model(z, layers.Add()([block.conv(z), block.skip(z)]), name=block.name)(y)
    return keras.Model(x, model.head(model.pool(y)))


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    made = Network(name="network")
    made(X[:1])
    return made


def test_paths_of_a_subclassed_model(model):
    assert [step.path for step in trace(model).steps] == ["first", "second", "pool", "dropout", "head"]
    paths = [step.path for step in expand(trace(model)).steps]
    assert paths[:4] == ["first/conv", "first/conv.relu", "first/skip", "first.add"]
    assert {"second/conv", "second/skip", "pool", "head"} <= set(paths)


@pytest.mark.parametrize(
    "method",
    [
        Saliency,
        GradientTimesInput,
        IntegratedGradients,
        Occlusion,
        lambda model: LIME(model, num_samples=50, seed=0),
        lambda model: GradCAM(model, layer="first/conv"),
    ],
)
def test_a_subclassed_model_is_explained_as_the_same_one_built_functionally(model, method):
    one, other = (method(each)(X, target=1).values for each in (model, functional(model)))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.abs(one).max() > 1e-4


def test_boxes_activations_and_blocks_of_a_subclassed_model(model):
    one, other = (OpenBox(each)(X, verbose=0) for each in (model, functional(model)))
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-5, atol=1e-6)
    found = activations(model, X, layers=["first", "second/conv"])
    np.testing.assert_allclose(found["first"], model.first(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["second/conv"], model.second.conv(model.first(X)), rtol=1e-5, atol=1e-6)
    assert block_ends(model) == ["first", "pool"]


@pytest.mark.parametrize("training", [False, True])
def test_the_penalty_of_a_subclassed_model(model, training):
    """Also with dropout, whose results differ from run to run in training."""
    labels = [0, 1, 2]
    model.dropout.rate = 0.0
    one = fbi_penalty(model, X, labels, per_layer=True, training=training)
    other = fbi_penalty(functional(model), X, labels, per_layer=True)
    assert list(one) == ["x", "first", "second"]
    (name,) = [each for each in other if "/" not in each]
    np.testing.assert_allclose(one["x"], other[name], rtol=1e-4)
    assert np.min(one["x"]) > 1e-4
    model.dropout.rate = 0.9
    dropped = fbi_penalty(model, X, labels, per_layer=True, training=training)
    assert np.allclose(one["x"], dropped["x"], rtol=1e-4) is not training


def test_a_layout_is_declared_for_a_subclassed_model(model):
    explained = Occlusion(with_layout(model, "NHWC"))(X, target=1)
    np.testing.assert_allclose(explained.values, Occlusion(model)(X, target=1).values, rtol=1e-5, atol=1e-6)
    assert explained.layout == "NHWC"


def test_weights_and_random_state_stay_and_no_record_is_left(model):
    weights, state = model.get_weights(), [np.asarray(variable) for variable in model.non_trainable_variables]
    Saliency(model)(X, target=1)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, variable in zip(state, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, variable)
    assert model.first.conv._inbound_nodes == [] and model.head._outbound_nodes == []


def test_automatic_names_are_not_used_up_by_calls(model):
    def last():
        return int(keras.KerasTensor((1,)).name.rsplit("_", 1)[-1])

    inner = keras.Sequential([keras.Input((4, 3)), Tokens(), layers.TimeDistributed(layers.Dense(2))])
    for each in (model, inner):
        before = last()
        expand(trace(each))
        assert last() == before + 1


class Tokens(layers.Layer):
    """A class token and positions, with the number of samples in the code, as in vision transformers."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token", initializer="random_normal")
        self.places = self.add_weight(shape=(shape[1] + 1, shape[-1]), name="places", initializer="random_normal")

    def call(self, x):
        size, units = ops.shape(x)[0], ops.shape(x)[-1]
        joined = ops.concatenate([ops.broadcast_to(self.token, (size, 1, units)), x], axis=1) + 2 * self.places
        return ops.reshape(ops.tanh(ops.reshape(joined, (size * 2, -1, units))), (size, -1, units))


def _called(layer, *shape):
    x = keras.Input(shape)
    return trace(keras.Model(x, layer(x))).steps[0]


def test_calls_with_the_number_of_samples_in_them():
    step = _called(Tokens(), 5, 4)
    graph = inside(step)
    for size in (1, 2, 7):
        x = np.random.default_rng(size).normal(size=(size, 5, 4)).astype("float32")
        np.testing.assert_allclose(run(graph, [x])[0], step.operation(x), rtol=1e-6)
    step.operation.token.assign(step.operation.token + 1.0)  # weights are read when the graph runs
    np.testing.assert_allclose(run(graph, [x])[0], step.operation(x), rtol=1e-6)


def test_methods_follow_weights_that_are_used_through_other_tensors():
    x = keras.Input((5, 4))
    tokens = Tokens()
    model = keras.Model(x, layers.Dense(2)(ops.mean(ops.tanh(tokens(x)), axis=1)))
    points = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    method = Occlusion(model)
    before = method(points, target=1).values
    tokens.token.assign(tokens.token + 2.0)
    after = method(points, target=1).values
    np.testing.assert_allclose(after, Occlusion(model)(points, target=1).values, rtol=1e-6, atol=1e-7)
    tokens.places.assign(tokens.places + 2.0)
    assert np.abs(method(points, target=1).values - after).max() > 1e-3 and before.shape == after.shape


class Noisy(layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal((4,), seed=self.generator)


class Branching(layers.Layer):
    def call(self, x):
        return x if float(ops.convert_to_numpy(ops.sum(x))) > 0 else -x


class Counting(layers.Layer):
    """Does something else with three samples than with two."""

    def call(self, x):
        return ops.reshape(x, (ops.shape(x)[0], 4)) if x.shape[0] != 3 else ops.relu(x)


class AtInference(layers.Layer):
    """What it does with symbolic tensors is not what it does with numbers."""

    def call(self, x):
        return x if isinstance(x, keras.KerasTensor) else 2 * x


@pytest.mark.parametrize(
    "layer, reason",
    [
        (Noisy, "changes variables, or draws random numbers"),
        (Counting, "does other things with 2 samples than with 3"),
        (AtInference, "do not compute what the layer does"),
    ],
)
def test_traces_that_are_not_the_layer_are_not_believed(layer, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        inside(_called(layer(), 4))
    assert caught.value  # and the layer stays one step
    assert [step.path for step in expand(trace(keras.Sequential([keras.Input((4,)), layer()]))).steps] != []


def opaque(name="raw"):
    import tensorflow as tf

    class Raw(keras.Model):
        """A model of raw TensorFlow, which cannot be traced."""

        def __init__(self):
            super().__init__(name=name)
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(tf.nn.relu(tf.einsum("ni,ij->nj", x, tf.ones((4, 5)) / 4) - 0.1))

    model = Raw()
    model(np.ones((1, 4), "float32"))
    return model


def test_an_opaque_model_has_scores_and_gradients_and_no_inside():
    keras.utils.set_random_seed(0)
    model = opaque()
    assert [step.path for step in trace(model).steps] == ["raw"]
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    drops = Occlusion(model)(x, target=1).values
    for i in range(4):
        hidden = x.copy()
        hidden[:, i] = 0
        np.testing.assert_allclose(drops[:, i], (model(x) - model(hidden))[:, 1], atol=1e-6)
    explained = IntegratedGradients(model, steps=1024)(x, target=1)
    np.testing.assert_allclose(explained.values.sum(axis=1), (model(x) - model(0 * x))[:, 1], atol=2e-3)
    with pytest.raises(ValueError, match="'raw'.*its kind is not known"):
        OpenBox(model)


class Never(keras.Model):
    def call(self, x):
        return x


class Needs(keras.Model):
    def call(self, x, other):
        return x + other


@pytest.mark.parametrize(
    "model, message", [(Never, "was never called.*Call it once on data"), (Needs, "also needs \\['other'\\].*defaults")]
)
def test_models_without_recorded_inputs(model, message):
    with pytest.raises(ValueError, match=message):
        Saliency(model())


def test_inputs_of_a_subclassed_model_in_a_dict():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.left, self.right = layers.Dense(3), layers.Embedding(9, 3)

        def call(self, inputs):
            return {"score": self.left(inputs["a"]) + ops.mean(self.right(inputs["b"]), axis=1)}

    model = Pair()
    x = {"a": np.ones((2, 4), "float32"), "b": np.array([[1, 2], [3, 4]])}
    model(x)
    explained = GradientTimesInput(model)(x, target=2)
    assert trace(model).output_names == ("score",)
    assert {name: values.shape for name, values in explained.values.items()} == {"a": (2, 4), "b": (2, 2)}
    kernel = model.left.get_weights()[0]
    np.testing.assert_allclose(explained.values["a"], x["a"] * kernel[:, 2], rtol=1e-5)
    np.testing.assert_allclose(explained.values["b"], np.asarray(model.right(x["b"]))[..., 2] / 2, rtol=1e-5)


def test_masks_reach_attention_behind_a_fused_activation():
    """Keras hands them over at run time, from the output of the whole layer."""
    keras.utils.set_random_seed(0)
    x = keras.Input((5,), dtype="int32")
    y = layers.Dense(4, activation="tanh")(layers.Embedding(7, 3, mask_zero=True)(x))
    attention, pool, head = layers.MultiHeadAttention(2, 2), layers.GlobalMaxPooling1D(), layers.Dense(2)
    model = keras.Model(x, head(pool(attention(y, y))))
    tokens = np.array([[1, 5, 5, 0, 0], [2, 2, 0, 0, 0]])
    (found,) = run(expand(trace(model)), [ops.convert_to_tensor(tokens)])
    np.testing.assert_allclose(found, model(tokens), rtol=1e-5, atol=1e-6)
    vectors = keras.Model(x, y)(tokens).numpy()  # without a mask
    assert np.abs(head(pool(attention(vectors, vectors))) - model(tokens)).max() > 1e-4


class Flipping(keras.Model):
    """Without an argument `training`, so that Keras flips images in training only if the whole model is told."""

    def __init__(self):
        super().__init__()
        self.flip = layers.RandomFlip("horizontal")
        self.head = layers.Dense(2)

    def call(self, x):
        return self.head(layers.Flatten()(self.flip(x)))


def test_models_without_the_argument_training_are_traced_at_inference():
    model = Flipping()
    x = np.random.default_rng(0).normal(size=(6, 4, 5, 1)).astype("float32")
    model(x, training=False)
    graph = trace(model)
    assert [spec.dtype for spec in graph.input_specs] == ["float32"] and len(graph.steps) > 1
    (found,) = run(graph, [ops.convert_to_tensor(x)])
    np.testing.assert_allclose(found, model(x, training=False), atol=1e-5)


class Misleading(keras.Model):
    """Its operations are found with symbolic tensors, where it computes something else."""

    def call(self, x):
        return ops.cast(x, "float32") * (1.0 if isinstance(x, keras.KerasTensor) else 2.0)


def test_a_model_of_real_numbers_is_not_taken_for_one_of_integers():
    model = Misleading()
    model(np.ones((1, 3), "float32"))
    (spec,), (step,) = trace(model).input_specs, trace(model).steps
    assert spec.dtype == "float32" and step.operation is model  # opaque


def test_reading_a_subclassed_model_keeps_the_losses_of_its_last_call():
    class Regularized(keras.Model):
        def __init__(self):
            super().__init__()
            inside = [keras.Input((4,)), layers.Dense(3), layers.ActivityRegularization(l2=0.1), layers.Dense(2)]
            self.inside = keras.Sequential(inside)

        def call(self, x):
            return self.inside(x)

    model = Regularized()
    model(np.ones((2, 4), "float32"))
    before = model.losses
    assert len(before) == 1
    GradientTimesInput(model)(np.zeros((2, 4), "float32"), 1)
    assert [float(loss) for loss in model.losses] == [float(loss) for loss in before]
