"""The linear pieces of trained networks equal the networks, away from the samples that they were found at."""

import numpy as np
import pytest

from keras_xai.openbox import OpenBox
from tests import naive
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import ZOO, in_float32

pytestmark = pytest.mark.onednn

NUM_SAMPLES = 10
NUM_POINTS = 1000  # in each sample's ball
TERMS = 100  # that a score has, weighted sums of the layers one after the other


def _points_in_balls(x, radius, count):
    """`(count, n, *shape)`, uniform in direction, up to the sphere's surface."""
    offsets = np.random.default_rng(3).normal(size=(count, *x.shape))
    length = np.sqrt((offsets**2).sum(axis=tuple(range(2, offsets.ndim)), keepdims=True))
    share = np.random.default_rng(4).uniform(0.2, 0.999, size=length.shape)
    return x + offsets / length * share * radius.reshape(-1, *[1] * (x.ndim - 1))


def _evaluate(local, points):
    flat = points.reshape(*points.shape[:2], -1)
    coef = local.coef.reshape(*local.coef.shape[:2], -1).astype("float64")
    return np.einsum("nkd,pnd->pnk", coef, flat) + local.intercept


@pytest.mark.parametrize("name", quickly(ZOO, "cnn", "residual"))
def test_pieces_are_exact_in_the_certified_ball_in_float64(name, trained, digits):
    model = trained(name)
    logits = naive.logits_model(model)
    x = digits[0][1500 : 1500 + NUM_SAMPLES]
    local = OpenBox(model)(x, verbose=0)
    wall = local.nearest_wall(verbose=0)
    assert (wall.distance > 0).all()

    points = _points_in_balls(x, wall.distance, NUM_POINTS)
    actual = naive.evaluate(logits, points.reshape(-1, 8, 8, 1)).reshape(NUM_POINTS, NUM_SAMPLES, -1)
    error = np.abs(actual - _evaluate(local, points)).max()
    assert error <= rounding("float64", actual, TERMS)

    # The control: at twice the radius along the critical normal another piece is active. Not every change of pattern
    # changes the scores, a unit that its pooling window does not pass on may switch unseen.
    beyond = x + 2 * wall.distance[:, None, None, None] * wall.direction
    control = np.abs(naive.evaluate(logits, beyond) - local.predict(beyond)).max(axis=1)
    assert not local.contains(beyond).any()
    assert control.max() > 1e6 * max(error, 1e-15)


@pytest.mark.parametrize("name", quickly(ZOO, "cnn"))
def test_pieces_are_exact_in_the_certified_ball_in_float32(name, trained, digits):
    model = in_float32(trained(name), name)
    logits = naive.logits_model(model)
    x = digits[0][1500 : 1500 + NUM_SAMPLES]
    local = OpenBox(model)(x, verbose=0)
    assert local.coef.dtype == "float32"
    points = _points_in_balls(x, local.radius(verbose=0), 100)
    actual = naive.evaluate(logits, points.reshape(-1, 8, 8, 1)).reshape(100, NUM_SAMPLES, -1)
    assert np.abs(actual - _evaluate(local, points)).max() <= rounding("float32", actual, TERMS)


@pytest.mark.parametrize("name", quickly(ZOO, "nested"))
def test_pieces_equal_differences_of_the_model(name, trained, digits):
    model = trained(name)
    logits = naive.logits_model(model)
    x = digits[0][1500:1503]
    local = OpenBox(model)(x, verbose=0)
    radius = local.radius(np.inf, verbose=0)
    for i in range(len(x)):
        # A step along one pixel within the ball of the maximum norm stays on the piece.
        weights, intercept = naive.linear_piece(logits, x[i], 0.9 * radius[i])
        tolerance = rounding("float64", local.scores[i], TERMS) / min(radius[i], 1)
        assert np.abs(local.coef[i] - weights).max() < tolerance
        assert np.abs(local.intercept[i] - intercept).max() < 100 * tolerance


def test_logits_become_the_models_probabilities(trained, digits):
    x = digits[0][:20]
    local = OpenBox(trained("cnn"))(x, verbose=0)
    probabilities = np.exp(local.predict(x) - local.scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, naive.evaluate(trained("cnn"), x), atol=1e-12)


def test_samples_of_one_region_have_one_piece(trained, digits):
    model = trained("mlp")
    x = digits[0][1500:1510]
    wall = OpenBox(model)(x, verbose=0).nearest_wall(verbose=0)
    within = x + 0.5 * wall.distance[:, None, None, None] * wall.direction
    beyond = x + 1.5 * wall.distance[:, None, None, None] * wall.direction
    box = OpenBox(model)
    at, near, far = (box(points, verbose=0) for points in (x, within, beyond))
    assert (at.region_id == near.region_id).all()
    assert (at.region_id != far.region_id).all()
    np.testing.assert_allclose(at.coef, near.coef, rtol=0, atol=rounding("float64", at.coef, TERMS))
    np.testing.assert_allclose(at.intercept, near.intercept, rtol=0, atol=rounding("float64", at.scores, TERMS))


def test_float64_pieces_of_a_float32_model(trained, digits):
    """The box computes a float32 model in double precision, without changing or copying its weights."""
    model = in_float32(trained("cnn"), "cnn")
    x = digits[0][1500:1505]
    local = OpenBox(model, dtype="float64")(x, verbose=0)
    reference = OpenBox(trained("cnn"))(x, verbose=0)
    assert local.coef.dtype == "float64"
    # The float32 copy rounds the weights, so that only as much agreement is to be had between the two.
    np.testing.assert_allclose(local.coef, reference.coef, rtol=0, atol=rounding("float32", reference.coef, 20))
    inside = x + 0.9 * np.minimum(local.exit_distance(np.ones_like(x)), 1)[:, None, None, None]
    again = OpenBox(model, dtype="float64")(inside, verbose=0)
    np.testing.assert_allclose(again.scores, local.predict(inside), atol=1e-12)
