"""LRP of transformers and gated networks, against input times gradient of a backward pass with modified gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.attribution import CPLRP, LRP, AttnLRP, DeepLIFT, EpsilonPlus, RoleComposite
from keras_xai.openbox import UnsupportedLayerError
from keras_xai.rules import Epsilon, Pass, SignalTakesAll, Taylor, Uniform
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

PLACES, CHANNELS, HEADS, HIDDEN, CLASSES = 5, 8, 2, 12, 3
TINY = 1e-12


def encoder(*, bias=True, mask=False):
    """Two blocks of attention and a network of two layers, with random weights."""
    x = inputs = keras.Input((PLACES,), dtype="int32") if mask else keras.Input((PLACES, CHANNELS))
    if mask:
        x = layers.Embedding(9, CHANNELS, mask_zero=True)(x)
    for _ in range(2):
        y = layers.LayerNormalization(center=bias)(x)
        y = layers.MultiHeadAttention(HEADS, CHANNELS // HEADS, use_bias=bias)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization(center=bias)(x)
        y = layers.Dense(HIDDEN, "gelu", use_bias=bias)(y)
        x = layers.Add()([x, layers.Dense(CHANNELS, use_bias=bias)(y)])
    model = keras.Model(inputs, layers.Dense(CLASSES, use_bias=bias)(layers.GlobalAveragePooling1D()(x)))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        start = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(start + (0.4 if len(variable.shape) > 1 else 0.2) * rng.normal(size=variable.shape))
    return model


def samples():
    return np.random.default_rng(1).normal(size=(4, PLACES, CHANNELS))


@tf.custom_gradient
def unchanged_relevance(z):
    """GELU, whose gradient is its output divided by its input."""
    y = tf.nn.gelu(z, approximate=False)
    return y, lambda upstream: upstream * y / z


def scaled(factor):
    """The identity, whose gradient is a factor."""
    return tf.custom_gradient(lambda x: (tf.identity(x), lambda upstream: factor * upstream))


def by_modified_gradients(model, x, target, *, attends, share):
    """Input times gradient: standard deviations constant, activations by quotients, products by a share for each factor.

    With `attends=False` attention weights are constant as well.
    """
    weighted = iter([layer for layer in model.layers if layer.weights])

    def normalized(x):
        layer = next(weighted)
        deviation = tf.sqrt(tf.math.reduce_variance(x, -1, keepdims=True) + layer.epsilon)
        return (x - tf.reduce_mean(x, -1, keepdims=True)) / tf.stop_gradient(deviation) * layer.gamma.value + layer.beta.value

    def projected(x, dense, equation="btd,dhe->bthe"):
        return tf.einsum(equation, x, dense.kernel.value) + dense.bias.value

    def attention(x):
        layer = next(weighted)
        query, key, value = (projected(x, each) for each in (layer.query_dense, layer.key_dense, layer.value_dense))
        logits = tf.einsum("bthe,bshe->bhts", query, key) / np.sqrt(CHANNELS // HEADS)
        weights = tf.nn.softmax(scaled(share)(logits) if attends else tf.stop_gradient(logits))
        mixed = tf.einsum("bhts,bshe->bthe", weights, value)
        return projected(scaled(share)(mixed) if attends else mixed, layer.output_dense, "bthe,hed->btd")

    point = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(point)
        h = point
        for _ in range(2):
            h = h + attention(normalized(h))
            inside = unchanged_relevance(projected(normalized(h), next(weighted), "btd,de->bte"))
            h = h + projected(inside, next(weighted), "btd,de->bte")
        scores = projected(tf.reduce_mean(h, 1), next(weighted), "bd,de->be")
        score = scores[:, target]
    np.testing.assert_allclose(scores, model(x), rtol=1e-8)
    return (point * tape.gradient(score, point)).numpy()


@pytest.mark.parametrize(
    "composite, attends",
    [(AttnLRP(epsilon=TINY, product=Uniform(TINY)), True), (CPLRP(epsilon=TINY, product=SignalTakesAll(TINY)), False)],
)
def test_relevance_is_that_of_modified_gradients(composite, attends, float64):
    model, x = encoder(), samples()
    found = LRP(model, composite=composite)(x, 1).values
    expected = by_modified_gradients(model, x, 1, attends=attends, share=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    # With another share for the factors, the oracle gives something else: the comparison can fail.
    other = by_modified_gradients(model, x, 1, attends=True, share=1.0)
    assert np.abs(found - other).max() > 0.01 * np.abs(found).max()


def test_nothing_is_lost_without_biases(float64):
    x = samples()
    model = encoder(bias=False)
    scores = np.abs(model(x)[:, 1])
    lost = LRP(model, composite=CPLRP(epsilon=TINY, product=SignalTakesAll(TINY)))(x, 1).convergence_delta
    assert (np.abs(lost) <= 1e-6 * scores).all()
    # The expansion of a softmax loses its constant term, which is reported.
    explanation = LRP(model, composite=AttnLRP(epsilon=TINY, product=Uniform(TINY)))(x, 1)
    np.testing.assert_allclose(explanation.values.sum(axis=(1, 2)) + explanation.convergence_delta, model(x)[:, 1], rtol=1e-6)
    assert np.abs(explanation.convergence_delta).max() > 1e-3


def test_padding_gets_nothing_and_differences_add_up():
    model = encoder(mask=True)
    tokens = np.array([[3, 4, 1, 0, 0], [5, 8, 2, 7, 0]])
    for method in (LRP(model, composite=AttnLRP()), DeepLIFT(model)):
        values = method(tokens, 1).values
        assert (values[tokens == 0] == 0).all() and (values[tokens > 0] != 0).all()
    assert np.abs(DeepLIFT(model)(tokens, 1).convergence_delta).max() < 1e-5


# Gates.


def gated(gate):
    """A product of a signal, twice the input, and a gate of the other input."""
    x, y = keras.Input((2,)), keras.Input((2,))
    signal, scale = layers.Dense(2, use_bias=False)(x), layers.Dense(2, use_bias=False)(y)
    model = keras.Model([x, y], ops.sum(signal * gate(scale), axis=1, keepdims=True))
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([2 * np.eye(2)])
    return model


@pytest.mark.parametrize("gate", [ops.sigmoid, ops.softmax, ops.hard_sigmoid, lambda x: 1 - ops.sigmoid(x)])
def test_the_signal_takes_all_of_a_gate(gate):
    model, x = gated(gate), [np.array([[1.0, -2.0]]), np.array([[0.3, 0.4]])]
    score = float(model(x)[0, 0])
    signal, scale = LRP(model)(x).values
    np.testing.assert_allclose(signal.sum(), score, rtol=1e-4)
    assert not scale.any()
    signal, scale = LRP(model, composite=EpsilonPlus(product=Uniform()))(x).values
    np.testing.assert_allclose(signal.sum(), score / 2, rtol=1e-4)
    assert scale.any()


def test_factors_of_one_sort_share():
    model, x = gated(lambda x: x), [np.array([[1.0, -2.0]]), np.array([[0.3, 0.4]])]
    one, other = LRP(model)(x).values
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(one.sum() + other.sum(), float(model(x)[0, 0]), rtol=1e-4)


@pytest.mark.parametrize(
    "normalize",
    [
        lambda x: layers.LayerNormalization(scale=False, center=False, epsilon=1e-9)(x),
        lambda x: _centered(x) * ops.rsqrt(_variance(x)),
        lambda x: _centered(x) / ops.sqrt(_variance(x)),
    ],
    ids=["layer", "product", "quotient"],
)
@pytest.mark.parametrize("composite", [AttnLRP(), EpsilonPlus()], ids=["AttnLRP", "EpsilonPlus"])
def test_divisors_count_as_constants_however_they_are_written(normalize, composite):
    x = keras.Input((4,))
    head = layers.Dense(1)
    model = keras.Model(x, head(normalize(x)))
    head.set_weights([np.array([[1.0], [2.0], [-1.0], [0.5]]), np.zeros(1)])
    point = np.array([[0.3, -1.0, 2.0, 0.7]])
    centered = point - point.mean()
    through = centered / np.sqrt((centered**2).mean()) * head.kernel.numpy()[:, 0]  # of each normalized entry
    shares = np.eye(4) - 0.25  # the contribution of an entry to each centered one
    expected = point * ((through / centered) @ shares)
    np.testing.assert_allclose(LRP(model, composite=composite)(point).values, expected, rtol=1e-3)


def _centered(x):
    return x - ops.mean(x, axis=-1, keepdims=True)


def _variance(x):
    return ops.mean(ops.square(_centered(x)), axis=-1, keepdims=True) + 1e-9


def test_a_normalization_may_pass_relevance_unchanged():
    x = keras.Input((4,))
    model = keras.Model(x, ops.sum(layers.RMSNormalization()(x), axis=1, keepdims=True))
    point = np.array([[0.3, -1.0, 2.0, 0.7]])
    composite = RoleComposite(dense=Epsilon(), convolution=Epsilon(), normalization=Pass())
    np.testing.assert_allclose(LRP(model, composite=composite)(point).values, LRP(model)(point).values, rtol=1e-4)


def test_fused_attention_is_opened_whatever_its_arguments(float64):
    rng = np.random.default_rng(0)
    inputs = [keras.Input((PLACES, heads, 3)) for heads in (4, 2, 2)]
    x = [rng.normal(size=(2, *each.shape[1:])) for each in inputs]
    for arguments in ({}, {"is_causal": True}, {"scale": 0.2}, {"mask": np.tri(PLACES, k=1) > 0}):
        attended = ops.dot_product_attention(*inputs, **arguments)
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attended)))
        delta = DeepLIFT(model)(x, 1).convergence_delta
        assert np.abs(delta).max() < 1e-9
        values = LRP(model, composite=CPLRP(epsilon=TINY, product=SignalTakesAll(TINY)))(x, 1).values
        assert values[2].any()
        assert not values[0].any()  # queries act through attention weights alone


# Bad input.


@pytest.mark.parametrize(
    "rules, message",
    [
        ({"multiply": Epsilon()}, "which take Uniform"),
        ({"softmax": Epsilon()}, "which takes Taylor"),
        ({"dense": Uniform()}, "which take rules such as Epsilon"),
        ({"normalized": SignalTakesAll()}, "which take rules such as Epsilon"),
        ({"multiply": Pass()}, "act on each entry alone"),
    ],
)
def test_a_rule_that_does_not_fit(rules, message):
    x = keras.Input((4,))
    y = layers.LayerNormalization(name="normalized")(layers.Dense(4, name="dense")(x))
    y = layers.Multiply(name="multiply")([y, layers.Softmax(name="softmax")(x)])
    model = keras.Model(x, layers.Dense(2, name="head")(y))
    assert LRP(model)(np.ones((1, 4))).values.shape == (1, 4)
    with pytest.raises(UnsupportedLayerError, match=message):
        LRP(model, composite=AttnLRP(layers=rules))


@pytest.mark.parametrize(
    "make", [lambda: AttnLRP(product=Epsilon()), lambda: RoleComposite(dense=Epsilon(), convolution=Epsilon(), softmax=Pass())]
)
def test_composites_check_their_rules(make):
    with pytest.raises(TypeError, match="Expected `(product|softmax)` to be (a|the) rule of"):
        make()


@pytest.mark.parametrize("make", [lambda: Uniform(stabilizer=0), lambda: AttnLRP(gamma=-1), lambda: CPLRP(epsilon=0)])
def test_numbers_are_checked(make):
    with pytest.raises(ValueError, match="Expected"):
        make()


def test_conditions_computed_from_the_input():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2)(ops.where(ops.greater(x, 0.5), x, 0.1)))
    with pytest.raises(UnsupportedLayerError, match="condition"):
        DeepLIFT(model)
    values = LRP(model)(np.array([[0.0, 1.0, 2.0, 0.3]])).values  # the condition counts as a constant
    assert (values[0, [0, 3]] == 0).all() and (values[0, [1, 2]] != 0).all()


def test_in_half_precision():
    with in_dtype("float32"):
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = encoder()
        finally:
            keras.config.set_dtype_policy("float32")
    values = LRP(model, composite=AttnLRP())(samples(), 1).values
    assert np.isfinite(values).all() and values.any()


def test_taylor_is_the_formula(float64):
    x = keras.Input((4,))
    head = layers.Dense(1, use_bias=False)
    model = keras.Model(x, head(ops.softmax(x)))
    point = np.array([[0.3, -1.0, 2.0, 0.7]])
    weights = head.kernel.numpy()[:, 0]
    probabilities = np.exp(point) / np.exp(point).sum()
    relevance = probabilities * weights
    expected = point * (relevance - probabilities * relevance.sum())
    composite = RoleComposite(dense=Epsilon(TINY), convolution=Epsilon(), softmax=Taylor())
    np.testing.assert_allclose(LRP(model, composite=composite)(point).values, expected, rtol=1e-8)


# Recurrent cells.


def _proportional(contributions, total, relevance):
    """Relevance of inputs in proportion to contributions `(n, inputs, outputs)` to `total`."""
    return (contributions * (relevance / (total + np.where(total < 0, -TINY, TINY)))[:, None]).sum(axis=2)


def lstm_by_loop(cell, head, x, target):
    """The relevance of a sequence by the rules of Arras et al., 2019, step by step; and the scores."""
    kernel, recurrent, bias = (variable.numpy() for variable in (cell.kernel, cell.recurrent_kernel, cell.bias))
    units, steps = recurrent.shape[0], x.shape[1]
    h, c = [np.zeros((len(x), units))], [np.zeros((len(x), units))]
    gates = []
    for t in range(steps):
        into, forget, candidate, out = np.split(x[:, t] @ kernel + h[-1] @ recurrent + bias, 4, axis=1)
        sigmoid = [1 / (1 + np.exp(-each)) for each in (into, forget, out)]
        c.append(sigmoid[1] * c[-1] + sigmoid[0] * np.tanh(candidate))
        h.append(sigmoid[2] * np.tanh(c[-1]))
        gates.append((*sigmoid, candidate))
    of_candidate = slice(2 * units, 3 * units)
    weights = head.kernel.numpy()[:, target]
    scores = h[-1] @ weights + head.bias.numpy()[target]
    of_h = _proportional((h[-1] * weights)[..., None], scores[:, None], scores[:, None])
    of_c, relevance = np.zeros_like(of_h), np.zeros_like(x)
    for t in reversed(range(steps)):
        into, forget, _, candidate = gates[t]
        of_c = of_c + of_h  # neither the output gate nor tanh takes any
        share = of_c / (c[t + 1] + np.where(c[t + 1] < 0, -TINY, TINY))
        of_candidate_now = into * np.tanh(candidate) * share
        of_c = forget * c[t] * share
        relevance[:, t] = _proportional(x[:, t, :, None] * kernel[:, of_candidate], candidate, of_candidate_now)
        of_h = _proportional(h[t][..., None] * recurrent[:, of_candidate], candidate, of_candidate_now)
    return relevance, scores


def test_relevance_of_an_lstm_is_that_of_a_loop(float64):
    head = layers.Dense(3)
    memory = layers.LSTM(4)
    model = keras.Sequential([keras.Input((6, 2)), memory, head])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=each.shape) for each in model.get_weights()])
    x = rng.normal(size=(5, 6, 2))
    expected, scores = lstm_by_loop(memory.cell, head, x, 1)
    np.testing.assert_allclose(model(x)[:, 1], scores, rtol=1e-9)
    found = LRP(model, composite=CPLRP(epsilon=TINY, product=SignalTakesAll(TINY)))(x, 1).values
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    other = LRP(model, composite=AttnLRP(epsilon=TINY))(x, 1).values  # gates take half here
    assert np.abs(other - expected).max() > 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    "recurrent",
    [
        lambda: layers.GRU(3, reset_after=False),
        lambda: layers.GRU(3),
        lambda: layers.Bidirectional(layers.LSTM(3)),
        lambda: layers.SimpleRNN(3),
    ],
    ids=["gru", "gru, reset after", "bidirectional", "simple"],
)
def test_recurrent_layers_lose_nothing_without_biases(recurrent, float64):
    model = keras.Sequential([keras.Input((4, 2)), recurrent(), layers.Dense(2, use_bias=False)])
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    delta = LRP(model, composite=CPLRP(epsilon=TINY, product=SignalTakesAll(TINY)))(x, 1).convergence_delta
    assert (np.abs(delta) < 1e-6).all()
