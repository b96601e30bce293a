"""Score functions of all samples at once as targets, those of tf-keras-vis among them."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tf_keras_vis.utils.scores import BinaryScore, CategoricalScore, InactiveScore, Score

from keras_xai.attribution import (
    LIME,
    LRP,
    SHAP,
    DecisionFeatures,
    DeepLIFT,
    DeepSHAP,
    GradCAM,
    GradientSHAP,
    GradientTimesInput,
    GuidedBackprop,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from keras_xai.metrics import Deletion, compare_methods
from keras_xai.openbox import OpenBox
from tests.tolerance import rounding
from tests.zoo import ZOO, in_dtype

X = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
PAIR = {"a": X, "b": np.random.default_rng(1).normal(size=(7, 2)).astype("float32")}
ROWS = [2, 0, 1, 1, 2, 0, 1]
SIGNS = [True, False, False, True, True, False, True]


class Contrast(Score):
    """Written as a user of tf-keras-vis writes one: for a batch of a known size."""

    def __call__(self, output):
        return [output[i, row] - output[i, (row + 1) % 3] for i, row in enumerate(ROWS)]


def linear(network):
    """The network up to its scores, as tf-keras-vis' `ReplaceToLinear` leaves it."""
    last = network.layers[-1]
    scores = layers.Dense(last.units, name="linear")
    linear = keras.Model(network.inputs, scores(last.input))
    scores.set_weights(last.get_weights())
    return linear


@pytest.fixture(scope="module")
def binary():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,), name="table"), layers.Dense(5, "relu"), layers.Dense(1, "sigmoid")])


