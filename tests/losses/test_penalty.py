"""The penalty against equations 1 to 3 layer by layer, against gradients, and against its own definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from keras.layers import (
    LSTM,
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    MultiHeadAttention,
    ReLU,
    Rescaling,
    SeparableConv2D,
    Softmax,
)

from keras_xai.attribution import LRP, RoleComposite, ZPlus
from keras_xai.kinds import Composite, Example, register
from keras_xai.losses import FBILoss, fbi_penalty
from keras_xai.losses.terms import terms_of
from keras_xai.network.layers import LayerNetwork
from keras_xai.openbox import UnsupportedLayerError
from keras_xai.rules import PROPAGATIONS as RULES
from tests import naive
from tests.slow import quickly
from tests.zoo import in_dtype, in_float32

pytestmark = [pytest.mark.onednn, pytest.mark.usefixtures("float64")]

OPTIONS = ({"target": "label"}, {"target": "predicted", "reduction": "sum"}, {"target": "all"})


def chain(*stack, shape=(8, 8, 1), **options):
    return keras.Sequential([keras.Input(shape, name="image", **options), *stack])


def strided():
    start = Conv2D(4, 3, strides=2, padding="same", activation="relu")
    return chain(start, AveragePooling2D(2, strides=1, padding="same"), Flatten(), Dense(6, "relu"), Dense(3, "softmax"))


def overlapping():
    end = Conv2D(4, 2, strides=(2, 1), padding="same")
    pool = MaxPooling2D(3, strides=2, padding="same")
    return chain(Conv2D(3, 3, use_bias=False), pool, end, ReLU(negative_slope=0.2), Flatten(), Dense(3))


def normalized():
    convolution = [Conv2D(3, 3), BatchNormalization(), Activation("relu"), MaxPooling2D(2), Flatten()]
    return chain(*convolution, Dense(5), BatchNormalization(), LeakyReLU(0.1), Dense(3), Softmax())


def curved():
    hidden = [Dense(8, "tanh"), Dense(7), Activation("silu"), Dropout(0.5), Dense(6, "gelu"), Dense(5, "sigmoid")]
    return chain(Flatten(), *hidden, Dense(3))


def residual():
    x = keras.Input((8, 8, 1))
    start = Conv2D(3, 3, padding="same", name="start")(x)
    middle = ReLU()(BatchNormalization()(Conv2D(3, 3, padding="same", name="middle")(start)))
    added = ReLU()(Add()([start, middle]))
    end = Conv2D(2, 3, strides=2, padding="same", activation="relu", name="end")(added)
    return keras.Model(x, Dense(3, "softmax")(GlobalAveragePooling2D()(Concatenate()([end, MaxPooling2D()(added)]))))


def nested():
    block = keras.Sequential([keras.Input((8, 8, 1)), Conv2D(3, 3, name="inner"), ReLU()], name="block")
    image = keras.Input((8, 8, 1))
    backbone = keras.Model(image, Flatten()(AveragePooling2D(2)(block(image))), name="backbone")
    x = keras.Input((8, 8, 1))
    return keras.Model(x, Dense(3, "softmax")(Dense(5, "relu", name="outer")(backbone(x))))


def shared():
    twice = Dense(6, "leaky_relu", name="twice")
    x = keras.Input((6,))
    y = twice(x)
    return keras.Model(x, Dense(3, "softmax")(Add()([twice(y), y])))


def two_inputs():
    one, other = keras.Input((4,), name="one"), keras.Input((5,), name="other")
    x = Concatenate()([Dense(3, "relu", name="of_one")(one), Dense(4, "tanh", name="of_other")(other)])
    return keras.Model([one, other], Dense(3, "softmax")(x))


def text():
    stack = [Embedding(9, 4, name="table"), GlobalAveragePooling1D(), Dense(5, "relu", name="hidden"), Dense(3), Softmax()]
    return chain(*stack, shape=(7,), dtype="int32")


NETWORKS = {
    "strided": strided,
    "overlapping": overlapping,
    "normalized": normalized,
    "curved": curved,
    "linear": lambda: chain(Flatten(), Dense(6), Dense(5, "relu"), Dense(4), Dense(4, "tanh"), Dense(3, "softmax")),
    "residual": residual,
    "nested": nested,
    "shared": shared,
    "two inputs": two_inputs,
    "sigmoids": lambda: chain(Rescaling(2.0, 0.1), Flatten(), Dense(6, "relu"), Dense(3, "sigmoid")),
    "one sigmoid": lambda: chain(Flatten(), Dense(6, "relu"), Dense(1), Activation("sigmoid")),
    "one linear unit": lambda: chain(Flatten(), Dense(6, "relu"), Dense(1)),
    "text": text,
}


def randomized(model, seed=0):
    """The model with weights that leave nothing out: biases, shifts and scales as well."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False, recursive=True):
        for weight in layer._trainable_variables + layer._non_trainable_variables:
            fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 10
            value = rng.normal(size=weight.shape) * 1.5 / np.sqrt(fan_in)
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) if weight.name in ("gamma", "moving_variance") else value)
    return model


