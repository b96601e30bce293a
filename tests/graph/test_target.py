"""Which score is explained, and that it is a logit."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from tf_keras_vis.utils.scores import BinaryScore, CategoricalScore, InactiveScore

from keras_xai.graph import trace
from keras_xai.graph.target import Target
from keras_xai.kinds.expansion import expand
from keras_xai.kinds.links import strip_probabilities

SCORES = np.array([[1.0, 5.0, 2.0], [7.0, 3.0, 4.0]])


def resolved(target, scores):
    """The explained score of each sample, `(n,)`; `scores` is a tensor `(n, classes)`, or a dict of them by output name."""
    outputs = list(scores.values()) if isinstance(scores, dict) else [scores]
    names = list(scores) if isinstance(scores, dict) else ["output"]
    chosen = Target(
        target, names, [each.shape for each in outputs], len(outputs[0]), keras.backend.standardize_dtype(outputs[0].dtype)
    )
    return chosen.choose(outputs, chosen.indices)[0]


@pytest.mark.parametrize(
    "target, expected",
    [
        (None, [5.0, 7.0]),
        (2, [2.0, 4.0]),
        (np.int64(0), [1.0, 7.0]),
        ([2, 1], [2.0, 3.0]),
        (lambda scores: scores[:, 0] - scores[:, 1], [-4.0, 4.0]),
    ],
)
def test_targets(target, expected):
    np.testing.assert_allclose(resolved(target, ops.convert_to_tensor(SCORES)), expected)


def test_targets_of_several_outputs():
    scores = {"a": SCORES, "b": 10 * SCORES}
    np.testing.assert_allclose(resolved({"b": [0, 1]}, scores), [10.0, 30.0])
    np.testing.assert_allclose(resolved({"a": None, "b": 2}, scores), [25.0, 47.0])


@pytest.mark.parametrize("target", [3, -1, [0, 3], [0, 1, 2], 0.5, "cat", [[0], [1]], lambda scores: scores])
def test_bad_targets(target):
    with pytest.raises(ValueError, match="Received"):
        resolved(target, SCORES)


@pytest.mark.parametrize("target", [None, 1, {}, {"c": 0}])
def test_bad_targets_of_several_outputs(target):
    with pytest.raises(ValueError, match="Received"):
        resolved(target, {"a": SCORES, "b": SCORES})


@pytest.mark.parametrize(
    "head, num_steps",
    [
        (lambda x: layers.Dense(3, "softmax")(x), 1),
        (lambda x: layers.Dense(1, "sigmoid")(x), 1),
        (lambda x: layers.Softmax()(layers.Dense(3)(x)), 1),
        (lambda x: layers.Activation("softmax")(layers.Dense(3)(x)), 1),
        (lambda x: ops.softmax(layers.Dense(3)(x)), 1),
        (lambda x: layers.Dense(3)(x), 1),
        (lambda x: layers.Dense(3, "relu")(x), 2),  # not a probability
        (lambda x: layers.Softmax(axis=1)(layers.Reshape((3, 1))(layers.Dense(3)(x))), 3),  # over another axis
        (lambda x: layers.Dense(2)(layers.Dense(3, "softmax")(x)), 3),  # not at the end
    ],
)
def test_only_a_final_softmax_or_sigmoid_is_left_out(head, num_steps):
    x = keras.Input((4,))
    graph = expand(trace(keras.Model(x, head(x))))
    assert len(strip_probabilities(graph).steps) == num_steps


def test_steps_that_other_outputs_need_are_dropped():
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(2, name="a")(x), layers.Dense(3, name="b")(x)])
    graph = trace(model)
    only = strip_probabilities(
        type(graph)(**{**vars(graph), "outputs": graph.outputs[:1], "output_specs": graph.output_specs[:1]})
    )
    assert [step.path for step in only.steps] == ["a"]


def per_sample(scores):
    return [scores[0][2], scores[1][1]]


@pytest.mark.parametrize(
    "target, expected",
    [
        (lambda scores: (scores[0][2], scores[1][1]), [2.0, 3.0]),
        (lambda scores: ops.stack([scores[0, 2], scores[1, 1]]), [2.0, 3.0]),
        (lambda scores: scores[:, 0] * np.array([1.0, -1.0]), [1.0, -7.0]),
        (lambda scores: [row[1] for row in scores], [5.0, 3.0]),
        (CategoricalScore([2, 1]), [2.0, 3.0]),
        (CategoricalScore(0), [1.0, 7.0]),
        ([CategoricalScore(0)], [1.0, 7.0]),
    ],
)
def test_callables_of_all_samples_at_once(target, expected):
    np.testing.assert_allclose(resolved(target, ops.convert_to_tensor(SCORES)), expected)


@pytest.mark.parametrize("target", [per_sample, CategoricalScore([2, 1]), BinaryScore([True, False])])
def test_a_score_follows_its_sample(target):
    """Rows of a batch are samples in any order and number: each gets the value that it has among all samples."""
    scores = SCORES[:, :1] if isinstance(target, BinaryScore) else SCORES
    found = Target(target, ["output"], [scores.shape], 2, "float64")
    samples = np.array([1, 0, 1, 1])
    rows = scores[samples] + np.arange(4.0)[:, np.newaxis]
    expected = [
        np.asarray(target(np.where(np.arange(2)[:, None] == i, row, 0.0)))[i] for row, i in zip(rows, samples, strict=True)
    ]
    chosen, _ = found.choose([ops.convert_to_tensor(rows)], [index[samples] for index in found.indices])
    np.testing.assert_allclose(chosen, expected)
    swapped, _ = found.choose([ops.convert_to_tensor(rows)], [index[1 - samples] for index in found.indices])
    assert not np.allclose(swapped, expected)


def test_only_callables_of_all_samples_are_called_for_one_at_a_time():
    def row_wise(scores):
        return scores[:, 0] - scores[:, 1]

    assert Target(row_wise, ["output"], [(None, 3)], 2).choices == [(0, row_wise)]
    bound = [Target(per_sample, ["output"], [(None, 3)], 2) for _ in range(2)]
    assert bound[0].choices == bound[1].choices != [(0, per_sample)]
    assert bound[0].key == bound[1].key


def test_scores_of_places_are_averaged_as_in_tf_keras_vis():
    maps = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    found = resolved(CategoricalScore([2, 0]), ops.convert_to_tensor(maps))
    np.testing.assert_allclose(found, [maps[0, ..., 2].mean(), maps[1, ..., 0].mean()])


def test_scores_of_several_outputs():
    scores = {"a": SCORES, "b": 10 * SCORES}
    np.testing.assert_allclose(resolved([CategoricalScore([0, 1]), CategoricalScore(2)], scores), [21.0, 43.0])
    np.testing.assert_allclose(resolved([InactiveScore(), CategoricalScore([0, 1])], scores), [10.0, 30.0])
    np.testing.assert_allclose(resolved({"a": InactiveScore(), "b": CategoricalScore([0, 1])}, scores), [10.0, 30.0])
    np.testing.assert_allclose(resolved([lambda scores: scores[:, 0], InactiveScore()], scores), [1.0, 7.0])


@pytest.mark.parametrize(
    "target, scores, message",
    [
        (CategoricalScore([0, 1, 2]), SCORES, "one target per sample, 2"),
        (CategoricalScore(3), SCORES, "from 0 to 2"),
        (BinaryScore(True), SCORES, r"\(batch_size, 1\)"),
        (BinaryScore([True, False, True]), SCORES[:, :1], "which failed on them"),
        (InactiveScore(), SCORES, "InactiveScore"),
        ([InactiveScore(), InactiveScore()], {"a": SCORES, "b": SCORES}, "InactiveScore"),
        ([CategoricalScore(0)], {"a": SCORES, "b": SCORES}, "list of 1"),
        (lambda scores: [scores[0], scores[1]], SCORES, "one value per sample"),
        (lambda scores: [scores[0][0]], SCORES, "one value per sample"),
        (lambda scores: [scores[0][0], scores[1]], SCORES, "one value per sample"),
        (lambda scores: None, SCORES, "one value per sample"),
    ],
)
def test_malformed_scores(target, scores, message):
    with pytest.raises(ValueError, match=message):
        resolved(target, scores)
