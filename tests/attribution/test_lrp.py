"""Layer-wise relevance propagation against a naive replica that knows every layer as a dense matrix."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from keras_xai.attribution.relevance.lrp import LRP
from keras_xai.graph.view import arithmetic
from keras_xai.network.scores import Scores
from keras_xai.openbox import UnsupportedLayerError
from keras_xai.rules.composites import (
    CPLRP,
    AttnLRP,
    Composite,
    EpsilonAlpha2Beta1,
    EpsilonPlus,
    EpsilonPlusFlat,
    RoleComposite,
)
from keras_xai.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZBox, ZPlus
from keras_xai.rules.maps import AffineMap, affine_maps
from keras_xai.rules.rule import Pass, Passage
from tests.attribution import naive_lrp as naive
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

_SERIES, _IMAGE = (7, 2), (6, 5, 2)
LAYERS = {
    "dense": ((4,), lambda: layers.Dense(3)),
    "dense on an axis": ((3, 4), lambda: layers.Dense(3)),
    "einsum": ((3, 4), lambda: layers.EinsumDense("abc,cde->abde", (3, 2, 3), bias_axes="de")),
    "convolution of series": (_SERIES, lambda: layers.Conv1D(3, 3, padding="causal")),
    "strided convolution": (_IMAGE, lambda: layers.Conv2D(3, 3, strides=2, padding="same")),
    "dilated convolution": (_IMAGE, lambda: layers.Conv2D(4, 2, dilation_rate=2)),
    "channels first": ((2, 7), lambda: layers.DepthwiseConv1D(2, data_format="channels_first")),
    "depthwise": (_IMAGE, lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "transposed": (_SERIES, lambda: layers.Conv1DTranspose(3, 3, strides=2, padding="same")),
    "average pooling": (_IMAGE, lambda: layers.AveragePooling2D(3, strides=2, padding="same")),
    "global average pooling": (_IMAGE, lambda: layers.GlobalAveragePooling2D()),
    "batch normalization": (_IMAGE, lambda: layers.BatchNormalization()),
    "rescaling": ((4,), lambda: layers.Rescaling(-2.0, offset=1.0)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Everywhere(Composite):
    """One rule for all layers."""

    one: Rule

    def rule(self, place):
        return self.one


def randomized(model, seed=0):
    """The model with weights and statistics drawn at random, biases and shifts among them."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        low = 0.3 if "variance" in variable.path else -1.0
        variable.assign(rng.uniform(low, 1.5, size=variable.shape))
    return model


@pytest.fixture(scope="module")
def single():
    """A function from a name in `LAYERS` to `(model, x)` of that layer alone, in float64."""
    made = {}

    def get(name):
        if name not in made:
            shape, build = LAYERS[name]
            with in_dtype("float64"):
                model = randomized(keras.Sequential([keras.Input(shape), build()]))
            made[name] = model, np.random.default_rng(1).normal(size=(2, *shape))
        return made[name]

    return get


def by_rule(model, x, message, rule):
    """The relevance of the input of a model of one layer."""
    (step,) = Scores(model).graph.steps
    with arithmetic("float64"):
        passage = Passage(step, nonnegative=bool((x >= 0).all()))
        (layer,) = affine_maps(passage.call(dict(zip(step.inputs, [ops.convert_to_tensor(x)], strict=True))))
        (share,) = rule.share(layer, ops.convert_to_tensor(message))
    return np.asarray(share)


def skip_what_cannot_be_computed(name):
    """Older TensorFlow has no convolution of single channels in this layout on a CPU."""
    if name == "channels first":
        shape, build = LAYERS[name]
        try:
            with in_dtype("float64"):
                build()(np.zeros((1, *shape)))
        except tf.errors.UnimplementedError:
            pytest.skip("TensorFlow cannot run this layout here")


@pytest.mark.parametrize("sign", ["signed", "nonnegative"])
@pytest.mark.parametrize("name", LAYERS)
def test_rules_are_those_of_the_dense_matrix(single, name, sign):
    skip_what_cannot_be_computed(name)
    model, x = single(name)
    x = x if sign == "signed" else np.abs(x)
    y = np.asarray(model(x))
    message = np.random.default_rng(2).normal(size=y.shape)
    for label, (rule, oracle) in naive.RULES.items():
        expected = naive.through(naive.composed(model), x, message, oracle)
        np.testing.assert_allclose(by_rule(model, x, message, rule), expected, rtol=1e-9, atol=1e-11, err_msg=label)