def sample(model, count=5, seed=0):
    """Inputs and labels that fit the model."""
    rng = np.random.default_rng(seed)
    xs = [
        rng.integers(9, size=(count, *spec.shape[1:])) if "int" in spec.dtype else rng.normal(size=(count, *spec.shape[1:]))
        for spec in model.inputs
    ]
    return xs if len(xs) > 1 else xs[0], rng.integers(max(model.output_shape[-1], 2), size=count)


def per_layer(model, x, y=None, **options):
    return {path: part.numpy() for path, part in fbi_penalty(model, x, y, per_layer=True, **options).items()}


def assert_same(found, expected, rtol=1e-6):
    assert list(found) == list(expected)
    for path, part in found.items():
        np.testing.assert_allclose(part, expected[path], rtol=rtol, atol=1e-9, err_msg=path)


def differs(found, expected):
    """By more than a rounding error, in some layer."""
    assert list(found) == list(expected)
    return any(np.abs(part - expected[path]).max() > 1e-3 for path, part in found.items())


# Against the equations.


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_penalty_is_that_of_the_equations_layer_by_layer(name, rule):
    model = randomized(NETWORKS[name]())
    x, y = sample(model)
    for options in OPTIONS:
        expected = naive.fbi_penalty(model, x, y, rule=rule, **options)
        assert_same(per_layer(model, x, y, rule=rule, **options), expected)
    total = fbi_penalty(model, x, y, rule=rule, **options)
    np.testing.assert_allclose(total, np.mean(list(expected.values()), axis=0), rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", quickly(["mlp", "cnn", "residual"], "residual"))
def test_it_is_on_trained_networks_as_well(name, rule, trained, digits):
    model, x, y = trained(name), digits[0][1500:1504], digits[1][1500:1504]
    for options in OPTIONS:
        assert_same(per_layer(model, x, y, rule=rule, **options), naive.fbi_penalty(model, x, y, rule=rule, **options))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["normalized", "residual"])
def test_in_training_the_statistics_of_the_batch_are_constants(name, rule):
    model = randomized(NETWORKS[name]())
    x, y = sample(model)
    expected = naive.fbi_penalty(model, x, y, rule=rule, training=True)
    assert_same(per_layer(model, x, y, rule=rule, training=True), expected)
    assert differs(per_layer(model, x, y, rule=rule), expected)


@pytest.mark.parametrize(
    "rule, function, broken",
    [
        ("z", "_ratio", lambda relevance, activation: relevance),  # the kernels are not normalized
        (
            "z",
            "_ratio",
            lambda relevance, activation: -np.where(activation == 0, 0, relevance / np.where(activation == 0, 1, activation)),
        ),
        ("z", "_activation", lambda layer, z: ("relu", z, np.ones_like(z))),
        (
            "zplus",
            "_matrix",
            lambda layer, shape, right=naive._matrix: (np.abs(right(layer, shape)[0]), right(layer, shape)[1]),
        ),
        ("z", "_winner", lambda candidates: int(np.argmin(candidates))),
        ("zplus", "_winner", lambda candidates: 0),
    ],
)
def test_a_wrong_equation_would_be_noticed(rule, function, broken, monkeypatch):
    model = randomized(chain(Conv2D(3, 3, activation="relu"), MaxPooling2D(2), Flatten(), Dense(3)))
    x, y = sample(model)
    found = per_layer(model, x, y, rule=rule)
    assert_same(found, naive.fbi_penalty(model, x, y, rule=rule))
    monkeypatch.setattr(naive, function, broken)
    assert differs(found, naive.fbi_penalty(model, x, y, rule=rule))


def test_the_first_of_equal_entries_wins_a_window(monkeypatch):
    model = randomized(chain(MaxPooling2D(2, 1), Flatten(), Dense(3), shape=(4, 4, 1)))
    x, y = np.random.default_rng(0).integers(3, size=(5, 4, 4, 1)), [0, 1, 2, 0, 1]
    for rule in RULES:
        assert_same(per_layer(model, x, y, rule=rule), naive.fbi_penalty(model, x.astype(float), y, rule=rule))
    monkeypatch.setattr(naive, "_winner", lambda candidates: len(candidates) - 1 - int(np.argmax(candidates[::-1])))
    assert differs(per_layer(model, x, y), naive.fbi_penalty(model, x.astype(float), y))


# Against gradients.


def activation_times_gradient(model, x, weights, stops):
    """`(activation, relevance)` after each of `stops`, for a piecewise-linear Sequential model."""
    points = [tf.constant(x)]
    with tf.GradientTape() as tape:
        tape.watch(points)
        at = points[0]
        for i, layer in enumerate(model.layers[:-1]):
            at = layer(at, training=False) if isinstance(layer, BatchNormalization) else layer(at)
            if i in stops:
                points.append(at)
        if not isinstance(model.layers[-1], Softmax):
            at = at @ model.layers[-1].kernel + model.layers[-1].bias
        score = tf.reduce_sum(at * weights)
    return [(point, point * gradient) for point, gradient in zip(points, tape.gradient(score, points), strict=True)]


