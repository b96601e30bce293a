"""Attention maps against those that layers return, and against softmaxes by hand."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.features import AttentionMaps, attention_maps
from tests.attribution.transformers import LENGTH, VOCABULARY, WIDTH, block, by_hand, ids, image, text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, LENGTH, WIDTH)).astype("float32")


def model(call, *shapes):
    """A classifier of one attention."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input(shape) for shape in shapes or [(LENGTH, WIDTH)]]
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(call(*inputs))))


def rows_sum_to_one(found):
    return all(np.allclose(each.sum(axis=-1), 1, atol=1e-6) and (each >= 0).all() for each in found.maps.values())


@pytest.mark.parametrize("options", [{}, {"use_causal_mask": True}])
def test_maps_are_those_that_the_layer_returns(options):
    attention = layers.MultiHeadAttention(3, 4, name="attention", dropout=0.5)
    network = model(lambda x: attention(x, x, **options))
    found = attention_maps(network, X)
    _, expected = attention(X, X, return_attention_scores=True, **options)
    assert list(found.maps) == ["attention"] and found.maps["attention"].dtype == "float32"
    np.testing.assert_allclose(found.maps["attention"], expected, atol=1e-6)
    assert rows_sum_to_one(found) and np.ptp(expected) > 0.1
    assert np.abs(found.maps["attention"] - np.swapaxes(expected, 2, 3)).max() > 0.05  # queries are before keys


def test_cross_attention():
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    other = RNG.normal(size=(3, 4, 5)).astype("float32")
    network = model(attention, (LENGTH, WIDTH), (4, 5))
    _, expected = attention(X, other, return_attention_scores=True)
    found = attention_maps(network, [X, other])
    np.testing.assert_allclose(found.maps["attention"], expected, atol=1e-6)
    assert found.maps["attention"].shape == (3, 2, LENGTH, 4) and found.inputs.shape == (3, 4, 5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Attention(use_scale=True, name="attention"),
        lambda: layers.Attention(score_mode="concat", name="attention"),
        lambda: layers.AdditiveAttention(name="attention"),
    ],
    ids=["dot", "concat", "additive"],
)
def test_single_attention(make):
    attention = make()
    network = model(lambda x: attention([x, x]))
    _, expected = attention([X, X], return_attention_scores=True)
    found = attention_maps(network, X)
    np.testing.assert_allclose(found.maps["attention"][:, 0], expected, atol=1e-6)
    assert found.maps["attention"].shape == (3, 1, LENGTH, LENGTH) and rows_sum_to_one(found)


def test_grouped_queries():
    attention = layers.GroupQueryAttention(4, 4, 2, name="attention")
    network = model(lambda x: attention(x, x))
    _, expected = attention(X, X, return_attention_scores=True)
    np.testing.assert_allclose(attention_maps(network, X).maps["attention"], expected, atol=1e-6)


class Handwritten(layers.Layer):
    """Attention of two heads by `keras.ops`, in one of several ways to write it."""

    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way
        self.projections = [layers.Dense(WIDTH, name=name) for name in ("query", "key", "value")]

    def build(self, shape):
        for each in self.projections:
            each.build(shape)

    def heads(self, x):
        return ops.reshape(x, (-1, LENGTH, 2, WIDTH // 2))

    def attended(self, query, key):
        return ops.softmax(ops.einsum("bqhc,bkhc->bhqk", query, key) / 2.0, axis=-1)

    def call(self, x):
        query, key, value = (self.heads(each(x)) for each in self.projections)
        if self.way == "einsum":
            y = ops.einsum("bhqk,bkhc->bqhc", self.attended(query, key), value)
        elif self.way == "matmul":
            y = ops.transpose(ops.matmul(self.attended(query, key), ops.transpose(value, (0, 2, 1, 3))), (0, 2, 1, 3))
        elif self.way == "values first":
            scores = ops.einsum("bqhc,bkhc->bhkq", query, key) / 2.0
            y = ops.matmul(ops.transpose(value, (0, 2, 3, 1)), ops.softmax(scores, axis=2))
            y = ops.transpose(y, (0, 3, 1, 2))
        elif self.way == "heads last":
            scores = ops.einsum("bqhc,bkhc->bqkh", query, key) / 2.0
            y = ops.einsum("bqkh,bkhc->bqhc", ops.softmax(scores, axis=2), value)
        elif self.way == "ellipsis":
            y = ops.einsum("...qk,...kc->...qc", self.attended(query, key), ops.transpose(value, (0, 2, 1, 3)))
            y = ops.transpose(y, (0, 2, 1, 3))
        else:
            y = ops.dot_product_attention(query, key, value)
        return ops.reshape(y, (-1, LENGTH, WIDTH))


@pytest.mark.parametrize("way", ["einsum", "matmul", "values first", "heads last", "ellipsis", "fused"])
def test_attention_of_your_own(way):
    layer = Handwritten(way, name="own")
    network = model(layer)
    query, key, _ = (layer.heads(each(X)) for each in layer.projections)
    found = attention_maps(network, X)
    np.testing.assert_allclose(found.maps["own"], layer.attended(query, key), atol=1e-6)
    assert attention_maps(network, X, [layer]) == found


def test_attention_of_layers_in_a_functional_model():
    keras.utils.set_random_seed(0)
    x = keras.Input((LENGTH, WIDTH))
    query, key, value = (layers.Dense(WIDTH, name=name)(x) for name in ("query", "key", "value"))
    weights = layers.Softmax(name="weights")(layers.Dot(axes=2)([query, key]))
    mixed = layers.Dot(axes=(2, 1))([layers.Dropout(0.5)(weights), value])
    network = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(mixed)))
    expected = keras.Model(x, weights)(X)
    np.testing.assert_allclose(attention_maps(network, X).maps["weights"][:, 0], expected, atol=1e-6)