def test_each_rule_is_told_from_the_others(single):
    model, x = single("strided convolution")
    message = np.random.default_rng(2).normal(size=model(x).shape)
    found = {label: by_rule(model, x, message, rule) for label, (rule, _) in naive.RULES.items()}
    for label, values in found.items():
        near = [
            other
            for other, (_, oracle) in naive.RULES.items()
            if np.allclose(values, _oracle(model, x, message, oracle), rtol=1e-3)
        ]
        assert near == [label]


def _oracle(model, x, message, rule):
    return naive.through(naive.composed(model), x, message, rule)


@pytest.mark.parametrize("rule", [Epsilon(bias=False), Gamma(bias=False), ZPlus(bias=False), AlphaBeta(bias=False)], ids=repr)
def test_without_bias_the_inputs_share_all(single, rule):
    model, x = single("strided convolution")
    message = np.random.default_rng(2).normal(size=model(x).shape)
    oracle = {Epsilon: naive.epsilon, Gamma: naive.gamma, ZPlus: naive.zplus, AlphaBeta: naive.alpha_beta}[type(rule)]

    def without(x):
        return np.asarray(model(x)) - np.asarray(model(np.zeros_like(x)))

    if isinstance(rule, Gamma):  # by which side of zero an output is on, and that is told with the bias
        message = message * (np.asarray(model(x)) * without(x) > 0)
    expected = naive.through(without, x, message, oracle)
    np.testing.assert_allclose(by_rule(model, x, message, rule), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Average])
def test_sums_of_tensors(layer):
    with in_dtype("float64"):
        inputs = [keras.Input((1, 3)), keras.Input((4, 3))]
        model = keras.Model(inputs, layer()(inputs))
    rng = np.random.default_rng(0)
    a, b, message = rng.normal(size=(2, 1, 3)), rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3))

    def joined(both):
        return np.asarray(model([both[:, :3].reshape(-1, 1, 3), both[:, 3:].reshape(-1, 4, 3)]))

    both = np.concatenate([a.reshape(2, -1), b.reshape(2, -1)], axis=1)
    (step,) = Scores(model).graph.steps
    for label, (rule, oracle) in naive.RULES.items():
        with arithmetic("float64"):
            made = Passage(step).call(dict(zip(step.inputs, map(ops.convert_to_tensor, (a, b)), strict=True)))
            (one,) = affine_maps(made)
            shares = [np.asarray(share).reshape(2, -1) for share in rule.share(one, ops.convert_to_tensor(message))]
        expected = naive.through(joined, both, message, oracle)
        np.testing.assert_allclose(np.concatenate(shares, axis=1), expected, rtol=1e-9, atol=1e-11, err_msg=label)


def _seeds():
    return st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seed=_seeds(), size=st.tuples(st.integers(1, 5), st.integers(1, 4)))
def test_what_a_layer_is_given_it_hands_on(seed, size):
    rng = np.random.default_rng(seed)
    weights, x, message = rng.normal(size=size), rng.normal(size=(1, size[0])), rng.normal(size=(1, size[1]))
    products = x[0][:, None] * weights
    layer = AffineMap(
        [ops.convert_to_tensor(x)],
        ops.convert_to_tensor(x @ weights),
        lambda inputs, modify: (
            inputs[0] @ (ops.convert_to_tensor(weights) if modify is None else modify(ops.convert_to_tensor(weights)))
        ),
        lambda: ops.zeros((), dtype="float64"),
        nonnegative=False,
    )
    tiny = 1e-12
    speaking, against = (products > 0).any(axis=0), (products < 0).any(axis=0)
    for rule, kept in (
        (Epsilon(tiny), np.ones(size[1])),
        (Gamma(0.5, stabilizer=tiny), np.ones(size[1])),
        (Flat(tiny), np.ones(size[1])),
        (ZBox(-9.0, 9.0, tiny), np.ones(size[1])),
        (ZPlus(stabilizer=tiny), speaking),
        (AlphaBeta(2.0, 1.0, stabilizer=tiny), 2.0 * speaking - 1.0 * against),
    ):
        (share,) = rule.share(layer, ops.convert_to_tensor(message))
        # A sum z of addends that nearly cancel is not told exactly.
        np.testing.assert_allclose(np.sum(share), message[0] @ kept, rtol=1e-4, atol=1e-5, err_msg=repr(rule))