@pytest.mark.parametrize("name, stops", [("mlp", [1, 3]), ("cnn", [2, 4])])
def test_relevance_is_activation_times_gradient_in_piecewise_linear_networks(name, stops, trained, digits):
    model, x, y = trained(name), digits[0][1500:1520], digits[1][1500:1520]
    expected = [
        np.abs(a - r).reshape(len(x), -1).sum(axis=1) for a, r in activation_times_gradient(model, x, np.eye(10)[y], stops)
    ]
    found = list(per_layer(model, x, y).values())
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(found - np.array(list(per_layer(model, x, y, rule="zplus").values()))).max() > 1  # negative control


def test_relevance_is_not_activation_times_gradient_where_activations_are_curved():
    model = randomized(chain(Dense(6, "tanh"), Dense(3, "softmax"), shape=(4,)))
    x, y = sample(model)
    (_, relevance), _ = activation_times_gradient(model, x, np.eye(3)[y], [0])
    found, *_ = per_layer(model, x, y, reduction="sum").values()
    assert np.abs(found - np.abs(x - relevance).sum(axis=1)).max() > 0.01


# Derivatives by the weights.


def gradient(model, x, y, direction, **options):
    """Of the mean penalty along a direction in weight space."""
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        mean = tf.reduce_mean(fbi_penalty(model, x, y, **options))
    gradients = tape.gradient(mean, variables, unconnected_gradients="zero")
    return sum(np.sum(tf.convert_to_tensor(part) * step) for part, step in zip(gradients, direction, strict=True))


