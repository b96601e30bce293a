"""Merges that leave out masked entries."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.network.scores import Scores


@pytest.mark.parametrize("cls", [layers.Maximum, layers.Minimum, layers.Multiply])
def test_scores_are_those_of_keras(cls):
    tokens = keras.Input((4,))
    table = layers.Embedding(5, 3, embeddings_initializer=keras.initializers.RandomNormal(seed=0), mask_zero=True)
    vectors = table(tokens)
    other = layers.Dense(3, "relu", kernel_initializer="identity", bias_initializer="ones")(vectors)
    model = keras.Model(tokens, layers.Dense(2, kernel_initializer="ones")(layers.Flatten()(cls()([vectors, other]))))
    table.embeddings.assign(np.random.default_rng(0).normal(size=(5, 3)))
    x = np.array([[1, 2, 0, 3], [0, 0, 1, 4]], "float32")
    scores = Scores(model)
    found = scores.outputs(scores.run([ops.convert_to_tensor(each) for each in scores.typed([x])]))[0]
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=0, atol=1e-5)
