"""Attention rollout and gradient rollout against loops over explicit attention tensors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.attribution import AttentionRollout, GradientRollout, explain_generation
from keras_xai.targets import Token
from tests.attribution.transformers import HEADS, LENGTH, VOCABULARY, WIDTH, ClassToken, block, by_hand, ids, image, text

METHODS = [AttentionRollout, GradientRollout]
NUM_TOKENS = 12


@functools.cache
def model(name):
    return {"first": text, "mean": lambda: text("mean"), "image": image, "pooled": lambda: image(class_token=False)}[name]()


def scores_by_hand(name, tokens):
    pooled = tokens[:, 0] if name == "first" else tf.reduce_mean(tokens, axis=1)
    return model(name).get_layer("scores")(pooled)


def maps_and_gradients(name, x, target):
    """The attention of both blocks, and the derivative of the score by it, by a plain tape."""
    zeros = [tf.zeros((len(x), HEADS, LENGTH, LENGTH)) for _ in range(2)]
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        maps, tokens = by_hand(model(name), x, zeros)
        score = tf.reduce_sum(scores_by_hand(name, tokens)[:, target])
    np.testing.assert_allclose(scores_by_hand(name, tokens), model(name)(x), atol=1e-5)  # it is the same model
    return [each.numpy() for each in maps], [each.numpy() for each in tape.gradient(score, zeros)]


def rollout(maps, residual=0.5):
    """Abnar and Zuidema's matrices R, `(n, tokens, tokens)`."""
    found = []
    for sample in zip(*maps, strict=True):
        matrix = np.eye(LENGTH)
        for weights in sample:
            mixed = (1 - residual) * weights.mean(axis=0) + residual * np.eye(LENGTH)
            matrix = mixed / mixed.sum(axis=-1, keepdims=True) @ matrix
        found.append(matrix)
    return np.array(found)


def chefer(maps, gradients, rectify=lambda x: np.maximum(x, 0)):
    """Chefer, Gur and Wolf's matrices R without the identity, `(n, tokens, tokens)`."""
    found = []
    for sample in range(len(maps[0])):
        matrix = np.eye(LENGTH)
        for weights, gradient in zip(maps, gradients, strict=True):
            mean = np.zeros((LENGTH, LENGTH))
            for head in range(HEADS):
                mean += rectify(gradient[sample, head] * weights[sample, head]) / HEADS
            matrix = matrix + mean @ matrix
        found.append(matrix - np.eye(LENGTH))
    return np.array(found)


def read(name, matrices):
    """The row of the class token, or the mean of all."""
    return matrices[:, 0] if name == "first" else matrices.mean(axis=1)


@pytest.mark.parametrize("name", ["first", "mean"])
def test_rollout_is_the_product_of_a_loop(name):
    x = ids()
    maps, _ = maps_and_gradients(name, x, 1)
    found = AttentionRollout(model(name))(x, target=1)
    np.testing.assert_allclose(found.values, read(name, rollout(maps)), atol=1e-6)
    np.testing.assert_allclose(found.values.sum(axis=1), 1, atol=1e-6)
    assert found.num_forward_passes == 2
    # Without the residual connection it is another product, and so is that of one layer.
    assert np.abs(found.values - read(name, rollout(maps, residual=0))).max() > 1e-2
    assert np.abs(found.values - read(name, rollout(maps[:1]))).max() > 1e-2


@pytest.mark.parametrize("name", ["first", "mean"])
@pytest.mark.parametrize("target", [0, 2])
def test_gradient_rollout_is_the_sum_of_a_loop(name, target):
    x = ids()
    maps, gradients = maps_and_gradients(name, x, target)
    found = GradientRollout(model(name))(x, target=target).values
    expected = read(name, chefer(maps, gradients))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert (found >= 0).all() and found.max() > 1e-3
    # Without the ReLU, and with attention that ignores what passes through that of later layers, it is something else.
    assert np.abs(found - read(name, chefer(maps, gradients, rectify=lambda each: each))).max() > 0.05 * expected.max()