def difference(model, x, y, direction, *, step=1e-6, **options):
    """The same by a central difference of the equations."""
    weights, ends = [variable.numpy() for variable in model.trainable_variables], []
    for sign in (1, -1):
        for variable, weight, part in zip(model.trainable_variables, weights, direction, strict=True):
            variable.assign(weight + sign * step * part)
        ends.append(np.mean(list(naive.fbi_penalty(model, x, y, **options).values())))
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name, training", [(name, name == "normalized") for name in NETWORKS if name != "linear"])
def test_gradients_by_the_weights_agree_with_finite_differences(name, training, rule):
    model = randomized(NETWORKS[name]())
    x, y = sample(model, 3)
    rng, options = np.random.default_rng(1), {"rule": rule, "training": training}
    for _ in range(3):
        direction = [rng.normal(size=variable.shape) for variable in model.trainable_variables]
        expected = difference(model, x, y, direction, **options)
        assert abs(expected) > 1e-3
        np.testing.assert_allclose(gradient(model, x, y, direction, **options), expected, rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_zplus_is_the_same_where_inputs_have_one_sign(sign):
    model = randomized(strided())
    x, y = sample(model, 3)
    x = sign * np.abs(x)
    assert_same(per_layer(model, x, y, rule="zplus"), naive.fbi_penalty(model, x, y, rule="zplus"))
    rng = np.random.default_rng(1)
    direction = [rng.normal(size=variable.shape) for variable in model.trainable_variables]
    expected = difference(model, x, y, direction, rule="zplus")
    np.testing.assert_allclose(gradient(model, x, y, direction, rule="zplus"), expected, rtol=1e-5)


def test_the_gradient_takes_the_statistics_of_the_batch_for_what_they_are():
    """For the penalty alone they are constants: with the same numbers as moving statistics its gradient is another."""
    model = randomized(normalized())
    for layer in model.layers:
        layer.momentum = 0.0
    x, y = sample(model, 3)
    model(x, training=True)
    assert_same(per_layer(model, x, y, training=True), per_layer(model, x, y))
    rng = np.random.default_rng(1)
    direction = [rng.normal(size=variable.shape) for variable in model.trainable_variables]
    expected = difference(model, x, y, direction)
    np.testing.assert_allclose(gradient(model, x, y, direction), expected, rtol=1e-5)
    assert abs(gradient(model, x, y, direction, training=True) - expected) > 0.01 * abs(expected)


@pytest.mark.parametrize("rule", quickly(RULES, "zplus"))
def test_a_compiled_step_gives_the_same(rule):
    model = randomized(chain(Conv2D(2, 2, activation="relu"), MaxPooling2D(3), Flatten(), Dense(3)))
    x, y = sample(model)
    kernels = [layer.kernel.value for layer in (model.layers[0], model.layers[-1])]

    def step():
        with tf.GradientTape() as tape:
            penalty = tf.reduce_mean(fbi_penalty(model, tf.constant(x), tf.constant(y), rule=rule))
        return penalty, *tape.gradient(penalty, kernels)

    for found, expected in zip(tf.function(step, jit_compile=True)(), step(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


# Conservation.


def relevance_of(model, x, y, rule):
    """The relevance that each term gets, summed over its units, and the scores that it starts from."""
    network = LayerNetwork(model, RULES[rule])
    _, run = network.forward(x, training=False)
    weights = np.eye(run.scores.shape[1])[y]
    relevance = network.backward(run, keras.ops.convert_to_tensor(weights))
    terms = terms_of(network)
    sums = {path: relevance[identifier].numpy().reshape(len(x), -1).sum(axis=1) for path, identifier in terms.items()}
    return sums, (run.scores.numpy() * weights).sum(axis=1)


def rectified(*, use_bias):
    one, other = (Conv2D(4, size, use_bias=use_bias, activation="relu") for size in (3, 2))
    dense = [Dense(8, "relu", use_bias=use_bias), Dense(3, "softmax", use_bias=use_bias)]
    return chain(one, MaxPooling2D(2), other, AveragePooling2D(2), Flatten(), *dense)


@pytest.mark.parametrize("rule, use_bias", [("z", False), ("zplus", False), ("zplus", True)])
def test_relevance_is_conserved(rule, use_bias):
    model = randomized(rectified(use_bias=use_bias), seed=3)  # in which something speaks for every unit that is passed
    x, y = sample(model)
    sums, scores = relevance_of(model, x, y, rule)
    assert np.abs(scores).min() > 1e-3
    for path, each in sums.items():
        np.testing.assert_allclose(each, scores, rtol=1e-9 if rule == "z" else 1e-5, err_msg=path)


def test_biases_keep_relevance_by_the_rule_z():
    model = randomized(rectified(use_bias=True))
    sums, scores = relevance_of(model, *sample(model), "z")
    assert all(np.abs(each - scores).max() > 0.1 for each in sums.values())


def test_zplus_gives_relevance_to_what_speaks_for_a_unit_alone():
    model = chain(Dense(1, kernel_initializer=lambda *args, **kwargs: [[2.0], [-1.0], [1.0], [-3.0]]), shape=(4,))
    x = np.array([[1.0, 1.0, -1.0, -1.0]])
    network = LayerNetwork(model, RULES["zplus"])
    _, run = network.forward(x, training=False)
    relevance = network.backward(run, np.ones((1, 1)))
    np.testing.assert_allclose(relevance[network.graph.inputs[0]], [[3 * 2 / 5, 0, 0, 3 * 3 / 5]], rtol=1e-6)


def flipped(sign):
    """One function, written with positive or negative scales of the batch normalization."""
    first, normalization, last = Conv2D(4, 3, use_bias=False), BatchNormalization(), Dense(3)
    model = randomized(chain(first, normalization, ReLU(), Flatten(), last, shape=(6, 6, 2)))
    first.kernel.assign(sign * first.kernel)
    normalization.moving_mean.assign(sign * normalization.moving_mean)
    normalization.gamma.assign(sign * normalization.gamma)
    return model


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_a_function_has_one_penalty_whatever_the_signs_of_scales(rule, training, monkeypatch):
    model, other = flipped(1), flipped(-1)
    x, y = sample(model)
    np.testing.assert_allclose(model(x), other(x), rtol=1e-9)
    options = {"rule": rule, "training": training, "reduction": "sum"}
    expected = fbi_penalty(model, x, y, **options)
    np.testing.assert_allclose(fbi_penalty(other, x, y, **options), expected, rtol=1e-9)
    monkeypatch.setattr("keras_xai.network.layers.folded_into", lambda graph, step: ())
    same = np.allclose(fbi_penalty(other, x, y, **options), expected, rtol=1e-4)
    assert same == (rule == "z")  # negative control: as a step of its own, a normalization tells no signs


def test_zplus_is_the_rule_of_lrp():
    rng = np.random.default_rng(0)
    convolution, normalization = Conv2D(4, 3, padding="same", name="conv"), BatchNormalization()
    inputs = keras.Input((6, 6, 2), name="image")
    x = ReLU()(normalization(convolution(inputs)))
    x = AveragePooling2D(2)(Add()([x, Conv2D(4, 3, padding="same", activation="relu")(x)]))
    model = randomized(keras.Model(inputs, Dense(3)(Dense(5, "relu")(Flatten()(x)))))
    normalization.gamma.assign(rng.choice([-1.0, 1.0], 4) * normalization.gamma)
    x, y = sample(model)
    network = LayerNetwork(model, RULES["zplus"])
    _, run = network.forward(x, training=False)
    relevance = network.backward(run, ops.one_hot(y, 3, dtype="float64"))
    rule = ZPlus(bias=False, stabilizer=keras.config.epsilon())
    composite = RoleComposite(dense=rule, convolution=rule, pooling=rule, merge=rule)
    expected = LRP(model, composite=composite)(x, target=y).values
    np.testing.assert_allclose(relevance[network.graph.inputs[0]], expected, rtol=1e-5, atol=1e-8)


# Properties.


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), rule=st.sampled_from(list(RULES)), target=st.sampled_from(["label", "predicted", "all"]))
def test_penalties_of_samples_do_not_depend_on_one_another(seed, rule, target):
    model = randomized(normalized(), seed)
    x, y = sample(model, 4, seed)
    options = {"rule": rule, "target": target}
    together = fbi_penalty(model, x, y, **options).numpy()
    order = np.random.default_rng(seed).permutation(4)
    np.testing.assert_allclose(fbi_penalty(model, x[order], y[order], **options), together[order], rtol=1e-9)
    np.testing.assert_allclose(fbi_penalty(model, x[:1], y[:1], **options), together[:1], rtol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), rule=st.sampled_from(list(RULES)), units=st.integers(1, 7))
