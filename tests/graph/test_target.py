"""Which score is explained, and that it is a logit."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.graph import trace
from keras_xai.graph.target import resolve_target
from keras_xai.kinds.expansion import expand
from keras_xai.kinds.links import strip_probabilities

SCORES = np.array([[1.0, 5.0, 2.0], [7.0, 3.0, 4.0]])


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
    np.testing.assert_allclose(resolve_target(target, ops.convert_to_tensor(SCORES)), expected)


def test_targets_of_several_outputs():
    scores = {"a": SCORES, "b": 10 * SCORES}
    np.testing.assert_allclose(resolve_target({"b": [0, 1]}, scores), [10.0, 30.0])
    np.testing.assert_allclose(resolve_target({"a": None, "b": 2}, scores), [25.0, 47.0])


@pytest.mark.parametrize("target", [3, -1, [0, 3], [0, 1, 2], 0.5, "cat", [[0], [1]], lambda scores: scores])
def test_bad_targets(target):
    with pytest.raises(ValueError, match="Received"):
        resolve_target(target, SCORES)


@pytest.mark.parametrize("target", [None, 1, {}, {"c": 0}])
def test_bad_targets_of_several_outputs(target):
    with pytest.raises(ValueError, match="Received"):
        resolve_target(target, {"a": SCORES, "b": SCORES})


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
