"""Lines divided into linear pieces: breakpoints against bisection, integrated gradients against sums of many steps."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_xai.openbox import OpenBox
from keras_xai.openbox.partition.decisions import crossings
from keras_xai.openbox.partition.line import line
from tests import naive
from tests.slow import quickly
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

NAMES = quickly(["mlp", "cnn", "residual", "shared", "nested"], "nested")


@pytest.fixture(scope="module")
def lines(trained, digits):
    """A function from a name in the zoo to the box, and a line from one digit to another."""
    made = {}

    def make(name):
        if name not in made:
            box = OpenBox(trained(name), batch_size=128)
            made[name] = box, line(box, *digits[0][1500:1502], verbose=0)
        return made[name]

    return make


def _bisected(box, way, width):
    """All breakpoints, to `width`, from the names of the regions alone.

    Where both ends of an interval are in one region, so is all of it, regions being convex.
    """

    def names(t):
        return box(way.inputs(t), outputs=[0], verbose=0).region_id.tolist()

    low, high = names(np.array([0.0, 1.0]))
    intervals = [(0.0, low, 1.0, high)]
    found = []
    while intervals:
        middles = np.array([(low + high) / 2 for low, _, high, _ in intervals])
        halves = []
        for (low, first, high, last), middle, name in zip(intervals, middles, names(middles), strict=True):
            halves += [(low, first, middle, name), (middle, name, high, last)]
        mixed = [half for half in halves if half[1] != half[3]]
        found += [(low + high) / 2 for low, _, high, _ in mixed if high - low <= width]
        intervals = [half for half in mixed if half[2] - half[0] > width]
    return np.sort(found)


@pytest.mark.parametrize("name", NAMES)
def test_breakpoints_equal_those_of_bisection(name, lines):
    box, way = lines(name)
    assert way.breakpoints[0] == 0 and way.breakpoints[-1] == 1 and (np.diff(way.breakpoints) > 0).all()
    np.testing.assert_allclose(way.breakpoints[1:-1], _bisected(box, way, 1e-10), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_segments_are_their_regions_and_scores_those_of_the_network(name, lines):
    box, way = lines(name)
    assert len(set(way.region_id)) == len(way) > 2
    middles = (way.breakpoints[:-1] + way.breakpoints[1:]) / 2
    assert (box(way.inputs(middles), outputs=[0], verbose=0).region_id == way.region_id).all()
    assert (way.find(middles) == np.arange(len(way))).all()
    t = np.random.default_rng(0).uniform(size=500)
    np.testing.assert_allclose(way.scores(t), box(way.inputs(t), outputs=[0], verbose=0).scores, rtol=0, atol=1e-10)
    # The slopes are found apart from the scores.
    rises = np.diff(way.breakpoint_scores, axis=0)
    np.testing.assert_allclose(np.diff(way.breakpoints)[:, np.newaxis] * way.slopes, rises, rtol=0, atol=1e-11)
    assert way.find(np.array([-0.1, 0.0, 1.0, 1.1])).tolist() == [-1, 0, len(way) - 1, -1]
    assert np.isnan(way.scores([-0.1, 1.1])).all()


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_are_complete(name, lines):
    _, way = lines(name)
    for target in (None, 3):
        gradients = way.integrated_gradients(target, verbose=0)
        assert gradients.convergence_delta < 1e-9
        assert gradients.attribution.sum() == pytest.approx(gradients.difference, abs=1e-9)
        assert gradients.attribution.shape == (8, 8, 1)
    # Segments that begin too late by a thousandth are enough to see it.
    late = dataclasses.replace(way, breakpoints=way.breakpoints**1.001)
    assert late.integrated_gradients(3, verbose=0).convergence_delta > 1e-6


def test_integrated_gradients_equal_a_sum_of_many_steps(trained, lines):
    _, way = lines("cnn")
    start, end = way.inputs([0.0, 1.0])
    logits = naive.logits_model(trained("cnn"))
    steps = 20_000
    gradients = []
    for t in np.array_split((np.arange(steps) + 0.5) / steps, 20):
        points = tf.constant(start + t[:, np.newaxis, np.newaxis, np.newaxis] * (end - start))
        with tf.GradientTape() as tape:
            tape.watch(points)
            score = tf.reduce_sum(logits(points, training=False)[:, 7])
        gradients.append(tape.gradient(score, points).numpy())
    gradients = np.concatenate(gradients)
    expected = gradients.mean(axis=0) * (end - start)
    # Within one step, at most the jumps of the gradient are counted on the wrong side.
    error = np.abs(np.diff(gradients, axis=0)).sum(axis=0) / steps * np.abs(end - start)
    assert error.max() < 1e-3
    exact = way.integrated_gradients(7, verbose=0).attribution
    assert (np.abs(exact - expected) <= error + 1e-12).all()
    # A sum of few steps is not within that error.
    few = gradients[:: steps // 20].mean(axis=0) * (end - start)
    assert (np.abs(few - expected) > error).mean() > 0.5


def test_a_linear_model_is_one_segment():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    start, end = np.random.default_rng(0).normal(size=(2, 5))
    way = line(OpenBox(model), start, end, verbose=0)
    np.testing.assert_array_equal(way.breakpoints, [0.0, 1.0])
    kernel = model.layers[0].get_weights()[0]
    np.testing.assert_allclose(way.integrated_gradients(2, verbose=0).attribution, kernel[:, 2] * (end - start))


@pytest.mark.parametrize("name", NAMES)
def test_two_classes_have_the_highest_score_at_crossings(name, lines):
    box, way = lines(name)
    assert len(way.crossings) >= 1 and (np.diff(way.crossings) > 0).all()
    assert (way.classes[1:] != way.classes[:-1]).all()
    scores = box(way.inputs(way.crossings), outputs=[0], verbose=0).scores
    rows = np.arange(len(scores))
    for classes in (way.classes[:-1], way.classes[1:]):
        np.testing.assert_allclose(scores[rows, classes], scores.max(axis=1), rtol=0, atol=1e-10)
    t = np.random.default_rng(3).uniform(size=1000)
    expected = box(way.inputs(t), outputs=[0], verbose=0).scores.argmax(axis=1)
    assert (way.classes[np.searchsorted(way.crossings, t)] == expected).all()


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_crossings_of_any_scores(data):
    """Small integers, so that scores are often equal, three of them at once too, and at the ends."""
    k, num_classes = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 4))
    rows = st.lists(st.integers(-2, 2), min_size=num_classes, max_size=num_classes)
    scores = np.array(data.draw(st.lists(rows, min_size=k, max_size=k)), float)
    t = np.linspace(0, 1, k)
    places, classes = crossings(t, scores)
    assert (np.diff(places) > 0).all() and len(classes) == len(places) + 1 and (np.diff(classes) != 0).all()
    dense = np.linspace(0, 1, 241)
    values = np.stack([np.interp(dense, t, column) for column in scores.T], axis=1)
    winner = classes[np.searchsorted(places, dense)]
    np.testing.assert_allclose(values[np.arange(len(dense)), winner], values.max(axis=1), rtol=0, atol=1e-12)


def test_points_on_walls():
    """The middle of the line is on all walls, two of which leave no region between them."""
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.array([[1.0, -1.0, 2.0]]), np.zeros(3)])
    model.layers[1].set_weights([np.array([[1.0], [1.0], [0.0]]), np.full(1, -0.5)])
    way = line(OpenBox(model), [-1.0], [1.0], verbose=0)
    np.testing.assert_allclose(way.breakpoints, [0.0, 0.5, 1.0], atol=1e-15)
    # |x| - 1/2 alone is compared with zero.
    np.testing.assert_allclose(way.crossings, [0.25, 0.75])
    assert way.classes.tolist() == [1, 0, 1]
    assert way.integrated_gradients(verbose=0).convergence_delta < 1e-14


def test_several_inputs():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        a, b = keras.Input((3,), name="a"), keras.Input((2, 2), name="b")
        joined = keras.layers.Concatenate()([a, keras.layers.Flatten()(b)])
        hidden = keras.layers.Dense(9, "relu", bias_initializer="normal")(joined)
        box = OpenBox(keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(hidden)), batch_size=4)
    generator = np.random.default_rng(0)
    start, end = ({"a": generator.normal(size=3), "b": generator.normal(size=(1, 2, 2))} for _ in range(2))
    way = line(box, start, end, verbose=0)
    gradients = way.integrated_gradients(verbose=0)
    assert {name: array.shape for name, array in gradients.attribution.items()} == {"a": (3,), "b": (2, 2)}
    assert gradients.convergence_delta < 1e-12
    t = np.linspace(0, 1, 30)
    inside = box(way.inputs(t), verbose=0)
    assert (way.region_id[way.find(t)] == inside.region_id).all()
    np.testing.assert_allclose(way.scores(t), inside.scores, rtol=0, atol=1e-12)


def test_compiled_with_xla(trained, digits, lines):
    _, expected = lines("mlp")
    way = line(OpenBox(trained("mlp"), jit_compile=True, batch_size=4), *digits[0][1500:1502], verbose=0)
    np.testing.assert_allclose(way.breakpoints, expected.breakpoints, rtol=0, atol=1e-10)
    assert way.integrated_gradients(verbose=0).convergence_delta < 1e-9


def test_bad_arguments(trained, digits, lines):
    box, way = lines("mlp")
    x = digits[0]
    with pytest.raises(ValueError, match="Expected `start` and `end` to be different inputs"):
        line(box, x[0], x[0], verbose=0)
    with pytest.raises(ValueError, match="larger than rounding error"):
        line(box, x[0] + 1, x[0] + 1 + 1e-15, verbose=0)
    with pytest.raises(ValueError, match="Expected `end` to be one input. Received: 3"):
        line(box, x[0], x[:3], verbose=0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        line(box, x[0], np.full_like(x[0], np.nan), verbose=0)
    for target in (-1, 10, 0.5):
        with pytest.raises(ValueError, match="Expected `target` to be the index of a score, from 0 to 9"):
            way.integrated_gradients(target, verbose=0)
    with pytest.raises(ValueError, match="array of shape"):
        way.scores(0.5)


def test_weights_that_have_changed():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
    way = line(OpenBox(model), [0.0, 0.0], [1.0, 1.0], verbose=0)
    model.set_weights([1.5 * weight for weight in model.get_weights()])
    with pytest.raises(RuntimeError, match="weights have changed"):
        way.integrated_gradients(verbose=0)