def test_a_sum_is_the_mean_times_the_number_of_units(seed, rule, units):
    model = randomized(chain(Dense(units, "relu"), Dense(3, "softmax"), shape=(4,)), seed)
    x, y = sample(model, seed=seed)
    mean, total = (list(per_layer(model, x, y, rule=rule, reduction=each).values()) for each in ("mean", "sum"))
    np.testing.assert_allclose(total, np.array(mean) * [[4], [units]], rtol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), rule=st.sampled_from(list(RULES)), factor=st.floats(0.1, 10))
def test_without_biases_the_penalty_grows_with_the_input(seed, rule, factor):
    model = randomized(chain(Dense(5, "relu", use_bias=False), Dense(3, use_bias=False), shape=(4,)), seed)
    x, y = sample(model, seed=seed)
    if rule == "zplus":  # next to nothing may speak for a score, and what keeps the quotients finite does not grow
        model.layers[-1].kernel.assign(np.abs(model.layers[-1].kernel))
    penalty = fbi_penalty(model, x, y, rule=rule)
    np.testing.assert_allclose(fbi_penalty(model, factor * x, y, rule=rule), factor * penalty, rtol=1e-4)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["normalized", "sigmoids"])
def test_labels_may_be_numbers_columns_or_rows(name, rule):
    model = randomized(NETWORKS[name]())
    x, y = sample(model)
    expected = fbi_penalty(model, x, y, rule=rule)
    for same in (y[:, None], np.eye(3)[y], np.eye(3, dtype=bool)[y], y.tolist(), y.astype("float32"), tf.constant(y)):
        np.testing.assert_array_equal(fbi_penalty(model, x, same, rule=rule), expected)
    assert np.abs(fbi_penalty(model, x, (y + 1) % 3, rule=rule) - expected).max() > 1e-3


def test_two_labels_of_one_sigmoid_are_the_score_and_its_negative():
    model = randomized(NETWORKS["one sigmoid"]())
    x, _ = sample(model)
    parts = [per_layer(model, x, np.full(5, label))["image"] for label in (0, 1)]
    activation, gradient = activation_times_gradient(chain(*model.layers[:-1]), x, 1.0, [])[0]
    for sign, part in zip((-1, 1), parts, strict=True):
        np.testing.assert_allclose(part, np.abs(activation - sign * gradient).sum(axis=(1, 2, 3)), rtol=1e-9)
    assert np.abs(parts[0] - parts[1]).max() > 1e-3
    for same in (np.ones((5, 1)), np.ones(5, bool), [1] * 5):
        np.testing.assert_array_equal(per_layer(model, x, same)["image"], parts[1])


def test_the_predicted_score_is_that_of_the_predicted_label():
    for name in ("normalized", "one sigmoid", "one linear unit"):
        model = randomized(NETWORKS[name]())
        x, _ = sample(model)
        scores = model(x).numpy()
        predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > (name == "one sigmoid") / 2
        assert_same(per_layer(model, x, target="predicted"), per_layer(model, x, predicted), rtol=1e-12)


def test_all_scores_of_images_can_be_explained():
    x = keras.Input((6, 6, 1))
    model = keras.Model(x, Conv2D(2, 1, activation="softmax")(Conv2D(3, 3, padding="same", activation="relu")(x)))
    x, _ = sample(randomized(model))
    assert_same(per_layer(model, x, target="all"), naive.fbi_penalty(model, x, target="all"))


# Which layers are compared.


def test_fused_and_separate_layers_have_the_same_penalties():
    stack = [Conv2D(3, 3, name="a"), ReLU(), Flatten(), Dense(5, name="b"), Activation("tanh"), Dense(3, name="c"), Softmax()]
    separate = randomized(chain(*stack))
    hidden = [Conv2D(3, 3, activation="relu", name="a"), Flatten(), Dense(5, "tanh", name="b")]
    fused = chain(*hidden, Dense(3, "softmax", name="c"))
    fused.set_weights(separate.get_weights())
    x, y = sample(fused)
    for rule in RULES:
        found = per_layer(fused, x, y, rule=rule)
        assert list(found) == ["image", "a", "b"]
        assert_same(found, per_layer(separate, x, y, rule=rule), rtol=1e-12)


@pytest.mark.parametrize(
    "name, paths",
    [
        ("residual", ["start", "middle", "end"]),
        ("nested", ["backbone/block/inner", "outer"]),
        ("shared", ["twice", "twice:1"]),
        ("two inputs", ["of_one", "of_other"]),
        ("text", ["table", "hidden"]),
    ],
)
def test_inputs_and_all_layers_with_weights_but_the_last_are_compared(name, paths):
    model = NETWORKS[name]()
    numbers = [tensor.name for tensor in model.inputs if tensor.dtype == "float64"]
    assert list(fbi_penalty(model, *sample(model), per_layer=True)) == numbers + paths


