"""Small transformers for the tests of attention: of texts, of images, and one whose attention is an explicit tensor."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

LENGTH, VOCABULARY, WIDTH, HEADS = 6, 20, 8, 2


def ids(count=3, *, padded=0, seed=0):
    """Token ids, of which the last `padded` are 0."""
    found = np.random.default_rng(seed).integers(1, VOCABULARY, (count, LENGTH)).astype("int32")
    found[:, LENGTH - padded :] = 0
    return found


def block(x, name, **options):
    """A block of an encoder, layer normalization first."""
    y = layers.LayerNormalization(name=f"{name}_norm")(x)
    x = layers.Add(name=f"{name}_add")(
        [x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}_attention")(y, y, **options)]
    )
    y = layers.Dense(WIDTH, activation="gelu", name=f"{name}_wide")(layers.LayerNormalization(name=f"{name}_norm2")(x))
    return layers.Add(name=f"{name}_add2")([x, y])


def text(pool="first", *, blocks=2, mask_zero=False, **options):
    """A classifier of token ids; `pool` is "first", "mean" or a function of the tokens."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
    x = layers.Embedding(VOCABULARY, WIDTH, mask_zero=mask_zero, name="embedding")(tokens)
    for number in range(blocks):
        x = block(x, f"block{number}", **options)
    x = x[:, 0] if pool == "first" else layers.GlobalAveragePooling1D()(x) if pool == "mean" else pool(x)
    return larger(keras.Model(tokens, layers.Dense(3, name="scores")(x), name="text"))


class ClassToken(layers.Layer):
    """A learned token before all others."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x):
        return ops.concatenate([ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1])), x], axis=1)


def image(*, class_token=True, shape=(12, 16, 2)):
    """A vision transformer of patches of 4 x 4 pixels."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, name="image")
    x = layers.Conv2D(WIDTH, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((shape[0] // 4 * (shape[1] // 4), WIDTH))(x)
    x = ClassToken(name="class_token")(x) if class_token else x
    x = block(block(x, "block0"), "block1")
    x = x[:, 0] if class_token else layers.GlobalAveragePooling1D()(x)
    return larger(keras.Model(inputs, layers.Dense(3, name="scores")(x), name="vit"))


def larger(model):
    """The model with weights so large that attention is far from uniform."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        noise = 0.3 * rng.normal(size=variable.shape)
        variable.assign(variable * 2 + noise if len(variable.shape) > 1 else variable + noise)
    return model


def by_hand(model, x, added=None):
    """The embedding, the attention of both blocks, and the scores of `text()`, layer by layer with plain TensorFlow.

    Args:
        model: The model, with `pool="first"` or `"mean"`.
        x: Token ids.
        added: What is added to the attention of each block.
    """
    layer = {each.name: each for each in model.layers}
    tokens, maps = layer["embedding"](x), []
    for number in range(2):
        name = f"block{number}"
        y = layer[f"{name}_norm"](tokens)
        attention = layer[f"{name}_attention"]
        query, key, value = (
            tf.einsum("btc,chd->bthd", y, dense.kernel.value) + dense.bias.value
            for dense in (attention._query_dense, attention._key_dense, attention._value_dense)
        )
        weights = tf.nn.softmax(tf.einsum("bthd,bshd->bhts", query, key) / np.sqrt(WIDTH // HEADS), axis=-1)
        weights = weights if added is None else weights + added[number]
        maps.append(weights)
        mixed = tf.einsum("bhts,bshd->bthd", weights, value)
        output = attention._output_dense
        tokens = tokens + tf.einsum("bthd,hdc->btc", mixed, output.kernel.value) + output.bias.value
        tokens = tokens + layer[f"{name}_wide"](layer[f"{name}_norm2"](tokens))
    return maps, tokens
