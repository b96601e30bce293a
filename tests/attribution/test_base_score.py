"""What the values of additive methods are added to, against the scores of the model itself."""

import keras
import numpy as np
import pytest

from keras_xai.attribution import (
    LIME,
    LRP,
    SHAP,
    DecisionFeatures,
    DeepLIFT,
    DeepSHAP,
    GradientSHAP,
    GradientTimesInput,
    IntegratedGradients,
    Saliency,
    ShapleyValueSampling,
)
from tests.slow import quickly

RNG = np.random.default_rng(0)
X, OTHER, BACKGROUND = (RNG.normal(size=(rows, 4)).astype("float32") for rows in (3, 3, 5))
TARGET = [0, 1, 1]
# The options of the methods, and what they compare samples with: nothing, a baseline of each sample, or one background.
ADDITIVE = {
    GradientTimesInput: ({}, None),
    LRP: ({}, None),
    IntegratedGradients: ({"steps": 8}, OTHER),
    DeepLIFT: ({}, OTHER),
    DecisionFeatures: ({}, OTHER),
    ShapleyValueSampling: ({"num_samples": 4, "seed": 0}, OTHER),
    DeepSHAP: ({}, BACKGROUND),
    GradientSHAP: ({"seed": 0}, BACKGROUND),
    SHAP: ({"seed": 0}, BACKGROUND),
    LIME: ({"num_samples": 50, "seed": 0}, OTHER),
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, "relu", bias_initializer="normal")
    return keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(2, bias_initializer="normal")])


def explained(scores, method):
    """The explained score of samples: of decision features the mean difference from the other classes, of which there is one."""
    rows = np.arange(len(scores))
    return scores[rows, TARGET] - (scores[rows, 1 - np.array(TARGET)] if method is DecisionFeatures else 0)


@pytest.mark.parametrize("method", quickly(ADDITIVE, GradientTimesInput, IntegratedGradients, DeepLIFT, DeepSHAP, LIME))
def test_base_score_values_and_delta_add_up_to_the_score(model, method):
    options, baseline = ADDITIVE[method]
    found = method(model, **options)(X, TARGET, *([] if baseline is None else [baseline]))
    score = explained(model(X).numpy(), method)
    np.testing.assert_allclose(found.base_score + found.values.sum(axis=1) + found.convergence_delta, score, atol=1e-4)
    if baseline is None:
        assert (found.base_score == 0).all()
    elif baseline is BACKGROUND:
        np.testing.assert_allclose(found.base_score, model(BACKGROUND).numpy().mean(axis=0)[TARGET], atol=1e-5)
    elif method not in (LIME, DecisionFeatures):  # the constant of a fit; and the score of a piece beyond its ends
        np.testing.assert_allclose(found.base_score, explained(model(OTHER).numpy(), method), atol=1e-5)
    assert found[1:].base_score.tolist() == found.base_score[1:].tolist()


def test_lime_of_a_table_adds_up(model):
    found = LIME(model, background=np.concatenate([X, BACKGROUND]), num_samples=50, seed=0)(X, TARGET)
    score = explained(model(X).numpy(), LIME)
    np.testing.assert_allclose(found.base_score + found.values.sum(axis=1) + found.convergence_delta, score, atol=1e-4)


def test_methods_that_distribute_no_score_have_none(model):
    assert Saliency(model)(X).base_score is None