def test_the_last_layer_with_weights_is_left_out_also_where_pooling_follows_it():
    stack = [Conv2D(4, 3, activation="relu", name="a"), Conv2D(3, 3, name="b"), GlobalAveragePooling2D()]
    model = chain(*stack, Softmax())
    assert list(fbi_penalty(model, *sample(model), per_layer=True)) == ["image", "a"]


def test_a_layer_is_compared_after_its_normalization_and_its_activation():
    """And not after the activation that is fused into the next layer."""
    stack = [Dense(5, name="a"), BatchNormalization(name="n"), ReLU(name="r"), Dense(4, name="b")]
    stack += [Dense(4, "relu", name="c"), BatchNormalization(name="m"), Dense(3)]
    model = randomized(chain(*stack, shape=(6,)))
    network = LayerNetwork(model, RULES["z"])
    outputs = {step.path: step.outputs[0] for step in network.graph.steps}
    terms = terms_of(network)
    assert terms == {"image": network.graph.inputs[0], "a": outputs["r"], "b": outputs["b"], "c": outputs["c"]}


def test_layers_can_be_chosen():
    model = randomized(NETWORKS["residual"]())
    x, y = sample(model)
    parts = per_layer(model, x, y)
    chosen = per_layer(model, x, y, layers=["end", "start"])
    assert list(chosen) == ["end", "start"]
    assert_same(chosen, {path: parts[path] for path in chosen}, rtol=1e-12)
    whole, part = fbi_penalty(model, x, y), fbi_penalty(model, x, y, layers=["end", "start"])
    np.testing.assert_allclose(part, (parts["end"] + parts["start"]) / 2, rtol=1e-12)
    np.testing.assert_allclose(whole, np.mean(list(parts.values()), axis=0), rtol=1e-12)
    assert not np.allclose(whole, part)