def batch_normalized(build, shape, axis=-1):
    return randomized(keras.Sequential([keras.Input(shape), build(), layers.BatchNormalization(axis=axis), layers.Flatten()]))


@pytest.mark.parametrize(
    "name, axis",
    [
        ("dense", -1),
        ("einsum", -1),
        ("strided convolution", -1),
        ("channels first", 1),
        ("depthwise", -1),
        ("transposed", -1),
    ],
)
def test_a_batch_normalization_is_folded_into_what_it_follows(float64, name, axis):
    skip_what_cannot_be_computed(name)
    shape, build = LAYERS[name]
    model = batch_normalized(build, shape, axis)
    x = np.random.default_rng(1).normal(size=(2, *shape))
    weights = np.random.default_rng(2).normal(size=model.output_shape[1:])
    explanation = LRP(model, composite=Everywhere(one=AlphaBeta()))(x, target=lambda scores: ops.matmul(scores, weights))
    message = np.asarray(model(x)) * weights
    expected = naive.through(naive.composed(model), x, message, naive.alpha_beta)
    np.testing.assert_allclose(explanation.values, expected, rtol=1e-9, atol=1e-11)
    gap = message.sum(axis=1) - expected.reshape(2, -1).sum(axis=1)
    np.testing.assert_allclose(explanation.convergence_delta, gap, rtol=1e-9, atol=1e-11)
    # The control: not folded, it would pass relevance on to a layer whose weights have other signs.
    layer = model.layers[0]
    apart = naive.through(naive.composed(layer), x, message.reshape(layer(x).shape), naive.alpha_beta)
    assert not np.allclose(explanation.values, apart, rtol=1e-2)