METHODS = {
    "Saliency": lambda model: Saliency(model, batch_size=3),
    "IntegratedGradients": lambda model: IntegratedGradients(model, steps=8, batch_size=3),
    "SmoothGrad": lambda model: SmoothGrad(model, num_samples=3, seed=0, batch_size=2),
    "Occlusion": lambda model: Occlusion(model, batch_size=3),
    "LIME": lambda model: LIME(model, num_samples=30, seed=0, batch_size=7),
    "GradientSHAP": lambda model: GradientSHAP(model, num_samples=6, seed=0, batch_size=4),
    "DeepLIFT": lambda model: DeepLIFT(model, batch_size=3),
    "DeepSHAP": lambda model: DeepSHAP(model, batch_size=4),
    "SHAP kernel": lambda model: SHAP(model, explainer="kernel", num_samples=20, seed=0, batch_size=4),
    "LRP": lambda model: LRP(model, batch_size=3),
    "GuidedBackprop": lambda model: GuidedBackprop(model, batch_size=3),
    "DecisionFeatures": lambda model: DecisionFeatures(model, batch_size=3),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_categorical_score_is_its_indices(model, method):
    method = METHODS[method](model)
    expected = method(X, target=ROWS)
    found = method(X, target=CategoricalScore(ROWS))
    np.testing.assert_array_equal(found.target, ROWS)
    np.testing.assert_array_equal(found.values, expected.values)
    assert not np.allclose(method(X, target=CategoricalScore(ROWS[::-1])).values, expected.values)
    np.testing.assert_array_equal(method(X, target=CategoricalScore([1])).values, method(X, target=1).values)


def test_a_categorical_score_of_open_box(model):
    pieces = OpenBox(model)(X)
    np.testing.assert_array_equal(
        pieces.decision_features(target=CategoricalScore(ROWS)), pieces.decision_features(target=np.array(ROWS))
    )


@pytest.mark.parametrize("method", [name for name in METHODS if name != "DecisionFeatures"])
def test_a_score_of_ones_own_follows_its_samples(model, method):
    """One value after the other in any batches: the same as explaining each sample alone by what it is scored by."""
    method = METHODS[method](model)
    found = method(X, target=Contrast())
    apart = method(X, target=lambda scores: scores[:, 2] - scores[:, 0]).values
    mine = np.array(ROWS) == 2
    tolerance = rounding("float32", found.values, 64)
    np.testing.assert_allclose(found.values[mine], apart[mine], atol=tolerance)
    assert np.abs(found.values[~mine] - apart[~mine]).max() > 100 * tolerance


def test_decision_features_take_no_score_of_ones_own(model):
    with pytest.raises(ValueError, match="Received: a callable `target`"):
        METHODS["DecisionFeatures"](model)(X, target=Contrast())


def test_a_loop_over_scores_is_refused(model):
    with pytest.raises(ValueError, match="Access scores by index"):
        Saliency(model)(X, target=lambda scores: [row[k] for row, k in zip(scores, ROWS, strict=True)])


def test_a_score_of_ones_own_is_that_of_a_plain_tape(model):
    found = Saliency(model, batch_size=2)(X, target=Contrast())
    points = tf.convert_to_tensor(X)
    with tf.GradientTape() as tape:
        tape.watch(points)
        total = tf.reduce_sum(tf.stack(Contrast()(linear(model)(points))))
    np.testing.assert_allclose(found.values, tape.gradient(total, points), atol=1e-6)


@pytest.mark.parametrize("method", ["saliency.Saliency", "gradcam.Gradcam"])
@pytest.mark.filterwarnings("ignore")
def test_maps_are_those_of_tf_keras_vis(trained, digits, method):
    """Their maps of the network whose softmax is replaced are ours of the network as it is."""
    x, classes = digits[0][:6].astype("float32"), [3, 1, 4, 1, 5, 9]
    with in_dtype("float32"):
        network = ZOO["cnn"]()
    network.set_weights(trained("cnn").get_weights())
    module, name = method.split(".")
    peer = getattr(importlib.import_module(f"tf_keras_vis.{module}"), name)(
        keras.Model(network.inputs, network.layers[-1].input), clone=False
    )
    layer = network.layers[4].name
    if name == "Saliency":
        ours, options = Saliency(network, batch_size=4), {"keepdims": True, "normalize_map": False}
    else:
        ours = GradCAM(network, layer=layer, batch_size=4)
        options = {
            "penultimate_layer": layer,
            "seek_penultimate_conv_layer": False,
            "expand_cam": False,
            "normalize_cam": False,
        }

    def theirs(score):
        maps = np.asarray(peer(score, x, **options))
        return maps if name == "Saliency" else np.asarray(ops.image.resize(maps[..., np.newaxis], x.shape[1:3]))

    def each_of_its_own(scores):
        return [scores[i][k] for i, k in enumerate(classes)]

    for score in (CategoricalScore(classes), CategoricalScore([7]), each_of_its_own):
        expected = theirs(score)
        np.testing.assert_allclose(np.abs(ours(x, target=score).values), expected, atol=1e-5 * expected.max())
    other = np.abs(ours(x, target=CategoricalScore(classes[::-1])).values)
    assert np.abs(other - expected).max() > 0.1 * expected.max()


@pytest.mark.parametrize("signs", [SIGNS, [False], [True]])
def test_a_binary_score_has_a_sign(binary, signs):
    signed = np.where(np.broadcast_to(signs, 7), 1, -1)[:, np.newaxis]
    found = Saliency(binary, batch_size=3)(X, target=BinaryScore(signs))
    np.testing.assert_allclose(found.values, signed * Saliency(binary)(X, target=1).values, atol=1e-6)


def test_scores_of_samples_that_come_in_batches(model, binary):
    for network, score in ((model, CategoricalScore(ROWS)), (binary, BinaryScore(SIGNS)), (model, CategoricalScore(2))):
        expected = Saliency(network)(X, target=score)
        found = Saliency(network)(tf.data.Dataset.from_tensor_slices(X).batch(3), target=score)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
        again = Deletion(network)(found)  # asks for the same score
        np.testing.assert_allclose(again, Deletion(network)(expected), atol=1e-6)
    for wrong in (CategoricalScore(ROWS[:5]), CategoricalScore([*ROWS, 0])):
        with pytest.raises(ValueError, match="one target per sample"):
            Saliency(model)(tf.data.Dataset.from_tensor_slices(X).batch(3), target=wrong)


def test_part_of_an_explanation_has_part_of_its_score(model):
    whole = Saliency(model)(X, target=Contrast())
    part = whole[[4, 1]]
    assert len(part.target) == 2
    np.testing.assert_allclose(Deletion(model)(part), Deletion(model)(whole)[[4, 1]], atol=1e-6)
    np.testing.assert_allclose(Saliency(model)(part.inputs, target=part.target).values, part.values, atol=1e-6)
    with pytest.raises(ValueError, match="one target per sample, 3"):
        Saliency(model)(X[:3], target=part.target)


def test_scores_of_several_outputs(two_by_two):
    expected = Saliency(two_by_two)(PAIR, target={"left": ROWS}).values
    for target in ([CategoricalScore(ROWS), InactiveScore()], {"left": CategoricalScore(ROWS)}):
        found = Saliency(two_by_two, batch_size=3)(PAIR, target=target)
        np.testing.assert_array_equal(found.target["left"], ROWS)
        np.testing.assert_allclose(found.values["a"], expected["a"], atol=1e-6)
    both = Saliency(two_by_two)(PAIR, target=[CategoricalScore(ROWS), BinaryScore(False)])
    right = Saliency(two_by_two)(PAIR, target={"right": 1}).values
    np.testing.assert_allclose(both.values["b"], expected["b"] - right["b"], atol=1e-6)


def test_scores_in_a_comparison(model):
    found = compare_methods(model, X, [Saliency(model), GradientTimesInput(model)], [Deletion(model)], target=Contrast())
    expected = Deletion(model)(Saliency(model)(X, target=Contrast()))
    np.testing.assert_allclose(found.values["Deletion"]["Saliency"], expected, atol=1e-6)


@pytest.mark.parametrize("target", [CategoricalScore([0, 1]), CategoricalScore(5), InactiveScore(), BinaryScore(True)])
def test_scores_that_do_not_fit(model, target):
    with pytest.raises(ValueError, match=r"Expected|output. shape"):
        Saliency(model)(X, target=target)
