"""The FBI loss trains a subclassed model as it trains the same one built functionally."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.losses import fbi_penalty
from keras_xai.models import FBIModel

X = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
Y = np.arange(40) % 3


class Network(keras.Model):
    def __init__(self, *, drops_in_training=False):
        super().__init__(name="network")
        self.conv, self.normalization = layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()
        self.pool, self.dropout, self.head = layers.GlobalAveragePooling2D(), layers.Dropout(0.5, name="drop"), layers.Dense(3)
        self.drops_in_training = drops_in_training

    def call(self, x, training=False):
        y = self.pool(self.normalization(self.conv(x), training=training))
        return self.head(self.dropout(y, training=True) if training and self.drops_in_training else y)


@pytest.fixture
def pair():
    keras.utils.set_random_seed(0)
    model = Network()
    model(X[:1])
    x = keras.Input((8, 8, 1))
    return model, keras.Model(x, model.head(model.pool(model.normalization(model.conv(x)))))


def test_the_penalty_is_that_of_the_functional_model(pair):
    one, other = (np.asarray(fbi_penalty(model, X, Y)) for model in pair)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert one.min() > 0 and not np.allclose(one, np.asarray(fbi_penalty(pair[0], X, (Y + 1) % 3)), rtol=1e-3)


def test_training_ends_with_the_same_weights(pair):
    start, ends = pair[0].get_weights(), []
    for model in pair:
        pair[0].set_weights(start)
        trained = FBIModel(model, weight=0.1)
        trained.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        trained.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
        ends.append(pair[0].get_weights())
    for one, other, before in zip(*ends, start, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        assert not np.array_equal(one, before)


def test_layers_that_run_in_one_mode_only_are_refused():
    model = Network(drops_in_training=True)
    model(X[:1])
    with pytest.raises(ValueError, match="same layers in training and at inference.*'drop'"):
        fbi_penalty(model, X, Y)
