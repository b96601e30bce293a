"""Ready-made targets against gradients by hand, and as values: equal, sliced, saved, streamed."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai import targets
from keras_xai.attribution import (
    LIME,
    SHAP,
    GradientSHAP,
    GradientTimesInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from keras_xai.metrics import Deletion
from keras_xai.results import Explanation
from keras_xai.targets import Box, Margin, Output, Probability, Region, ScoreTarget, Similarity, Token

N = 5
X = np.random.default_rng(0).normal(size=(N, 4)).astype("float32")
CLASSES = np.array([2, 0, 1, 1, 2])
ANCHORS = np.array([[0, 0, 2, 2], [1, 1, 5, 5], [4, 4, 8, 8]])
MASKS = np.random.default_rng(1).integers(0, 2, (N, 2, 3)).astype(bool) | np.eye(2, 3, dtype=bool)
EMBEDDINGS = np.random.default_rng(2).normal(size=(N, 3))


def network(*shape, activation=None):
    """With outputs of a shape, nonlinear in its inputs."""
    keras.utils.set_random_seed(3)
    hidden = [keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(int(np.prod(shape))), layers.Reshape(shape)]
    return keras.Sequential([*hidden, layers.Activation(activation)] if activation else hidden)


def softmax(scores):
    return tf.nn.softmax(scores, axis=-1)


def picked(scores, *indices):
    """An entry of each sample."""
    return tf.gather_nd(scores, np.stack([np.arange(N), *(np.broadcast_to(each, N) for each in indices)], axis=1))


def cosine(scores, to):
    to = to.astype("float32")
    return tf.reduce_sum(tf.nn.l2_normalize(scores, axis=1) * tf.nn.l2_normalize(to, axis=-1), axis=1)


def runner_up(scores):
    top = tf.math.top_k(scores, 2)[0]
    return top[:, 0] - top[:, 1]


def where_highest(scores, classes):
    return mean_over(scores, classes, scores.numpy().argmax(axis=-1) == classes[:, None, None])


def mean_over(scores, classes, masks):
    weights = masks.astype("float32") / masks.sum(axis=(1, 2), keepdims=True).astype("float32")
    return tf.reduce_sum(tf.stack([scores[i, ..., label] for i, label in enumerate(classes)]) * weights, axis=(1, 2))


MAP = network(2, 3, 3)
CORNER = MAP.predict(X, verbose=0)[:, 0, 0].argmax(axis=-1)

# The target, the model, and the value by hand from the scores.
CASES = {
    "probability": (Probability(CLASSES), network(3), lambda s: picked(softmax(s), CLASSES)),
    "probability of the predicted class": (Probability(), network(3), lambda s: tf.reduce_max(softmax(s), axis=-1)),
    "probability after a softmax": (Probability(1), network(3, activation="softmax"), lambda s: s[:, 1]),
    "probability after sigmoids": (Probability(1), network(3, activation="sigmoid"), lambda s: s[:, 1]),
    "probability of class 0 of one sigmoid": (Probability(0), network(1, activation="sigmoid"), lambda s: 1 - s[:, 0]),
    "margin": (Margin(CLASSES, 1 - CLASSES % 2 * 1), network(3), lambda s: picked(s, CLASSES) - picked(s, 1 - CLASSES % 2)),
    "margin against the runner-up": (Margin(), network(3), runner_up),
    "margin of a class": (Margin(1), network(3), lambda s: s[:, 1] - tf.maximum(s[:, 0], s[:, 2])),
    "margin against a class": (Margin(b=1), network(3), lambda s: tf.maximum(s[:, 0], s[:, 2]) - s[:, 1]),
    "margin of one score": (Margin(0, 1), network(1), lambda s: -s[:, 0]),
    "regression": (Output(1), network(2), lambda s: s[:, 1]),
    "entry from the end": (Output((-1, 0)), network(2, 3), lambda s: s[:, 1, 0]),
    "entry of each sample": (Output(np.stack([CLASSES % 2, CLASSES], axis=1)), network(2, 3), lambda s: picked(s, CLASSES % 2, CLASSES)),
    "token": (Token(CLASSES, 6), network(3, 7), lambda s: picked(tf.nn.log_softmax(s), CLASSES, 6)),
    "token of each sample at the end": (Token(-1, CLASSES), network(3, 7), lambda s: picked(tf.nn.log_softmax(s), 2, CLASSES)),
    "most probable token": (Token(1), network(3, 7), lambda s: tf.reduce_max(tf.nn.log_softmax(s)[:, 1], axis=-1)),
    "region": (Region(CLASSES, MASKS), MAP, lambda s: mean_over(s, CLASSES, MASKS)),
    "region of all samples": (Region(1, MASKS[0]), MAP, lambda s: mean_over(s, [1] * N, MASKS[:1])),
    "region where predicted": (Region(CORNER, "predicted"), MAP, lambda s: where_highest(s, CORNER)),
    "whole map": (Region(2), MAP, lambda s: tf.reduce_mean(s[..., 2], axis=(1, 2))),
    "box": (Box([4, 4, 7, 7], ANCHORS, CLASSES), network(3, 3), lambda s: picked(s, 2, CLASSES)),
    "best class of a box": (Box(ANCHORS[CLASSES], ANCHORS), network(3, 3), lambda s: tf.reduce_max(picked(s, CLASSES), axis=-1)),
    "cosine": (Similarity(EMBEDDINGS), network(3), lambda s: cosine(s, EMBEDDINGS)),
    "dot": (Similarity(EMBEDDINGS[0], "dot"), network(3), lambda s: tf.reduce_sum(s * EMBEDDINGS[0].astype("float32"), axis=1)),
    "distance": (
        Similarity(EMBEDDINGS, "distance"),
        network(3),
        lambda s: -tf.sqrt(tf.reduce_sum((s - EMBEDDINGS.astype("float32")) ** 2, axis=1)),
    ),
}  # fmt: skip


def by_hand(model, value, x=X):
    """The value of each sample, and its gradient."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = value(model(x))
    return found.numpy(), tape.gradient(found, x).numpy()


