"""Scores that are NaN or infinite are refused by every method; callable targets are those of the moment."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai import attribution
from keras_xai.attribution import GradientTimesInput, Occlusion, Saliency
from keras_xai.graph.surroundings import what_is_read
from keras_xai.metrics import Deletion
from tests.slow import quickly
from tests.zoo import in_dtype

X = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
METHODS = [
    "AblationCAM",
    "CAM",
    "EigenCAM",
    "GuidedGradCAM",
    "HiResCAM",
    "LRP",
    "LayerCAM",
    "Deconvnet",
    "DecisionFeatures",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientTimesInput",
    "GuidedBackprop",
    "IntegratedGradients",
    "FeatureAblation",
    "HSICAttribution",
    "LIME",
    "Occlusion",
    "Saliency",
    "ScoreCAM",
    "ShapleyValueSampling",
    "SmoothGrad",
    "SobolAttribution",
    "VarGrad",
    "XGradCAM",
]


def image_model():
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(3, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )


@pytest.mark.parametrize("name", quickly(METHODS, "Saliency", "GradCAM", "LRP"))
def test_nan_scores_are_refused_by_every_method(name):
    model = image_model()
    method = getattr(attribution, name)(model)
    assert np.isfinite(method(X, target=0).values).all()
    model.layers[-1].bias.assign([0.0, np.nan, 0.0])
    for target in (None, 0, 1):
        with pytest.raises(ValueError, match="NaN or infinite"):
            method(X, target=target)


@pytest.mark.parametrize("name", quickly(["Saliency", "SmoothGrad", "GradCAM", "IntegratedGradients"], "Saliency"))
def test_samples_beyond_the_range_of_the_type(name):
    model = image_model()
    method, x = getattr(attribution, name)(model), np.stack([X[0], np.full((8, 8, 1), 1e39)])
    with np.errstate(over="ignore"):
        if np.isfinite(model.predict(x.astype("float32"), verbose=0)).all():
            pytest.skip("ReLU of NaN is 0 here, as with oneDNN")
    with pytest.raises(ValueError, match="NaN or infinite around sample 1"):
        method(x, target=0)


@pytest.mark.parametrize("policy", quickly(["float16", "mixed_float16"], "mixed_float16"))
@pytest.mark.parametrize("where", ["scores", "inputs"])
def test_half_precision_overflows_as_the_model_does(policy, where):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, kernel_initializer="ones")])
    finally:
        keras.config.set_dtype_policy(previous)
    x = np.array([[1.0, 1, 1, 1], [30000, 30000, 30000, 0], [-1, 0, 0, 0]])
    if where == "inputs":
        x[1] = [70000, -70000, 0, 0]
    assert (np.isfinite(model.predict(x, verbose=0)).all(axis=1) == [True, False, True]).all()
    for method in (Saliency(model), Occlusion(model)):
        with pytest.raises(ValueError, match="NaN or infinite around sample 1"):
            method(x, target=0)
    np.testing.assert_allclose(Saliency(model)(x[[0, 2]], target=0).values, 1)
    fine = GradientTimesInput(model)(x[[0, 2]], target=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        Deletion(model, baseline=40000.0)(fine)


def test_float32_does_not_overflow_there():
    with in_dtype("float32"):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, kernel_initializer="ones")])
    assert np.isfinite(Saliency(model)(np.full((1, 4), 30000.0), target=0).values).all()


def table_model():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])


def expected(model, x, index):
    return Saliency(model)(x, target=index).values


def test_a_target_reads_the_variables_of_the_moment():
    model, x, index = table_model(), X[:, :6, 0, 0], 0
    method = Saliency(model)

    def target(scores):
        return scores[:, index]

    np.testing.assert_array_equal(method(x, target).values, expected(model, x, 0))
    index = 1
    np.testing.assert_array_equal(method(x, target).values, expected(model, x, 1))


def test_and_attributes_arrays_and_helpers():
    model, x = table_model(), X[:, :6, 0, 0]
    method, weights = Saliency(model), np.array([1.0, 0.0, 0.0], "float32")

    class Choice:
        def __init__(self):
            self.options = {"index": [0]}

        def helper(self):
            return self.options["index"][0]

        def __call__(self, scores):
            return scores[:, self.helper()]

    choice = Choice()
    by_array = lambda scores: ops.sum(scores * weights, axis=1)  # noqa: E731
    for number in (0, 2):
        choice.options["index"][0] = number
        weights[:] = np.eye(3)[number]
        np.testing.assert_array_equal(method(x, choice).values, expected(model, x, number))
        np.testing.assert_allclose(method(x, by_array).values, expected(model, x, number), rtol=1e-6)


def test_a_target_that_reads_nothing_new_is_compiled_once():
    model, x, index = table_model(), X[:, :6, 0, 0], 1
    method, calls = Saliency(model), []

    def target(scores):
        calls.append(None) if len(calls) > 10**6 else None
        return scores[:, index] + np.float32(np.pi) * 0

    method(x, target)
    prepared = method._prepared
    method(x, target)
    assert method._prepared is prepared
    assert what_is_read(target) == what_is_read(target)
    index = 2
    method(x, target)
    assert method._prepared is not prepared