def test_two_axes_of_tokens():
    x = RNG.normal(size=(2, 3, 4, WIDTH)).astype("float32")
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    inputs = keras.Input((3, 4, WIDTH))
    network = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(attention(inputs, inputs))))
    _, expected = attention(x, x, return_attention_scores=True)
    np.testing.assert_allclose(attention_maps(network, x).maps["attention"], np.reshape(expected, (2, 2, 12, 12)), atol=1e-6)


def test_time_steps_count_as_heads():
    x = RNG.normal(size=(3, 2, LENGTH, WIDTH)).astype("float32")
    attention = layers.MultiHeadAttention(2, 4, name="inside")
    inner = keras.Input((LENGTH, WIDTH))
    inputs = keras.Input((2, LENGTH, WIDTH))
    y = layers.TimeDistributed(keras.Model(inner, attention(inner, inner)))(inputs)
    network = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    (found,) = attention_maps(network, x).maps.values()
    _, expected = attention(x.reshape(6, LENGTH, WIDTH), x.reshape(6, LENGTH, WIDTH), return_attention_scores=True)
    np.testing.assert_allclose(found, np.reshape(expected, (3, 4, LENGTH, LENGTH)), atol=1e-6)


def test_layers_in_order_of_the_model_and_by_choice():
    network, x = text(), ids()
    found = attention_maps(network, x)
    expected, _ = by_hand(network, x)
    assert list(found.maps) == ["block0_attention", "block1_attention"]
    for each, weights in zip(found.maps.values(), expected, strict=True):
        np.testing.assert_allclose(each, weights, atol=1e-5)
    np.testing.assert_array_equal(found.inputs, x)
    chosen = attention_maps(network, x, [network.get_layer("block1_attention"), "block0_attention"])
    assert list(chosen.maps) == ["block1_attention", "block0_attention"]
    np.testing.assert_array_equal(chosen.maps["block1_attention"], found.maps["block1_attention"])


def test_a_path_around_several():
    inputs = keras.Input((LENGTH, WIDTH))
    encoder = keras.Model(inputs, block(block(inputs, "one"), "two"), name="encoder")
    network = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(block(encoder(inputs), "three"))))
    assert list(attention_maps(network, X, ["encoder"]).maps) == ["encoder/one_attention", "encoder/two_attention"]
    assert list(attention_maps(network, X).maps)[2] == "three_attention"


def test_batches_change_nothing():
    network, x = text(), ids(7)
    one, other = (attention_maps(network, x, batch_size=size) for size in (7, 2))
    for path in one.maps:
        np.testing.assert_allclose(one.maps[path], other.maps[path], atol=1e-5)
    np.testing.assert_array_equal(one.inputs, other.inputs)


def test_padding_has_no_weight():
    found = attention_maps(text("mean", mask_zero=True), ids(padded=2))
    for each in found.maps.values():
        assert (each[:, :, : LENGTH - 2, LENGTH - 2 :] == 0).all()
    assert rows_sum_to_one(found)


def test_open_sizes():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32")
    y = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    network = keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(Opened(name="opened")(y))))
    for length in (4, 5):
        found = attention_maps(network, ids()[:, :length])
        assert found.maps["opened/attention"].shape == (3, 2, length, length) and rows_sum_to_one(found)