def test_the_derivative_passes_through_the_attention_of_later_layers():
    """Held constant in the second block, attention has another derivative in the first, which the oracle would notice."""
    x = ids()
    maps, gradients = maps_and_gradients("first", x, 1)
    zeros = tf.zeros_like(maps[0])
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        computed, _ = by_hand(model("first"), x, [zeros, tf.zeros_like(zeros)])
        _, tokens = by_hand(model("first"), x, [zeros, maps[1] - computed[1]])  # a constant in all
        score = tf.reduce_sum(scores_by_hand("first", tokens)[:, 1])
    wrong = [tape.gradient(score, zeros).numpy(), gradients[1]]
    found = GradientRollout(model("first"))(x, target=1).values
    assert np.abs(found - read("first", chefer(maps, wrong))).max() > 1e-2 * found.max()


def test_rollout_does_not_depend_on_the_class_and_gradient_rollout_does():
    x = ids()
    one, other = (AttentionRollout(model("first"))(x, target=target).values for target in (0, 2))
    np.testing.assert_array_equal(one, other)
    one, other = (GradientRollout(model("first"))(x, target=target).values for target in (0, 2))
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_the_patches_of_an_image(method):
    x = np.random.default_rng(0).normal(size=(2, 12, 16, 2)).astype("float32")
    values = method(model("image"))(x, target=1).values
    assert values.shape == (2, 12, 16, 1) and values.min() >= 0
    # By 4 times in each direction: the mean over each patch's cells tells which patch is the largest.
    attention = _single_block_row(x, method)
    single = method(_single_block())(x, target=1).values
    places = single[:, 1::4, 1::4, 0] + single[:, 2::4, 2::4, 0]
    assert (places.reshape(2, -1).argmax(axis=1) == attention.argmax(axis=1)).all()


@functools.cache
def _single_block():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 16, 2))
    x = layers.Reshape((NUM_TOKENS, WIDTH))(layers.Conv2D(WIDTH, 4, strides=4)(inputs))
    x = ClassToken()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(1, WIDTH, name="attention")(x, x)])
    return keras.Model(inputs, layers.Dense(3)(x[:, 0]))


def _single_block_row(x, method):
    """The attention of the class token to the patches, with its derivative by finite differences for `GradientRollout`."""
    single = _single_block()
    attention = single.get_layer("attention")
    tokens = keras.Model(single.input, attention.input[0])(x)
    _, weights = attention(tokens, tokens, return_attention_scores=True)
    row = ops.convert_to_numpy(weights)[:, 0, 0]
    if method is AttentionRollout:
        return row[:, 1:]
    value = ops.convert_to_numpy(attention._value_dense(tokens))[:, :, 0]
    kernel = ops.convert_to_numpy(attention._output_dense.kernel)[0] @ ops.convert_to_numpy(single.layers[-1].kernel)
    return np.maximum(row * (value @ kernel[:, 1]), 0)[:, 1:]