@pytest.mark.parametrize("name", CASES)
def test_gradients_by_hand(name):
    target, model, value = CASES[name]
    found = Saliency(model, batch_size=2)(X, target=target)
    score, gradient = by_hand(model, value)
    np.testing.assert_allclose(found.values, gradient, rtol=1e-4, atol=1e-6)
    assert np.abs(gradient).max() > 1e-3
    scores = Saliency(model).scores
    goal = scores.target(target, N)
    np.testing.assert_allclose(scores.evaluator(goal, 2)([X], goal.indices), score, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_another_target_is_another_explanation(name):
    """The control: each field counts."""
    target, model, _ = CASES[name]
    found = Saliency(model)(X, target=target).values
    others = {
        Probability: Probability(1 - CLASSES % 2),
        Margin: Margin(0, 1) if target != Margin(0, 1) else Margin(1, 0),
        Output: Output(0) if len(model.output_shape) == 2 else Output((0, 2)),
        Token: Token(0, 3),
        Region: Region(0, MASKS[::-1]),
        Box: Box([0, 0, 1, 1], ANCHORS, 0),
        Similarity: Similarity(-EMBEDDINGS[::-1], getattr(target, "measure", "dot")),
    }
    assert not np.allclose(Saliency(model)(X, target=others[type(target)]).values, found, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_targets_are_values(name, tmp_path):
    target, model, _ = CASES[name]
    explanation = Saliency(model)(X, target=target)
    again = pickle.loads(pickle.dumps(target))
    assert again == target and hash(again) == hash(target) and again is not target
    assert targets.from_fields(targets.to_fields(target)) == target
    assert isinstance(explanation.target, type(target))
    explanation.save(tmp_path / "file")
    loaded = Explanation.load(tmp_path / "file")
    assert loaded.target == explanation.target and loaded == explanation
    assert loaded.target != (Output(5) if name != "regression" else Output(4))
    # The explanation of some samples explains the same values of them, and its target is theirs.
    part = explanation[[3, 1]]
    np.testing.assert_allclose(Saliency(model)(X[[3, 1]], target=part.target).values, explanation.values[[3, 1]], atol=1e-6)
    assert len(explanation.plot(samples=2).axes) >= 2


@pytest.mark.parametrize("name", ["margin", "token", "region", "box", "cosine"])
def test_batches_of_a_dataset(name):
    target, model, _ = CASES[name]
    streamed = Saliency(model)(tf.data.Dataset.from_tensor_slices(X).batch(2), target=target)
    np.testing.assert_allclose(streamed.values, Saliency(model)(X, target=target).values, atol=1e-6)


def test_what_is_found_is_kept():
    """Where a method changes a sample, the competing classes are those of the sample."""
    target, model, _ = CASES["margin against the runner-up"]
    order = np.argsort(-model.predict(X, verbose=0), axis=1)
    found = IntegratedGradients(model)(X, target=target, baseline=-X)
    assert found.target == Margin(order[:, 0], order[:, 1])
    np.testing.assert_allclose(found.values, IntegratedGradients(model)(X, target=found.target, baseline=-X).values, atol=1e-6)
    region = Saliency(MAP)(X, target=Region(CORNER, "predicted")).target
    np.testing.assert_array_equal(region.mask, MAP.predict(X, verbose=0).argmax(axis=-1) == CORNER[:, None, None])


def test_a_region_that_is_predicted_nowhere():
    label = next(i for i in range(3) if (MAP.predict(X, verbose=0).argmax(axis=-1) != i).all(axis=(1, 2)).any())
    with pytest.raises(ValueError, match="NaN"):
        Saliency(MAP)(X, target=Region(label, "predicted"))


def test_a_similarity_to_the_embedding_itself():
    """The distance has a derivative there, and the cosine at zero."""
    model = network(3)
    own = model.predict(X, verbose=0)
    assert np.isfinite(Saliency(model)(X, target=Similarity(own, "distance")).values).all()
    assert np.isfinite(Saliency(model)(np.zeros((1, 4)), target=Similarity(EMBEDDINGS[0])).values).all()


METHODS = {
    "GradientTimesInput": GradientTimesInput,
    "IntegratedGradients": lambda model: IntegratedGradients(model, steps=4, batch_size=7),
    "SmoothGrad": lambda model: SmoothGrad(model, num_samples=4, seed=0),
    "Occlusion": lambda model: Occlusion(model, batch_size=3),
    "LIME": lambda model: LIME(model, num_samples=20, seed=0),
    "SHAP kernel": lambda model: SHAP(model, explainer="kernel", num_samples=20, seed=0),
    "GradientSHAP": lambda model: GradientSHAP(model, num_samples=20, seed=0),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["token", "region"])
def test_methods(name, method):
    """As with a callable written by hand, and in a batch as alone."""
    target, model, value = CASES[name]
    found = METHODS[method](model)(X, target=target)
    expected = METHODS[method](model)(X, target=lambda scores: _by_entries(scores, name))
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    assert value is not None and np.abs(found.values).max() > 1e-3


def _by_entries(scores, name):
    """The values of the cases "token" and "region", one sample at a time."""
    if name == "token":
        return [tf.nn.log_softmax(scores[i, CLASSES[i]])[6] for i in range(N)]
    return [tf.reduce_mean(tf.boolean_mask(scores[i, ..., CLASSES[i]], MASKS[i])) for i in range(N)]


def test_metrics_rate_the_explained_value():
    target, model, _ = CASES["token"]
    explanation = Saliency(model)(X, target=target)
    found = Deletion(model)(explanation)
    ordinary = Deletion(model)(Saliency(model)(X, target=lambda scores: scores[:, 0, 0]))
    assert np.isfinite(found).all() and not np.allclose(found, ordinary)


def test_programs_are_shared():
    """Positions and tokens are arguments of a program; the kind of target is not."""
    scores = Saliency(network(3, 7)).scores
    key = scores.target(Token(1, 2), N).key
    assert key == scores.target(Token(CLASSES, 5), N).key != scores.target(Output((1, 2)), N).key
    encoder = Saliency(network(3)).scores
    assert encoder.target(Similarity(EMBEDDINGS), N).key == encoder.target(Similarity(EMBEDDINGS[0]), N).key
    assert encoder.target(Similarity(EMBEDDINGS), N).key != encoder.target(Similarity(EMBEDDINGS, "dot"), N).key


def test_several_outputs():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": layers.Dense(3, name="a")(inputs), "b": layers.Dense(2, name="b")(inputs)})
    found = Saliency(model)(X, target={"a": Margin(0, 2), "b": Output(1)})
    weights = {name: model.get_layer(name).get_weights()[0] for name in "ab"}
    expected = weights["a"][:, 0] - weights["a"][:, 2] + weights["b"][:, 1]
    np.testing.assert_allclose(found.values, np.tile(expected, (N, 1)), rtol=1e-5)
    assert found.target == {"a": Margin(np.zeros(N, int), np.full(N, 2)), "b": Output(1)}


def test_predicted_is_the_default():
    model = network(3)
    np.testing.assert_array_equal(Saliency(model)(X, target="predicted").values, Saliency(model)(X).values)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Probability(-1), "class_index"),
        (lambda: Probability(0.5), "class_index"),
        (lambda: Margin(1, 1), "two different classes"),
        (lambda: Margin([0, 1], [1, 1]), "two different classes"),
        (lambda: Output("a"), "index"),
        (lambda: Output((1, None)), "index"),
        (lambda: Token(None), "position"),
        (lambda: Token(1, 1.5), "token"),
        (lambda: Region(0, "other"), "mask"),
        (lambda: Region(0, np.zeros((2, 2))), "at least one position"),
        (lambda: Box([0, 0, 0, 1], ANCHORS), "positive width"),
        (lambda: Box([0, 0, 1, 1], None), "boxes"),
        (lambda: Similarity([[[1.0]]]), "to"),
        (lambda: Similarity([0.0, 0.0]), "direction"),
        (lambda: Similarity([1.0], "euclid"), "measure"),
    ],
)
def test_bad_fields(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        make()


@pytest.mark.parametrize(
    "target, shape, message",
    [
        (None, (3, 7), r"Received: target=None .*`keras_xai.targets` has `Token\(position\)`"),
        (0, (2, 2, 3), r"`Region\(class_index\)`"),
        (Probability(3), (3,), "from 0 to 2"),
        (Probability([0, 1]), (3,), "one `class_index` per sample, 5"),
        (Probability(1), (3, 7), r"shape \(n, classes\).*`Token"),
        (Token(3), (3, 7), "`position` from 0 to 2"),
        (Token(-4), (3, 7), "`position` from 0 to 2"),
        (Token(0, 7), (3, 7), "`token` from 0 to 6"),
        (Output(1), (3, 7), "for each axis"),
        (Region(0, np.ones((3, 3))), (2, 3, 3), "size of the map"),
        (Region([0, 1]), (2, 3, 3), "one row per sample, 5"),
        (Region(3), (2, 3, 3), "from 0 to 2"),
        (Box([90, 90, 99, 99], ANCHORS), (3, 3), "meets none"),
        (Box([0, 0, 1, 1], ANCHORS[:2]), (3, 3), "box for each of 3"),
        (Similarity([1.0, 2.0]), (3,), "with 3 entries"),
        (Similarity(EMBEDDINGS[:2]), (3,), "one row of `to` per sample, 5"),
        ("best", (3,), "'predicted'"),
    ],
)
def test_targets_that_do_not_fit(target, shape, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        Saliency(network(*shape))(X, target=target)
    assert "Received" in str(error.value)


def test_a_target_for_other_samples_than_those_of_a_dataset():
    with pytest.raises(ValueError, match="one target per sample"):
        Saliency(network(3, 7))(tf.data.Dataset.from_tensor_slices(X).batch(2), target=Token(0, CLASSES[:3]))


def test_every_target_is_tested():
    public = {getattr(targets, name) for name in targets.__all__} - {ScoreTarget}
    assert public == {type(target) for target, _, _ in CASES.values()}
    assert all(each.__final__ and each.__dataclass_params__.frozen for each in public)


def test_pictures_name_the_target():
    model = network(3)
    figure = Saliency(model)(X, target=Margin(0, 2)).plot(samples=1, class_names=["cat", "dog", "owl"])
    assert "cat - owl" in [axes.get_ylabel() for axes in figure.axes]
    figure = Saliency(network(3, 7))(X, target=Token(1, CLASSES)).plot(samples=1)
    assert "token 2 at 1" in [axes.get_ylabel() for axes in figure.axes]


@pytest.mark.parametrize(
    "method", [IntegratedGradients, SmoothGrad, GradientSHAP, lambda model: LIME(model, num_samples=20, segments=4)]
)
def test_the_predicted_region_is_that_of_a_mask(method):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 1))
    model = keras.Model(x, keras.layers.Conv2D(2, 3, padding="same")(x))
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32")
    mask = model.predict(images, verbose=0).argmax(axis=-1) == 1
    made = method(model)
    made._seed = 0
    one, other = (made(images, target=Region(1, each)).values for each in ("predicted", mask))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.abs(one).max() > 0


@pytest.mark.parametrize("position", [4, [0, 1, 2, 3, 4], -5])
@pytest.mark.parametrize("method", [GradientTimesInput, Occlusion])
def test_positions_behind_a_text_of_any_length(method, position):
    model = keras.Sequential([keras.Input((None,)), layers.Embedding(6, 3), layers.Dense(6)])
    with pytest.raises(ValueError, match="Expected `position` from 0 to 3. Received: position="):
        method(model)(np.ones((N, 4)), Token(position, 2))
    assert method(model)(np.ones((N, 5)), Token(position, 2)).values.shape == (N, 5)
