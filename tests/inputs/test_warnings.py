"""Users see no warnings of other libraries about how this package calls them."""

import logging
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai import attribution, features
from keras_xai.openbox import OpenBox
from tests.inputs.warned import warned

COUNT = 7  # TensorFlow warns of the fifth trace
X = np.random.default_rng(0).normal(size=(COUNT + 1, 8, 8, 1)).astype("float32")


def _network(number=0):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3 + number, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


CALLS = {
    "Saliency": lambda model, x: attribution.Saliency(model)(x),
    "GradCAM": lambda model, x: attribution.GradCAM(model)(x),
    "IntegratedGradients": lambda model, x: attribution.IntegratedGradients(model, steps=2)(x),
    "Occlusion": lambda model, x: attribution.Occlusion(model, window=4, stride=4)(x).plot(),
    "LIME": lambda model, x: attribution.LIME(model, num_samples=9, segments=4, seed=0)(x[:1]),
    "SHAP": lambda model, x: attribution.SHAP(model, num_samples=9, segments=4, seed=0)(x[:1]),
    "DeepSHAP": lambda model, x: attribution.DeepSHAP(model)(x, baseline=X),
    "LRP": lambda model, x: attribution.LRP(model)(x).plot(samples=1),
    "OpenBox": lambda model, x: OpenBox(model)(x, verbose=0),
    "activations": lambda model, x: features.activations(model, x, ["conv"], verbose=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_quiet(name):
    """With other numbers of samples, and with other models."""
    model = _network()
    with warned() as found:
        for count in range(1, COUNT):
            CALLS[name](model, X[:count])
        for number in range(1, 3):
            CALLS[name](_network(number), X[:2])
    assert found == []


def test_warnings_are_found():
    """The negative control."""
    traced = tf.function(lambda x, k: x * k)
    with warned() as found:
        for k in range(COUNT):
            traced(tf.constant(1.0), k)
    assert len(found) >= 1 and "retracing" in found[0]
    with warned() as found:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("no matter", UserWarning, stacklevel=1)
        logging.getLogger("tensorflow").warning("no matter")
    assert len(found) == 1 and "old" in found[0]
