"""Decision features as an attribution: against OpenBox, and complete."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.attribution.gradient.decision_features import DecisionFeatures
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.tolerance import rounding

pytestmark = [pytest.mark.onednn, pytest.mark.filterwarnings("ignore:The structure of")]


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    x = keras.Input((4,))
    body = layers.Dense(12, activation="relu", bias_initializer="normal")(x)
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind", bias_initializer="normal")(body),
        "sick": layers.Dense(1, activation="sigmoid", name="sick")(body),
        "curve": layers.Dense(2, activation="tanh", name="curve")(body),
    }
    return keras.Model(x, outputs)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(9, 4))


def _alone(network, name):
    return keras.Model(network.inputs, network.outputs[list(network.output_names).index(name)])


@pytest.mark.parametrize("name", ["cnn", pytest.param("residual", marks=pytest.mark.slow)])
def test_values_are_the_decision_features_times_the_step_and_complete(trained, digits, name):
    model, images = trained(name), digits[0][1500:1505]
    baseline = images.mean(axis=0)
    explanation = DecisionFeatures(model)(images, baseline=baseline)
    pieces = OpenBox(model)(images, verbose=0)
    features = pieces.decision_features(explanation.target)
    np.testing.assert_allclose(explanation.values, features * (images - baseline), atol=1e-10)
    np.testing.assert_array_equal(explanation.target, pieces.scores.argmax(axis=1))

    def preference(scores):
        chosen = np.take_along_axis(scores, explanation.target[:, np.newaxis], axis=1)[:, 0]
        return chosen - (scores.sum(axis=1) - chosen) / (scores.shape[1] - 1)

    at_sample = preference(pieces.scores)
    at_baseline = preference(pieces.predict(np.broadcast_to(baseline, images.shape)))
    total = explanation.values.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, at_sample - at_baseline, rtol=0, atol=rounding("float64", at_sample, 1000))
    assert np.abs(explanation.convergence_delta).max() < rounding("float64", at_sample, 1000)
    # The network itself is on another piece at the baseline: the sum is not the difference of its scores.
    elsewhere = preference(OpenBox(model)(baseline[np.newaxis], verbose=0).scores.repeat(len(images), axis=0))
    assert np.abs(total - (at_sample - elsewhere)).max() > 0.1


def test_alone_they_are_the_weights_of_chu_et_al(network, x):
    model = _alone(network, "kind")
    explanation = DecisionFeatures(model, times_input=False)(x, target=2)
    coef = OpenBox(model)(x, verbose=0).coef
    np.testing.assert_allclose(
        explanation.values, coef[:, 2] - (coef[:, 0] + coef[:, 1]) / 2, atol=rounding("float32", coef, 12)
    )
    assert explanation.convergence_delta is None and explanation.baseline is None


def test_the_score_alone_can_be_explained(network, x):
    model = _alone(network, "kind")
    explanation = DecisionFeatures(model, against=None)(x, target=1)
    pieces = OpenBox(model)(x, verbose=0)
    total = explanation.values.sum(axis=1) + pieces.intercept[:, 1]
    np.testing.assert_allclose(total, pieces.scores[:, 1], atol=1e-5)
    assert np.abs(explanation.convergence_delta).max() < 1e-5


def test_one_score_has_its_weights_for_decision_features(network, x):
    model = _alone(network, "sick")
    explanation = DecisionFeatures(model)(x)
    expected = OpenBox(model)(x, verbose=0).coef[:, 0] * x
    np.testing.assert_allclose(explanation.values, expected, atol=rounding("float32", expected, 12))


def test_the_outputs_named_are_added_and_others_may_be_curved(network, x):
    both = DecisionFeatures(network)(x, target={"kind": 0, "sick": 0})
    parts = [DecisionFeatures(_alone(network, name))(x, target=0).values for name in ("kind", "sick")]
    np.testing.assert_allclose(both.values, sum(parts), atol=rounding("float32", parts, 12))
    assert np.abs(both.convergence_delta).max() < 1e-5
    with pytest.raises(UnsupportedLayerError, match="tanh"):
        DecisionFeatures(network)(x, target={"curve": 0})


def test_values_do_not_depend_on_the_size_of_batches(network, x):
    model = _alone(network, "kind")
    first, *others = [DecisionFeatures(model, batch_size=size)(x).values for size in (1, 7, 64)]
    for other in others:
        np.testing.assert_allclose(other, first, atol=rounding("float32", first, 12))


def test_whole_numbers_are_computed_with_as_real_ones():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Rescaling(0.5), layers.Dense(2)])
    x = np.array([[1, 2, 3]])
    explanation = DecisionFeatures(model, against=None)(x, target=1)
    np.testing.assert_allclose(explanation.values, model.get_weights()[0][:, 1] * 0.5 * x, atol=1e-6)


def test_bad_input_is_told(network, x):
    model = _alone(network, "kind")
    with pytest.raises(UnsupportedLayerError, match="Tanh"):
        DecisionFeatures(_alone(network, "curve"))
    with pytest.raises(ValueError, match="Expected `against` to be None or one of"):
        DecisionFeatures(model, against="runner")
    with pytest.raises(ValueError, match="callable `target`. Give class indices"):
        DecisionFeatures(model)(x, target=lambda scores: scores[:, 0])
    with pytest.raises(ValueError, match="no `baseline` with `times_input=False`"):
        DecisionFeatures(model, times_input=False)(x, baseline=0)
    with pytest.raises(ValueError, match="shape of one sample"):
        DecisionFeatures(model)(x, baseline=np.zeros(3))
