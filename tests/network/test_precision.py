"""Half-precision models are computed in float32, down to the layers inside of layers, and calls leave no losses."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import GradientTimesInput
from keras_xai.network.scores import Scores

X = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")


def _attention(x, **options):
    return layers.MultiHeadAttention(2, 3, **options)(x, x)


LAYERS = {
    "MultiHeadAttention": _attention,
    "GroupQueryAttention": lambda x, **options: layers.GroupQueryAttention(4, 2, 1, **options)(x, x),
    "LSTM": lambda x, **options: layers.LSTM(3, **options)(x),
    "RNN": lambda x, dtype: layers.RNN([layers.GRUCell(3, dtype=dtype), layers.LSTMCell(2, dtype=dtype)], dtype=dtype)(x),
    "Bidirectional": lambda x, dtype: layers.Bidirectional(layers.GRU(3, dtype=dtype), dtype=dtype)(x),
    "TimeDistributed": lambda x, dtype: layers.TimeDistributed(layers.Dense(3, dtype=dtype), dtype=dtype)(x),
    "SpectralNormalization": lambda x, dtype: layers.SpectralNormalization(layers.Dense(3, dtype=dtype), dtype=dtype)(x),
    "cast": lambda x, dtype: ops.cast(layers.Dense(3, dtype=dtype)(x), "float16"),
}


def _model(name, dtype):
    keras.utils.set_random_seed(0)
    x = keras.Input(X.shape[1:])
    y = layers.Flatten(dtype=dtype)(LAYERS[name](x, dtype=dtype))
    return keras.Model(x, layers.Dense(3, dtype=dtype)(y))


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_is_computed_in_float32(name):
    plain, half = _model(name, "float32"), _model(name, "mixed_bfloat16")
    half.set_weights(plain.get_weights())
    expected = GradientTimesInput(plain)(X, 1).values
    np.testing.assert_allclose(GradientTimesInput(half)(X, 1).values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    scores = Scores(half)
    (found,) = scores.outputs(scores.run([X]))
    if name != "cast":  # to which the float32 model has a cast as well
        np.testing.assert_allclose(found, plain(X), rtol=0, atol=1e-5)
    assert np.abs(ops.convert_to_numpy(ops.cast(half(X), "float32")) - np.asarray(found)).max() > 1e-4  # the control


def test_losses_of_the_model_are_kept():
    x = keras.Input((6,))
    wrapped = layers.SpectralNormalization(layers.Dense(4, activity_regularizer="l2"))
    model = keras.Model(x, layers.Dense(2)(layers.ActivityRegularization(l1=0.1)(wrapped(x))))
    model(X[:, 0])
    before = [float(loss) for loss in model.losses]
    assert len(before) == 2 and min(before) > 0
    GradientTimesInput(model)(2 * X[:, 1], 1)
    assert [float(loss) for loss in model.losses] == before
