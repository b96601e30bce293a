"""Masks that Keras attaches to tensors reach the layers that read them, also beside masks that are given, and inside blocks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.attribution import IntegratedGradients
from keras_xai.features import attention_maps
from keras_xai.graph import trace
from keras_xai.graph.calls import run
from keras_xai.kinds.expansion import expand

TOKENS = np.array([[3, 1, 4, 0, 0], [2, 0, 5, 5, 0]], "int32")
GIVEN = np.tril(np.ones((1, 5, 5), bool))


def _attend(**options):
    attention = layers.MultiHeadAttention(2, 4)
    return lambda x: attention(x, x, **options)


class Around(layers.Layer):
    """A layer that calls another, and passes masks on."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner
        self.wide = layers.Dense(8, activation="relu")
        self.supports_masking = True

    def call(self, x):
        return self.inner(self.wide(x), self.wide(x), use_causal_mask=True)


class Reads(layers.Layer):
    """A layer of one's own with a mask among its arguments."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        return x if mask is None else x * keras.ops.cast(mask, x.dtype)[..., None]


CASES = {
    "attached": _attend,
    "causal": lambda: _attend(use_causal_mask=True),
    "not causal": lambda: _attend(use_causal_mask=False),
    "beside a given one": lambda: _attend(attention_mask=GIVEN),
    "in a block": lambda: Around(layers.MultiHeadAttention(2, 4)),
    "own": lambda: Reads(),
    "recurrent": lambda: layers.LSTM(8, return_sequences=True),
}


@pytest.mark.parametrize("case", CASES)
def test_masks_count_as_in_the_model(case):
    keras.utils.set_random_seed(0)
    ids = keras.Input((5,), dtype="int32")
    embedding, read = layers.Embedding(7, 8, mask_zero=True), CASES[case]()
    x = read(embedding(ids))
    model = keras.Model(ids, layers.Dense(2)(layers.Flatten()(x)))
    expected = keras.ops.convert_to_numpy(model(TOKENS))
    for graph in (trace(model), expand(trace(model))):
        np.testing.assert_allclose(run(graph, [keras.ops.convert_to_tensor(TOKENS)])[0], expected, rtol=1e-4, atol=1e-5)
    embedding.mask_zero = False  # the masks matter: without them, the scores are others
    plain = keras.Model(ids, layers.Dense(2)(layers.Flatten()(read(embedding(ids)))))
    plain.set_weights(model.get_weights())
    assert np.abs(keras.ops.convert_to_numpy(plain(TOKENS)) - expected).max() > 1e-3
    embedding.mask_zero = True
    assert IntegratedGradients(model)(TOKENS, target=1).values.any()  # compares the scores with those of the model


@pytest.mark.parametrize("normalized", ["before", "after", "nowhere"])
def test_attention_removes_the_masks_of_its_arguments_as_in_keras(normalized):
    """`MultiHeadAttention` removes them when it runs: after a residual connection around it, the next attention sees padding."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 8, mask_zero=True, embeddings_initializer="normal")(ids)
    for number in range(2):
        y = layers.LayerNormalization()(x) if normalized == "before" else x
        x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name=f"attention{number}")(y, y)])
        x = layers.LayerNormalization()(x) if normalized == "after" else x
    model = keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    expected = keras.ops.convert_to_numpy(model(TOKENS))
    for graph in (trace(model), expand(trace(model))):
        np.testing.assert_allclose(run(graph, [keras.ops.convert_to_tensor(TOKENS)])[0], expected, rtol=1e-4, atol=1e-5)
    first, second = (maps[0, :, 0, 3:] for maps in attention_maps(model, TOKENS).maps.values())
    assert not first.any() and second.any() == (normalized != "before")
    assert IntegratedGradients(model)(TOKENS, target=1).values.any()