class Opened(layers.Layer):
    """Attention in a layer that can only be opened at a known length."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, name="attention")

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        positions = np.sin(np.arange(x.shape[1] or 1))[:, None]
        return self.attention(x + ops.cast(positions, x.dtype), x)


def test_texts_of_words():
    words = layers.TextVectorization(vocabulary=["a", "b", "c", "d"])
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,), dtype="string")
    y = layers.Embedding(6, WIDTH, mask_zero=True)(words(inputs))
    y = layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    network = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))
    found = attention_maps(network, np.array([["a b c"], ["d a"], ["c b a d"]]), batch_size=1)
    assert found.inputs.tolist() == [["a", "b", "c", ""], ["d", "a", "", ""], ["c", "b", "a", "d"]]
    maps = found.maps["attention"]
    assert maps.shape == (3, 2, 4, 4)
    np.testing.assert_allclose(maps[1, :, :2, :2].sum(axis=-1), 1, atol=1e-6)
    assert (maps[1, :, :2, 2:] == 0).all()
    batches = attention_maps(network, tf.data.Dataset.from_tensor_slices([["a b c"], ["d a"], ["c b a d"]]).batch(1))
    assert batches.inputs.tolist() == found.inputs.tolist()  # of three lengths
    np.testing.assert_allclose(batches.maps["attention"][1, :, :2], maps[1, :, :2], atol=1e-6)
    assert (batches.maps["attention"][1, :, 2:] == 0).all()


def test_patches_of_an_image():
    x = RNG.normal(size=(2, 12, 16, 2)).astype("float32")
    found = attention_maps(image(), x)
    assert found.patches == {"block0_attention": (1, 3, 4), "block1_attention": (1, 3, 4)} and found.layout == "NHWC"
    assert attention_maps(image(class_token=False), x).patches["block0_attention"] == (0, 3, 4)


def test_weights_that_are_no_attention():
    """A softmax that is no product with values, and one whose product sums over another axis."""
    x = keras.Input((LENGTH, WIDTH))
    gate = layers.Multiply()([x, layers.Softmax(name="gate")(layers.Dense(WIDTH)(x))])
    classes = ops.matmul(ops.transpose(layers.Softmax(name="classes")(x), (0, 2, 1)), x)
    network = keras.Model(x, [gate, classes], name="gated")
    with pytest.raises(ValueError, match="with attention.*'gated', which consists of .*Softmax"):
        attention_maps(network, X)


@pytest.mark.parametrize(
    "given, message",
    [
        (["zz"], r"\['block0_attention', 'block1_attention'\].*'zz', which is the path of no layer"),
        (["scores"], r"\['block0_attention', 'block1_attention'\].*'scores', which has none"),
        (["block0_attention", "block0_wide"], "'block0_wide', which has none"),
        ("block0_attention", "list of different paths"),
        ([layers.Dense(2)], "that the model calls"),
    ],
)
def test_refused_layers(given, message):
    with pytest.raises(ValueError, match=message):
        attention_maps(text(), ids(), given)


def test_refused_models():
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2, "softmax")], name="plain")
    with pytest.raises(ValueError, match="with attention.*'plain', which consists of Dense, ReLU"):
        attention_maps(plain, np.ones((2, 4)))
    with pytest.raises(TypeError, match="keras.Model"):
        attention_maps(lambda x: x, X)
    broken = text()
    broken.get_layer("block1_attention")._query_dense.kernel.assign(np.full((WIDTH, 2, 4), np.nan))
    with pytest.raises(ValueError, match="NaN"):
        attention_maps(broken, ids())


def test_kept(tmp_path):
    found = attention_maps(image(), RNG.normal(size=(2, 12, 16, 2)).astype("float32"))
    found.save(tmp_path / "maps")
    assert AttentionMaps.load(tmp_path / "maps") == found == pickle.loads(pickle.dumps(found))
    assert repr(found) == "<AttentionMaps of 'vit': 2 layers, 2 samples>"
    assert found[1].maps["block0_attention"].shape == (1, 2, 13, 13)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "gpt2", "vit", "roberta", "distilbert", "gemma", "segformer"])
def test_keras_hub(name):
    pytest.importorskip("keras_hub")
    from tests.today.networks import NETWORKS, model_of

    network = NETWORKS[name]
    whole = model_of(network)
    found = attention_maps(whole, network.x)
    assert rows_sum_to_one(found) and all("attention" in path or "mha" in path for path in found.maps)
    if isinstance(network.x, dict):
        (maps,) = found.maps.values()
        padded = network.x["padding_mask"] == 0
        assert (maps.transpose(0, 3, 1, 2)[padded] == 0).all() and padded.any()