def test_layers_without_weights_can_be_chosen():
    model = randomized(chain(Rescaling(2.0, name="scaled"), Dense(5, "relu"), Dense(3), shape=(6,)))
    x, y = sample(model)
    (found,) = per_layer(model, x, y, layers=["scaled"]).values()
    expected = per_layer(chain(*model.layers[1:], shape=(6,)), 2 * x, y)["image"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


# What is left alone.


@pytest.mark.parametrize("rule", RULES)
def test_nothing_of_the_model_is_changed(rule):
    model = randomized(normalized())
    weights, x, y = model.get_weights(), *sample(model)
    keras.utils.set_random_seed(0)
    expected = np.random.uniform(), keras.random.uniform((2,)).numpy(), tf.random.uniform((2,)).numpy()  # noqa: NPY002
    keras.utils.set_random_seed(0)
    fbi_penalty(model, x, y, rule=rule)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    found = np.random.uniform(), keras.random.uniform((2,)).numpy(), tf.random.uniform((2,)).numpy()  # noqa: NPY002
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    fbi_penalty(model, x, y, rule=rule, training=True)  # negative control: a step of training moves the statistics
    assert not np.array_equal(weights[4], model.get_weights()[4])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_forward_pass_is_the_models_own(name, training):
    model = randomized(NETWORKS[name]())
    x, _ = sample(model)
    before = model.get_weights()
    expected, after = model(x, training=training), model.get_weights()
    model.set_weights(before)
    found, _ = LayerNetwork(model, RULES["zplus"]).forward(x, training=training)
    for one, other in zip(model.get_weights(), after, strict=True):
        np.testing.assert_array_equal(one, other)
    if not training or not any(isinstance(layer, Dropout) for layer in model.layers):
        np.testing.assert_array_equal(found, expected)


@keras.saving.register_keras_serializable(package="tests")
class Dropping(keras.layers.Layer):
    """A layer with dropout inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.drop = Dense(50, "tanh"), Dropout(0.5)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return self.drop(self.dense(x))


register(Dropping, Composite(), Example((4,), lambda x: Dropping()(x)))


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_whose_parts_would_draw_other_random_numbers_is_refused(rule):
    model = chain(Dropping(), Dense(3, "softmax"), shape=(4,))
    with pytest.raises(UnsupportedLayerError, match="Dropout.*make it a separate layer"):
        LayerNetwork(model, RULES[rule])


# Number types.


@pytest.mark.parametrize("rule", RULES)
def test_half_precision_gives_nearly_the_same_in_single_precision(rule, trained, digits):
    x, y = digits[0][1500:1532], digits[1][1500:1532]
    single = in_float32(trained("cnn"), "cnn")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = keras.models.clone_model(single, clone_function=lambda layer: type(layer).from_config(halved(layer)))
    finally:
        keras.config.set_dtype_policy(policy)
    half.set_weights(single.get_weights())
    assert half.layers[0].compute_dtype == "float16"
    for options in ({}, {"target": "predicted", "reduction": "sum"}):
        expected = fbi_penalty(single, x, y, rule=rule, **options)
        found = fbi_penalty(half, x, y, rule=rule, **options)
        assert found.dtype == expected.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=0.05)


def halved(layer):
    return layer.get_config() | {"dtype": "mixed_float16"}


def test_whole_numbers_are_rescaled_first():
    stack = [Rescaling(1 / 255, name="scaled"), Flatten(), Dense(5, "relu", name="a"), Dense(3)]
    model = randomized(chain(*stack, dtype="uint8"))
    x, y = np.random.default_rng(0).integers(256, size=(5, 8, 8, 1)).astype("uint8"), [0, 1, 2, 0, 1]
    for rule in RULES:
        found = per_layer(model, x, y, rule=rule)
        assert list(found) == ["a"]  # relevance does not pass to whole numbers
        plain = chain(*model.layers[1:])
        expected = per_layer(plain, x / 255, y, rule=rule)
        np.testing.assert_allclose(found["a"], expected["a"], rtol=1e-6)
        chosen = per_layer(model, x, y, rule=rule, layers=["scaled"])
        np.testing.assert_allclose(chosen["scaled"], expected["image"], rtol=1e-6)


def test_padding_that_is_masked_gets_no_relevance():
    stack = [Embedding(9, 4, mask_zero=True, name="table"), GlobalAveragePooling1D(), Dense(5, "relu", name="hidden")]
    model = randomized(chain(*stack, Dense(3), shape=(None,), dtype="int32"))
    short, padded = np.array([[1, 2, 3]]), np.array([[1, 2, 3, 0, 0]])
    expected, found = (per_layer(model, each, [1], reduction="sum") for each in (short, padded))
    padding = 2 * np.abs(model.layers[0].embeddings[0]).sum()
    assert_same(found, expected | {"table": expected["table"] + padding})
    with pytest.raises(UnsupportedLayerError, match="mask"):
        fbi_penalty(model, padded, [1], rule="zplus")


# The loss.


@pytest.mark.parametrize("weight", [0, 0.3, 1])
@pytest.mark.parametrize("sample_weight", [None, np.array([1.0, 0.0, 2.0, 0.5, 1.5])])
def test_the_loss_weighs_the_task_and_the_mean_penalty(weight, sample_weight):
    model = randomized(NETWORKS["residual"]())
    x, y = sample(model)
    task = keras.losses.SparseCategoricalCrossentropy()
    found = FBILoss(task, weight, rule="zplus", reduction="sum")(model, x, y, sample_weight, training=False)
    penalty = fbi_penalty(model, x, y, rule="zplus", reduction="sum").numpy()
    weighted = penalty if sample_weight is None else penalty * sample_weight
    expected = (1 - weight) * task(y, model(x), sample_weight) + weight * weighted.mean()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.shape == ()


def test_the_loss_makes_one_step_of_training():
    model, other = randomized(normalized()), randomized(normalized())
    x, y = sample(model)
    loss = FBILoss(keras.losses.SparseCategoricalCrossentropy(), 0.5)
    with tf.GradientTape() as tape:
        value = loss(model, x, y)
    expected = 0.5 * loss.loss(y, other(x, training=True)) + 0.5 * np.mean(fbi_penalty(other, x, y, training=True))
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    assert all(gradient is not None for gradient in tape.gradient(value, model.trainable_variables))


@pytest.mark.parametrize("sample_weight", [None, np.array([1.0, 0.0, 2.0, 0.5, 1.5])])
def test_a_loss_can_be_named(sample_weight):
    model = randomized(NETWORKS["shared"]())
    x, y = sample(model)
    found, expected = (
        FBILoss(each, 0.3)(model, x, y, sample_weight)
        for each in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy())
    )
    assert found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_the_loss_is_added_up_in_the_type_of_the_task(dtype):
    """Which is that of Keras' losses, whatever a model computes in."""
    with in_dtype("float32"):
        model = randomized(chain(Dense(4, "relu", dtype=dtype), Dense(3, "softmax", dtype=dtype), shape=(6,)))
        x, y = sample(model)
        task = keras.losses.SparseCategoricalCrossentropy()
        expected = 0.5 * float(task(y, model(x))) + 0.5 * np.mean(fbi_penalty(model, x, y))
        np.testing.assert_allclose(FBILoss(task, 0.5)(model, x, y), expected, rtol=1e-2 if dtype == "float16" else 1e-5)


def test_the_loss_is_copied_by_its_config():
    task = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    loss = FBILoss(task, 0.2, rule="zplus", target="all", layers=["twice"])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is FBILoss and again.get_config() == loss.get_config()
    model = randomized(NETWORKS["shared"]())
    x, y = sample(model)
    np.testing.assert_array_equal(again(model, x, np.eye(3)[y]), loss(model, x, np.eye(3)[y]))


def test_the_loss_is_none_for_compile():
    model = chain(Dense(4, "relu"), Dense(3, "softmax"), shape=(6,))
    model.compile("sgd", FBILoss(keras.losses.SparseCategoricalCrossentropy()))
    with pytest.raises(TypeError, match="keras_xai.models.FBIModel"):
        model.fit(*sample(model), verbose=0)


# What is refused.


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rule": "alpha-beta"}, r"`rule` to be one of \['z', 'zplus'\]"),
        ({"target": "true"}, "`target` to be one of"),
        ({"reduction": "none"}, "`reduction` to be one of"),
        ({"layers": []}, "`layers` to be a list of different paths"),
        ({"layers": "twice"}, "`layers` to be a list of different paths"),
        ({"layers": ["thrice"]}, r"path='thrice'. The nearest paths are \['twice'"),
        ({"layers": ["twice", "head"]}, "layers before the scores, where relevance starts"),
    ],
)
def test_wrong_options_are_refused(options, message):
    model = shared()
    model.layers[-1].name = "head"
    with pytest.raises(ValueError, match=message):
        fbi_penalty(model, *sample(model), **options)
    if "layers" not in options:
        with pytest.raises(ValueError, match=message):
            FBILoss("mse", **options)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), True, "0.1", None])