def test_convolution_with_batch_normalization_is_the_convolution_with_folded_weights(float64):
    model = randomized(
        keras.Sequential(
            [
                keras.Input(_IMAGE),
                layers.Conv2D(4, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
    )
    convolution, normalization, *_, dense = model.layers
    scale = normalization.gamma / np.sqrt(normalization.moving_variance + normalization.epsilon)
    folded = keras.Sequential(
        [
            keras.Input(_IMAGE),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    bias = normalization.beta - normalization.moving_mean * scale
    folded.layers[0].set_weights([convolution.kernel * scale, bias])
    folded.layers[-1].set_weights(dense.get_weights())
    x = np.random.default_rng(1).normal(size=(2, *_IMAGE))
    for composite in (EpsilonPlus(), EpsilonPlusFlat()):
        one, other = (LRP(each, composite=composite)(x, target=1) for each in (model, folded))
        np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(one.convergence_delta, other.convergence_delta, rtol=1e-9, atol=1e-12)


def test_separable_convolutions_are_two_layers(float64):
    def ending(*first):
        return randomized(keras.Sequential([keras.Input(_IMAGE), *first, layers.BatchNormalization(), layers.Flatten()]))

    one = ending(layers.SeparableConv2D(3, 3, strides=2, padding="same", depth_multiplier=2))
    two = ending(layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, use_bias=False), layers.Conv2D(3, 1))
    two.set_weights(one.get_weights())
    x = np.random.default_rng(1).normal(size=(2, *_IMAGE))
    np.testing.assert_allclose(two(x), one(x), rtol=1e-9, atol=1e-12)
    for rule in (Gamma(), ZPlus(), Flat()):
        values = [LRP(model, composite=Everywhere(one=rule))(x, target=4).values for model in (one, two)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-9, atol=1e-12)


def test_constants_of_operations_are_weights_and_biases(float64):
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(4, 3)), rng.normal(size=3)
    x = keras.Input((4,))
    own = keras.Model(x, ops.matmul(x, kernel) + bias)
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    dense.set_weights([kernel, bias])
    x = rng.normal(size=(2, 4))
    for rule in (AlphaBeta(), Epsilon()):
        values = [LRP(model, composite=Everywhere(one=rule))(x, target=1).values for model in (own, dense)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-9, atol=1e-12)


COMPOSITES = {
    "EpsilonPlus": (EpsilonPlus(), naive.epsilon, naive.zplus, naive.zplus),
    "EpsilonAlpha2Beta1": (EpsilonAlpha2Beta1(), naive.epsilon, naive.alpha_beta, naive.alpha_beta),
    "EpsilonPlusFlat": (EpsilonPlusFlat(), naive.epsilon, naive.zplus, naive.flat),
    "RoleComposite": (
        RoleComposite(dense=Gamma(), convolution=AlphaBeta(), first=ZBox(-3.0, 3.0)),
        naive.gamma,
        naive.alpha_beta,
        naive.zbox,
    ),
    "AttnLRP": (AttnLRP(gamma=0.25), naive.gamma, naive.gamma, naive.gamma),
    "CPLRP": (CPLRP(), naive.epsilon, naive.epsilon, naive.epsilon),
}


def naive_cnn(model, x, target, dense_rule, rule, first_rule):
    """The zoo's `cnn`: convolution, batch normalization, ReLU, max pooling, convolution with ReLU, dropout, flatten, dense."""
    convolution, normalization, relu, pool, second, _, flatten, dense, _ = model.layers
    tensors = [x]
    for layer in (convolution, normalization, relu, pool, linear := naive.linear(second), relu, flatten, dense):
        tensors.append(np.asarray(layer(tensors[-1])))
    _, _, _, rectified, pooled, second_out, _, flat, scores = tensors
    message = np.zeros_like(scores)
    message[np.arange(len(x)), target] = scores[np.arange(len(x)), target]
    message = naive.through(naive.composed(dense), flat, message, dense_rule)
    message = naive.through(naive.composed(linear), pooled, message.reshape(second_out.shape), rule)
    message = naive.through_max_pooling(pool, rectified, message)
    return naive.through(naive.composed(convolution, normalization), x, message, first_rule)


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_trained_convolutional_network(trained, digits, name):
    model, x, target = trained("cnn"), digits[0][1500:1503], np.array([1, 7, 3])
    composite, *rules = COMPOSITES[name]
    explanation = LRP(model, composite=composite)(x, target=target)
    expected = naive_cnn(model, x, target, *rules)
    np.testing.assert_allclose(explanation.values, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    scores = np.asarray(keras.Model(model.inputs, model.layers[-2].output)(x))[np.arange(3), target]
    np.testing.assert_allclose(
        explanation.convergence_delta, scores - expected.reshape(3, -1).sum(axis=1), atol=1e-9 * np.abs(expected).max()
    )
    for other, (_, *others) in COMPOSITES.items():
        if other != name:
            assert not np.allclose(explanation.values, naive_cnn(model, x, target, *others), rtol=1e-2)


def test_a_trained_residual_network(trained, digits):
    model, x = trained("residual"), digits[0][1500:1502]
    _, first, second, normalization, add, relu, pool, third, average, dense = model.layers
    assert isinstance(add, layers.Add) and isinstance(normalization, layers.BatchNormalization)
    head = naive.linear(dense)
    a = np.asarray(first(x))
    b = np.asarray(normalization(second(a)))
    rectified = np.asarray(relu(a + b))
    pooled = np.asarray(pool(rectified))
    features = np.asarray(third(pooled))
    averages = np.asarray(average(features))
    scores = np.asarray(head(averages))
    message = np.where(np.arange(10) == 4, scores, 0)
    message = naive.through(naive.composed(head), averages, message, naive.epsilon)
    message = naive.through(naive.composed(average), features, message, naive.epsilon)
    message = naive.through(naive.composed(naive.linear(third)), pooled, message, naive.zplus)
    message = naive.through_max_pooling(pool, rectified, message)
    ratio = message / naive.stabilized(a + b, 1e-6)
    # The batch normalization follows a ReLU, so that it is not folded: it passes relevance on as it is.
    inner = a * ratio + naive.through(naive.composed(naive.linear(second)), a, b * ratio, naive.zplus)
    expected = naive.through(naive.composed(first), x, inner, naive.zplus)
    explanation = LRP(model)(x, target=4)
    np.testing.assert_allclose(explanation.values, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    without_shortcut = naive.through(naive.composed(first), x, inner - a * ratio, naive.zplus)
    assert not np.allclose(explanation.values, without_shortcut, rtol=1e-2)


def test_without_biases_the_epsilon_rule_is_the_gradient_times_the_input(float64):
    stack = [layers.Conv2D(4, 3, use_bias=False, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    model = randomized(keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(3, use_bias=False)]))
    x = np.random.default_rng(1).normal(size=(3, 8, 8, 1))
    from keras_xai.attribution import GradientTimesInput

    explanation = LRP(model, composite=Everywhere(one=Epsilon(1e-12)))(x)
    np.testing.assert_allclose(explanation.values, GradientTimesInput(model)(x).values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(explanation.convergence_delta, 0, atol=1e-7)


@pytest.fixture(scope="module")
def small():
    """A small model on images."""
    stack = [
        layers.Conv2D(3, 3, activation="relu", name="first"),
        layers.Conv2D(3, 3, name="second"),
        layers.BatchNormalization(name="normalization"),
        layers.ReLU(name="relu"),
        layers.GlobalAveragePooling2D(name="average"),
        layers.Dense(4, "tanh", name="third"),
        layers.Dense(3, "softmax", name="head"),
    ]
    return randomized(keras.Sequential([keras.Input((8, 8, 1)), *stack]))


def chosen(model, composite):
    """The rules of the layers of a model."""
    return {step.path: rule for step, rule in LRP(model, composite=composite)._rules.items()}


def test_composites_choose_by_role_and_depth(small):
    average = {"average": Epsilon()}
    one = {"first": ZPlus(), "second": ZPlus(), "third": Epsilon(0.1), "head": Epsilon(0.1)}
    assert chosen(small, EpsilonPlus(epsilon=0.1)) == one | average
    assert chosen(small, EpsilonPlusFlat(epsilon=0.1)) == one | average | {"first": Flat()}
    alpha = one | average | {"first": AlphaBeta(), "second": AlphaBeta()}
    assert chosen(small, EpsilonAlpha2Beta1(epsilon=0.1)) == alpha
    deep = RoleComposite(dense={0: Gamma(0.5), 3: Epsilon()}, convolution={0: Gamma(1.0), 1: ZPlus()}, pooling=Flat())
    gammas = {"first": Gamma(1.0), "second": ZPlus(), "third": Gamma(0.5), "head": Epsilon(), "average": Flat()}
    assert chosen(small, deep) == gammas
    named = EpsilonPlus(layers={"second": Gamma(2.0), "average": ZPlus()})
    assert chosen(small, named) == one | {"second": Gamma(2.0), "average": ZPlus(), "third": Epsilon(), "head": Epsilon()}


def test_all_first_layers_are_first():
    image, table = keras.Input((4, 4, 1)), keras.Input((3,))
    left = layers.Flatten()(layers.Conv2D(2, 2, name="left")(layers.Rescaling(2.0, name="scale")(image)))
    joined = layers.Concatenate()([left, layers.Dense(2, name="right")(table)])
    model = keras.Model([image, table], layers.Dense(2, name="head")(joined))
    rules = chosen(model, EpsilonPlusFlat())
    assert rules == {"left": Flat(), "right": Flat(), "head": Epsilon(), "scale": Pass()}
    explanation = LRP(model)([np.ones((2, 4, 4, 1)), np.ones((2, 3))], target=0)
    assert [values.shape for values in explanation.values] == [(2, 4, 4, 1), (2, 3)]


def test_curved_activations_pass_relevance_on(float64):
    model = randomized(keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(2)]))
    x = np.random.default_rng(1).normal(size=(2, 4))
    first, last = model.layers
    hidden = np.asarray(first(x))
    message = np.where(np.arange(2) == 1, np.asarray(last(hidden)), 0)
    message = naive.through(naive.composed(last), hidden, message, naive.epsilon)
    expected = naive.through(naive.composed(naive.linear(first)), x, message, naive.epsilon)
    np.testing.assert_allclose(LRP(model)(x, target=1).values, expected, rtol=1e-9, atol=1e-12)


def test_the_relevance_of_a_token_is_that_of_its_vector():
    tokens = keras.Input((5,), dtype="int32")
    embedding = layers.Embedding(9, 4, mask_zero=True, name="embedding")
    pooled = layers.GlobalAveragePooling1D()(layers.Dense(6, "relu")(embedding(tokens)))
    model = randomized(keras.Model(tokens, layers.Dense(2)(pooled)))
    x = np.array([[3, 1, 4, 0, 0], [2, 7, 1, 8, 0]])
    explanation = LRP(model, composite=RoleComposite(dense=Epsilon(bias=False), convolution=ZPlus()))(x, target=1)
    assert explanation.values.shape == (2, 5)
    assert not explanation.values[x == 0].any() and explanation.values[x > 0].all()
    np.testing.assert_allclose(explanation.convergence_delta, 0, atol=1e-3)


def test_batches_and_passes(small):
    x = np.random.default_rng(1).normal(size=(9, 8, 8, 1)).astype("float32")
    all_at_once, in_parts = (LRP(small, batch_size=size)(x) for size in (16, 2))
    np.testing.assert_allclose(all_at_once.values, in_parts.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(all_at_once.convergence_delta, in_parts.convergence_delta, rtol=1e-5, atol=1e-6)
    # 4 products for the first convolution, whose input has signs, 2 for the second, 1 for each dense layer, and the forward pass.
    assert all_at_once.num_forward_passes == 3


@pytest.mark.parametrize(
    "build, path, reason",
    [
        (
            lambda x: layers.LayerNormalization(name="bad", rms_scaling=True)(layers.Dense(3)(x)),
            "bad",
            "statistics of the sample",
        ),
        (
            lambda x: layers.Dot(axes=1, normalize=True, name="bad")([layers.Dense(3)(x), layers.Dense(3)(x)]),
            "bad",
            "norms of its inputs",
        ),
        (lambda x: ops.cumsum(layers.Dense(3)(x), axis=1), r"cumsum(_\d+)?", "its kind is not known"),
    ],
)
def test_layers_that_relevance_cannot_pass(build, path, reason):
    x = keras.Input((4,))
    with pytest.raises(UnsupportedLayerError, match=f"LRP cannot explain(.|\n)*'{path}'.*{reason}"):
        LRP(keras.Model(x, layers.Dense(2)(build(x))))


def test_composites_that_do_not_fit_are_errors(small):
    with pytest.raises(ValueError, match="Expected `composite` to be a `Composite`.*Received: composite='zplus'"):
        LRP(small, composite="zplus")
    with pytest.raises(ValueError, match="path received. Received: path='secnd'.*second"):
        LRP(small, composite=EpsilonPlus(layers={"secnd": ZPlus()}))
    with pytest.raises(ValueError, match="'relu' \\(ReLU\\), which takes no rule"):
        LRP(small, composite=EpsilonPlus(layers={"relu": ZPlus()}))
    with pytest.raises(ValueError, match="'normalization' \\(BatchNormalization\\), which is folded"):
        LRP(small, composite=EpsilonPlus(layers={"normalization": ZPlus()}))
    with pytest.raises(TypeError, match="Expected `layers` to be a rule.*'zplus' for 'second'"):
        LRP(small, composite=EpsilonPlus(layers={"second": "zplus"}))
    with pytest.raises(UnsupportedLayerError, match="'second' .*: the rule Pass is for layers that act on each entry alone"):
        LRP(small, composite=EpsilonPlus(layers={"second": Pass()}))
    with pytest.raises(ValueError, match="in which no layer takes a rule"):
        LRP(keras.Sequential([keras.Input((4, 2)), layers.ReLU(), layers.Flatten()]))
    resized = keras.Sequential([keras.Input((4, 4, 1)), layers.UpSampling2D(interpolation="bicubic"), layers.Flatten()])
    with pytest.raises(
        UnsupportedLayerError, match="the rule ZPlus splits weights by sign, and the weights of this layer are not known"
    ):
        LRP(resized, composite=Everywhere(one=ZPlus()))
    assert np.isfinite(LRP(resized)(np.ones((1, 4, 4, 1)), target=5).values).all()
    with pytest.raises(ValueError, match="start at depth 0"):
        RoleComposite(dense={1: Epsilon()}, convolution=ZPlus())


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Epsilon(0), "Expected `epsilon` to be a positive number. Received: epsilon=0"),
        (lambda: Gamma(-1), "Expected `gamma` to be a number of at least 0"),
        (lambda: AlphaBeta(2, 2), "whose difference is 1"),
        (lambda: AlphaBeta(0.5, -0.5), "whose difference is 1"),
        (lambda: ZBox(1, 0), "`low` to be less everywhere"),
        (lambda: ZPlus(stabilizer=-1e-3), "Expected `stabilizer`"),
    ],
)
def test_rules_that_are_none(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_masks_are_no_inputs():
    with in_dtype("float32"):
        x = keras.Input((3, 2))
        model = keras.Model(x, layers.GlobalAveragePooling1D()(layers.Identity()(x), mask=ops.any(x > 0, axis=-1)))
    step = Scores(model).graph.steps[-1]
    made = Passage(step).call(dict(zip(step.inputs, [ops.ones((1, 3, 2)), ops.ones((1, 3), dtype="bool")], strict=True)))
    assert made.real == [0]


@pytest.mark.slow
def test_real_networks(data_folder):
    squeezenet = keras.models.load_model(data_folder / "models" / "squeezenet_v1.1.keras")
    mobilenet = keras.models.load_model(data_folder / "models" / "mobilenet_v1_to_conv_pw_12.keras")
    with np.load(data_folder / "coco_objects.npz") as objects:
        images = objects["images"][:4].astype("float32")
    shown = images[..., ::-1] - np.array([104, 117, 123], "float32")
    scaled = np.asarray(ops.image.resize(images, (224, 224))) / 127.5 - 1

    def features(maps):
        return ops.mean(maps[..., 7], axis=(1, 2))

    parts = {}
    for composite in (EpsilonPlus(), EpsilonAlpha2Beta1(), EpsilonPlusFlat()):
        for model, x, target in ((squeezenet, shown, None), (mobilenet, scaled, features)):
            explanation = LRP(model, composite=composite)(x, target=target)
            assert np.isfinite(explanation.values).all() and np.isfinite(explanation.convergence_delta).all()
            assert (np.abs(explanation.values).max(axis=(1, 2, 3)) > 0).all()
            score = explanation.values.sum(axis=(1, 2, 3)) + explanation.convergence_delta
            parts[model.name, type(composite).__name__] = np.abs(explanation.convergence_delta / score).mean()
    print({key: round(float(part), 4) for key, part in parts.items()})
    # What biases keep: a hundredth at most in SqueezeNet, nearly all in MobileNet, whose shifts exceed the rest.
    assert parts[squeezenet.name, "EpsilonPlus"] < 0.02 and parts[squeezenet.name, "EpsilonPlusFlat"] < 0.02


def test_samples_outside_the_box_of_a_rule_are_refused():
    keras.utils.set_random_seed(0)
    with in_dtype("float32"):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 2)),
                layers.Rescaling(2.0, -1.0, name="scaled"),
                layers.Conv2D(3, 2, activation="relu", name="conv"),
                layers.Flatten(),
                layers.Dense(2, name="dense"),
            ]
        )
    x = np.random.default_rng(0).uniform(size=(5, 4, 4, 2)).astype("float32")
    low = np.array([-1.0, -1.5])
    composites = [
        RoleComposite(dense=Epsilon(), convolution=ZPlus(), first=ZBox(-1.0, 1.0)),
        RoleComposite(dense=Epsilon(), convolution={0: ZBox(low, 1.0), 1: ZPlus()}),
        EpsilonPlus(layers={"conv": ZBox(-1.0, 1.0)}),
    ]
    for composite in composites:
        method = LRP(model, composite=composite, batch_size=2)
        assert np.isfinite(method(x).values).all()
        for value in (1.01, -0.3):
            outside = x.copy()
            outside[3, 1, 2, 0] = value
            with pytest.raises(
                ValueError, match=r"inputs of 'conv' within the bounds of its rule ZBox, from -1.* to 1\. .* sample 3\."
            ):
                method(outside)
    rounded = x.copy()
    rounded[3, 1, 2, 0] = 1 + 1e-7
    assert np.isfinite(LRP(model, composite=composites[0])(rounded).values).all()
    with pytest.raises(ValueError, match="'dense' within the bounds"):
        LRP(model, composite=EpsilonPlus(layers={"dense": ZBox(-1e-6, 1e-6)}))(x)
    batches = [x[:2], x[2:] * 3]  # the second is not
    with pytest.raises(ValueError, match="for sample [234]"):
        LRP(model, composite=composites[0])(iter(batches))