def test_one_block_is_half_the_attention_of_the_class_token():
    """At the centers of a grid of 1 x 1 pixels nothing is interpolated."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 4, 2))
    x = ClassToken()(layers.Reshape((12, WIDTH))(layers.Conv2D(WIDTH, 1)(inputs)))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    small = keras.Model(inputs, layers.Dense(3)(x[:, 0]))
    given = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32")
    tokens = keras.Model(small.input, small.get_layer("attention").input[0])(given)
    _, weights = small.get_layer("attention")(tokens, tokens, return_attention_scores=True)
    expected = ops.convert_to_numpy(weights).mean(axis=1)[:, 0, 1:].reshape(2, 3, 4, 1) / 2
    np.testing.assert_allclose(AttentionRollout(small)(given, target=0).values, expected, atol=1e-6)
    turned = np.abs(AttentionRollout(small)(given[:, :, ::-1], target=0).values - expected).max()
    assert turned > 1e-3  # it would show if the grid were read in another order


def test_channels_first():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 12, 16))
    moved = layers.Permute((2, 3, 1))(inputs)
    other = keras.Model(inputs, model("image")(moved))
    x = np.random.default_rng(0).normal(size=(2, 12, 16, 2)).astype("float32")
    for method in METHODS:
        expected = method(model("image"))(x, target=1).values
        found = method(other)(x.transpose(0, 3, 1, 2), target=1).values
        np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_padding_has_no_value(method):
    network = text("mean", mask_zero=True)
    x = ids(padded=2)
    values = method(network)(x, target=1).values
    assert (values[:, LENGTH - 2 :] == 0).all() and (values[:, : LENGTH - 2] > 0).any(axis=1).all()
    if method is AttentionRollout:  # all of the rest is among the tokens that count
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)


def test_causal_attention_is_read_at_the_token_of_the_target():
    network = text(lambda x: x, use_causal_mask=True)
    values = AttentionRollout(network)(ids(), target=Token(3, 1)).values
    assert (values[:, 4:] == 0).all() and (values[:, :4] > 0).all()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    assert (AttentionRollout(network)(ids(), target=Token(5, 1)).values > 0).all()


def test_a_series_and_half_precision():
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype("float32")

    def build():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((7, 2))
        y = block(layers.Dense(WIDTH)(inputs), "block0")
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(y)))

    before = keras.config.dtype_policy()
    whole = build()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        half = build()
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(whole.get_weights())
    for method in METHODS:
        values = method(whole)(x, target=1).values
        assert values.shape == (3, 7, 1) and values.any()
        np.testing.assert_allclose(method(half)(x, target=1).values, values, atol=2e-3 * np.abs(values).max())


def test_fused_attention(monkeypatch):
    """Where Keras runs attention as one operation, without weights, they are computed again."""
    whole, calls = ops.dot_product_attention, []

    def counted(*args, **kwargs):
        calls.append(1)
        return whole(*args, **kwargs)

    keras.utils.set_random_seed(0)
    tokens = keras.Input((LENGTH,), dtype="int32")
    embedding, attention = layers.Embedding(VOCABULARY, WIDTH), layers.MultiHeadAttention(2, 4)
    x = embedding(tokens)
    network = keras.Model(tokens, layers.Dense(3)(layers.Add()([x, attention(x, x)])[:, 0]))
    vectors = embedding(ids())
    monkeypatch.setattr("keras.src.ops.dot_product_attention", counted)
    _, nothing = attention._compute_attention(*[ops.ones((1, LENGTH, 2, 4))] * 3)
    assert calls and nothing is None  # it is fused
    monkeypatch.undo()
    _, weights = attention(vectors, vectors, return_attention_scores=True)
    expected = (ops.convert_to_numpy(weights).mean(axis=1)[:, 0] + np.eye(LENGTH)[0]) / 2
    np.testing.assert_allclose(AttentionRollout(network)(ids(), target=0).values, expected, atol=1e-6)
    assert GradientRollout(network)(ids(), target=0).values.any()


def test_several_outputs_are_checked_where_they_are_explained():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    other = layers.Dense(2, name="plain")(layers.GlobalAveragePooling1D()(x))
    network = keras.Model(tokens, {"attended": layers.Dense(3, name="attended")(block(x, "block0")[:, 0]), "plain": other})
    method = AttentionRollout(network)
    assert method(ids(), target={"attended": 1}).values.any()
    with pytest.raises(ValueError, match="score that depends on attention.*'block0_attention'"):
        method(ids(), target={"plain": 1})


def _no_attention():
    return keras.Sequential([keras.Input((8,)), layers.Dense(4, "relu"), layers.Dense(3)], name="plain")


def _cross():
    one, other = keras.Input((LENGTH, WIDTH), name="one"), keras.Input((LENGTH, WIDTH), name="other")
    x = layers.MultiHeadAttention(2, 4, name="cross")(one, other)
    return keras.Model([one, other], layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def _pooled_keys():
    x = keras.Input((LENGTH, WIDTH))
    y = layers.MultiHeadAttention(2, 4, name="reduced")(x, layers.AveragePooling1D(2)(x))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def _merged_tokens():
    x = keras.Input((LENGTH, WIDTH))
    y = layers.AveragePooling1D(2)(block(x, "fine"))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(block(y, "coarse"))))


def _branches():
    x = keras.Input((LENGTH, WIDTH))
    joined = layers.Concatenate()([block(x, "left"), block(x, "right")])
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(joined)))


def _windows():
    x = keras.Input((2, LENGTH, WIDTH))
    y = layers.TimeDistributed(_window())(x)
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)))


def _window():
    x = keras.Input((LENGTH, WIDTH))
    return keras.Model(x, layers.MultiHeadAttention(2, 4, name="inside")(x, x))


def _unlocated():
    x = keras.Input((12, 3))
    y = block(layers.Conv1D(WIDTH, 2, strides=2)(x), "block0")
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)), name="strided")


REFUSED = {
    "no attention": (_no_attention, "with attention.*'plain', which consists of Dense, ReLU"),
    "cross-attention": (_cross, "'cross'.* as in cross-attention"),
    "fewer keys": (_pooled_keys, "'reduced'.*6 queries and 3 keys"),
    "fewer tokens": (_merged_tokens, "'coarse_attention'.*3 tokens, unlike 'fine_attention' with 6"),
    "branches": (_branches, "'(left|right)_attention'.*in another branch of the model than '(left|right)_attention'"),
    "windows": (_windows, "inside'.*2 parts of a sample separately"),
    "unlocated": (_unlocated, r"located.*'block0_attention' of 'strided', with 6 tokens.*\(12, 3\)"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_any_work(name, method, monkeypatch):
    build, message = REFUSED[name]
    network = build()
    monkeypatch.setattr("keras_xai.network.network.Network.run", lambda *args, **kwargs: pytest.fail("the model has run"))
    with pytest.raises(ValueError, match=message) as info:
        method(network)
    assert "`Occlusion`" in str(info.value)


def test_no_tokens_are_read_from_a_score_that_depends_on_none():
    network = text()
    network.get_layer("scores").kernel.assign(np.zeros((WIDTH, 3)))
    for method in METHODS:
        assert not method(network)(ids(), target=1).values.any()


def test_generated_text():
    tokens = keras.Input((None,), dtype="int32")
    keras.utils.set_random_seed(0)
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)])
    network = keras.Model(tokens, layers.Dense(VOCABULARY)(x))
    found = explain_generation(GradientRollout(network), [1, 2, 3], generated=[4, 5])
    assert found.values.shape == (2, 5) and (found.values[0, :3] >= 0).all() and found.values[0, :3].any()


class _Handwritten(layers.Layer):
    """Attention of one head whose weights are made of products by a function."""

    def __init__(self, weights, **options):
        super().__init__(**options)
        self._weights = weights
        self._query, self._key, self._value = (layers.Dense(WIDTH, name=name) for name in ("query", "key", "value"))

    def build(self, shape):
        for each in (self._query, self._key, self._value):
            each.build(shape)

    def maps(self, x):
        products = ops.matmul(self._query(x), ops.transpose(self._key(x), (0, 2, 1)))
        return self._weights(products / np.sqrt(WIDTH))  # which makes them float64

    def call(self, x):
        return ops.matmul(self.maps(x), self._value(x))


def _by_exp(products):
    found = ops.exp(products - ops.max(products, axis=-1, keepdims=True))
    return found / ops.sum(found, axis=-1, keepdims=True)


_SERIES = np.random.default_rng(0).normal(size=(3, LENGTH, WIDTH)).astype("float32")


def _two(first, second, between=lambda x: x):
    keras.utils.set_random_seed(0)
    x = keras.Input((LENGTH, WIDTH))
    y = between(layers.Add()([x, first(x)]))
    y = layers.Add()([y, second(y)])
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def _attending(name):
    attention = layers.MultiHeadAttention(2, 4, name=name)
    return lambda x: attention(x, x)


@pytest.mark.parametrize("method", METHODS)
def test_attention_of_float64_within_a_model_of_float32(method):
    first, second = _Handwritten(ops.softmax, name="first"), _Handwritten(ops.softmax, name="second")
    network = _two(first, second)
    values = method(network)(_SERIES, target=1).values[..., 0]
    kernel = network.layers[-1].kernel
    zeros = [tf.zeros((3, LENGTH, LENGTH)) for _ in range(2)]
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        y, maps = tf.constant(_SERIES), []
        for each, zero in zip((first, second), zeros, strict=True):
            maps.append(tf.cast(each.maps(y), "float32") + zero)
            y = y + maps[-1] @ each._value(y)
        score = tf.reduce_sum((tf.reduce_mean(y, axis=1) @ kernel)[:, 1])
    gradients = [each.numpy()[:, None] for each in tape.gradient(score, zeros)]
    maps = [each.numpy()[:, None] for each in maps]
    if method is AttentionRollout:
        expected = rollout(maps).mean(axis=1)
    else:
        expected = np.zeros((3, LENGTH))
        for i in range(3):
            matrix = np.eye(LENGTH)
            for weights, gradient in zip(maps, gradients, strict=True):
                matrix = matrix + np.maximum(weights[i, 0] * gradient[i, 0], 0) @ matrix
            expected[i] = (matrix - np.eye(LENGTH)).mean(axis=0)
    np.testing.assert_allclose(values, expected, atol=1e-5 * expected.max())


BETWEEN = {
    "flip": lambda x: x[:, ::-1],
    "shift": lambda x: ops.roll(x, 1, axis=1),
    "convolution": layers.Conv1D(WIDTH, 3, padding="same"),
    "recurrent": layers.LSTM(WIDTH, return_sequences=True),
    "tokens mixed by dense": lambda x: layers.Permute((2, 1))(layers.Dense(LENGTH)(layers.Permute((2, 1))(x))),
    "attention by sigmoid": lambda x: x + _Handwritten(ops.sigmoid)(x),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BETWEEN)
def test_tokens_that_something_else_mixes_are_refused(name, method):
    network = _two(_attending("one"), _attending("two"), BETWEEN[name])
    with pytest.raises(ValueError, match="mixed by attention only.*a token after 'one' changes others before 'two'"):
        method(network)(_SERIES, target=1)


@pytest.mark.parametrize("between", [layers.BatchNormalization(), layers.LayerNormalization(), layers.Dense(WIDTH, "gelu")])
def test_tokens_that_stay_apart_between_attention_are_not_refused(between):
    network = _two(_attending("one"), _attending("two"), between)
    for method in METHODS:
        assert method(network)(_SERIES, target=1).values.any()


@pytest.mark.parametrize("weights", [_by_exp, ops.sigmoid], ids=["exp", "sigmoid"])
def test_attention_that_is_not_found_is_refused(weights):
    """Rollout over the rest would be wrong."""
    with pytest.raises(ValueError, match="no product of two tensors.* attention layer, 'one'.*'by_hand.matmul"):
        AttentionRollout(_two(_attending("one"), _Handwritten(weights, name="by_hand")))
    with pytest.raises(ValueError, match="tokens that are those of the input.*'one'.*each of them on all"):
        AttentionRollout(_two(_Handwritten(weights), _attending("one")))(_SERIES, target=1)


def _moved(name):
    keras.utils.set_random_seed(0)
    is_image = name.startswith("patches")
    x = keras.Input((9, 9, 2) if is_image else (LENGTH, WIDTH))
    y = layers.Conv2D(WIDTH, 3, strides=3)(x) if is_image else x
    if name == "patches by columns":
        y = layers.Permute((2, 1, 3))(y)
    y = layers.Reshape((9, WIDTH))(y) if is_image else y
    if name == "all of all":
        y = layers.Reshape((LENGTH, WIDTH))(layers.Dense(LENGTH * WIDTH)(layers.Flatten()(y)))
    if name in ("patches backward", "backward"):
        y = y[:, ::-1]
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    y = layers.Add()([y, attention(y, y[:, ::-1] if name == "keys backward" else y)])
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


@pytest.mark.parametrize("name", ["patches by columns", "patches backward", "backward", "keys backward", "all of all"])
def test_tokens_that_are_not_at_their_place_are_refused(name):
    network = _moved(name)
    x = np.random.default_rng(0).normal(size=(2, *network.input_shape[1:])).astype("float32")
    with pytest.raises(ValueError, match="tokens that are those of the input, in their order.*'attention'"):
        AttentionRollout(network)(x, target=1)


def test_tokens_after_a_local_convolution_are_at_their_place():
    keras.utils.set_random_seed(0)
    x = keras.Input((LENGTH, WIDTH))
    y = layers.Conv1D(WIDTH, 3, padding="same")(x)
    network = keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(y, y))))
    assert AttentionRollout(network)(_SERIES, target=1).values.any()