def test_wrong_weights_are_refused(weight):
    with pytest.raises(ValueError, match="`weight` to be a number from 0 to 1"):
        FBILoss("mse", weight)


def test_layers_that_give_whole_numbers_cannot_be_chosen():
    stack = [Flatten(name="flat"), Embedding(9, 4), Flatten(), Dense(3)]
    model = chain(*stack, shape=(2, 3), dtype="int32")
    with pytest.raises(ValueError, match="flat"):
        fbi_penalty(model, *sample(model), layers=["flat"])


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0, 1, 2, 0, 3], "integers from 0 to 2 .* from 0 to 3"),
        ([0, 1, 2, 0, -1], "integers from 0 to 2"),
        ([0, 1, 2, 0, 0.5], "integers from 0 to 2"),
        (["a", "b", "c", "a", "b"], "integers from 0 to 2"),
        ([0, 1, 2, 0, np.nan], "integers from 0 to 2"),
        (np.zeros((5, 2)), r"labels `y` of shape \(n,\) or \(n, 1\), or rows of shape \(n, 3\)"),
        (np.zeros((5, 3, 1)), "labels `y` of shape"),
        (-np.eye(5, 3), "nonnegative"),
        (np.full((5, 3), np.inf), "finite"),
        (None, "y=None"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    model = shared()
    with pytest.raises(ValueError, match=message):
        fbi_penalty(model, sample(model)[0], labels)


@pytest.mark.parametrize("labels", [[2, 0, 0, 1, 1], [0.5, 0, 0, 1, 1]])
def test_a_single_score_stands_for_two_labels(labels):
    model = NETWORKS["one sigmoid"]()
    with pytest.raises(ValueError, match="integers from 0 to 1"):
        fbi_penalty(model, sample(model)[0], labels)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("labels", [[0], [0, 1, 2], np.eye(3)[:1]], ids=["one", "three", "row"])
def test_another_number_of_labels_than_of_samples_is_refused(labels, rule):
    model = shared()
    with pytest.raises(ValueError, match="labels"):
        fbi_penalty(model, sample(model)[0], labels, rule=rule)


def test_a_model_without_anything_to_compare_is_refused():
    model = chain(Rescaling(1 / 255), Flatten(), Dense(3), dtype="uint8")
    with pytest.raises(ValueError, match="without either"):
        fbi_penalty(model, np.ones((2, 8, 8, 1), "uint8"), [0, 1])


def subclassed():
    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


def two_outputs():
    x = keras.Input((4,))
    return keras.Model(x, [Dense(2)(x), Dense(3)(x)])


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: chain(Conv2D(2, 1)), ValueError, r"target='label'.*\(None, 8, 8, 2\). Use target='all'"),
        (two_outputs, ValueError, "a model with one output"),
        (lambda: keras.Sequential([Dense(2)]), ValueError, "has not been built"),
        (subclassed, ValueError, "never called"),
        (lambda: Dense(2), TypeError, "Expected a `keras.Model`"),
    ],
)
def test_wrong_models_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        fbi_penalty(build(), np.zeros((2, 4)), [0, 1])


def attention():
    x = keras.Input((4, 3))
    return keras.Model(x, Dense(3)(Flatten()(MultiHeadAttention(1, 2, name="middle")(x, x))))


def softmax_within():
    return chain(Dense(3, "softmax", name="middle"), Dense(3), shape=(4,))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "build, path",
    [
        (softmax_within, r"'middle.softmax' \(Softmax\)"),
        (lambda: chain(LayerNormalization(name="middle"), Dense(3), shape=(4,)), r"'middle' \(LayerNormalization\)"),
        (lambda: chain(LSTM(4, name="middle"), Dense(3), shape=(4, 3)), r"'middle/lstm_cell.multiply:1' \(Multiply\)"),
        (attention, r"'middle' \(MultiHeadAttention\)"),
    ],
)
def test_layers_that_relevance_cannot_pass_are_named(build, path, rule):
    with pytest.raises(UnsupportedLayerError, match=path):
        fbi_penalty(build(), None, [0], rule=rule)


def test_zplus_knows_layers_of_one_kernel():
    model = chain(SeparableConv2D(4, 3, name="middle"), Flatten(), Dense(3))
    x, y = sample(model)
    with pytest.raises(UnsupportedLayerError, match=r"'middle' \(SeparableConv2D\).*use the rule 'z'"):
        fbi_penalty(model, x, y, rule="zplus")
    assert fbi_penalty(model, x, y).shape == (5,)
