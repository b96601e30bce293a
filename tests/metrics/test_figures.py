"""Metrics that ask no model: exact cases, worst cases, invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_xai.metrics import NeighborSimilarity, PointingGame, RelevanceMass, RelevanceRank, Sparseness
from tests.metrics.examples import explained

X = np.zeros((1, 4, 5, 3), "float32")
MASK = np.zeros((1, 4, 5), bool)
MASK[0, 1:3, 1:4] = True  # 6 of 20 places


def image(values):
    return explained(X, np.asarray(values, "float64").reshape(1, 4, 5, 1))


def test_sparseness_of_one_place_and_of_all():
    one = np.zeros((1, 10))
    one[0, 3] = -7.0
    x = np.zeros((1, 10), "float32")
    assert Sparseness()(explained(x, one)) == pytest.approx(1 - 1 / 10)
    for equal in (np.full((1, 10), 3.0), np.tile([-2.0, 2.0], 5)[None], np.zeros((1, 10))):
        assert Sparseness()(explained(x, equal)) == pytest.approx(0, abs=1e-12)


def test_channels_are_added_before_anything_is_rated():
    values = np.zeros((1, 4, 5, 3))
    values[0, 0, 0] = [1, -1, 0.5]
    values[0, 1, 1] = [0.2, 0.2, 0.2]
    assert PointingGame(MASK)(explained(X, values)) == 1
    assert PointingGame(MASK)(explained(X, np.abs(values))) == 0
    assert RelevanceMass(MASK)(explained(X, values)) == pytest.approx(0.6 / 1.1)


def test_perfect_and_worst_maps():
    for metric in (PointingGame(MASK), RelevanceMass(MASK), RelevanceRank(MASK)):
        assert metric(image(MASK)) == 1
        assert metric(image(~MASK)) == 0


def test_pointing_at_one_of_several_places_and_at_all():
    values = np.zeros((4, 5))
    values[1, 1] = values[0, 0] = 2.0
    assert PointingGame(MASK)(image(values)) == 0.5
    for metric in (PointingGame(MASK), RelevanceMass(MASK)):
        assert metric(image(np.ones((4, 5)))) == pytest.approx(6 / 20)


def test_pointing_close_by():
    values = np.zeros((4, 5))
    values[3, 4] = 1.0  # one step down and one to the right of the object
    assert PointingGame(MASK, tolerance=1)(image(values)) == 0
    assert PointingGame(MASK, tolerance=1.5)(image(values)) == 1


def test_shares_on_the_object():
    values = np.zeros((4, 5))
    values[1, 1], values[0, 0], values[3, 3] = 3.0, 1.0, -5.0
    assert RelevanceMass(MASK)(image(values)) == 0.75
    order = np.zeros((4, 5))
    order[1, 1:4], order[0, 0:3] = [9, 8, 7], [6, 5, 4]
    assert RelevanceRank(MASK)(image(order)) == 0.5
    beyond = np.where(MASK[0], 1.0, 0.0)
    beyond[0], beyond[3, 0] = 5.0, 5.0  # six places, as many as the object has, come before it
    assert RelevanceRank(MASK)(image(beyond)) == 0
    assert np.isnan(RelevanceMass(MASK)(image(-MASK.astype(float)))).all()


def test_a_constant_map_ranks_about_as_chance_would():
    x, mask = np.zeros((1, 40, 50, 1), "float32"), np.zeros((1, 40, 50), bool)
    mask[:, :10] = True  # the top, which an order by number would find first
    assert RelevanceRank(mask)(explained(x, np.zeros((1, 40, 50, 1)))) == pytest.approx(0.25, abs=0.08)


def test_masks_of_several_inputs_series_and_features():
    x = {"a": np.zeros((2, 3, 3, 2), "float32"), "b": np.zeros((2, 4), "float32")}
    masks = {"a": np.zeros((2, 3, 3), bool), "b": np.ones((2, 4), bool)}
    values = {"a": np.ones((2, 3, 3, 1)), "b": np.full((2, 4), 3.0)}
    np.testing.assert_allclose(RelevanceMass(masks)(explained(x, values)), 12 / 21)
    np.testing.assert_array_equal(PointingGame(masks, tolerance=1)(explained(x, values)), 1)
    series = np.eye(6, dtype=bool)[:2]
    assert PointingGame(series)(explained(np.zeros((2, 6, 1), "float32"), np.eye(6)[:2, :, None])).tolist() == [1, 1]
    assert PointingGame(series[..., None])(explained(np.zeros((2, 6, 1), "float32"), np.eye(6)[:2, :, None])).tolist() == [
        1,
        1,
    ]


@pytest.mark.parametrize("metric", [PointingGame, RelevanceMass, RelevanceRank])
def test_masks_that_do_not_fit(metric):
    with pytest.raises(
        ValueError,
        match=r"booleans of the shapes \[\(1, 4, 5\)\]. Received: shapes and dtypes \[\(\(1, 5, 4\), 'bool'\)\]",
    ):
        metric(np.ones((1, 5, 4), bool))(image(MASK))
    with pytest.raises(ValueError, match="'float64'"):
        metric(np.ones((1, 4, 5)))(image(MASK))
    with pytest.raises(ValueError, match="an empty mask for sample 0"):
        metric(~np.ones((1, 4, 5), bool))(image(MASK))


def test_negative_tolerance():
    with pytest.raises(ValueError, match="tolerance=-1"):
        PointingGame(MASK, tolerance=-1)


def test_like_and_unlike_neighbors():
    x = np.array([[0.0], [0.1], [5.0], [5.2]], "float32")
    values = np.array([[1.0], [2.0], [-1.0], [3.0]])
    np.testing.assert_allclose(NeighborSimilarity()(explained(x, values)), [1, 1, -1, -1])
    np.testing.assert_allclose(NeighborSimilarity()(explained(x, np.array([[0.0], [0.0], [0.0], [1.0]]))), [1, 1, 0, 0])
    # Equal samples are each other's neighbors, and not their own.
    np.testing.assert_allclose(
        NeighborSimilarity()(explained(np.zeros((2, 1), "float32"), np.array([[1.0], [-1.0]]))), [-1, -1]
    )


def test_consistency_needs_neighbors():
    with pytest.raises(ValueError, match="at least two samples of real numbers.*Received: 1 samples"):
        NeighborSimilarity()(explained(np.zeros((1, 2), "float32"), np.ones((1, 2))))
    with pytest.raises(ValueError, match="'int32'"):
        NeighborSimilarity()(explained(np.zeros((3, 2), "int32"), np.ones((3, 2))))


VALUES = arrays("float64", (2, 4, 5, 1), elements=st.integers(-8, 8).map(float))


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(-20, 20))
def test_the_unit_of_values_does_not_count(values, power):
    x, masks = np.zeros((2, 4, 5, 3), "float32"), np.repeat(MASK, 2, axis=0)
    first, second = explained(x, values), explained(x, values * 2.0**power)
    for metric in (Sparseness(), PointingGame(masks), RelevanceMass(masks), RelevanceRank(masks)):
        np.testing.assert_allclose(metric(second), metric(first), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_ranges(values):
    x, masks = np.zeros((2, 4, 5, 3), "float32"), np.repeat(MASK, 2, axis=0)
    for metric in (Sparseness(), PointingGame(masks), RelevanceMass(masks), RelevanceRank(masks)):
        found = metric(explained(x, values))
        assert found.shape == (2,) and found.dtype == "float64"
        assert (np.isnan(found) | ((found >= -1e-12) & (found <= 1 + 1e-12))).all()


def test_what_is_rated_is_an_explanation_of_its_samples():
    with pytest.raises(TypeError, match="of type list"):
        Sparseness()([1.0])
    with pytest.raises(ValueError, match=r"values of shape \[\(1, 3, 5, 1\)\] for inputs of shape \[\(1, 4, 5, 3\)\]"):
        Sparseness()(explained(X, np.zeros((1, 3, 5, 1))))
    with pytest.raises(ValueError, match="NaN or infinity"):
        Sparseness()(image(np.full((4, 5), np.inf)))
