"""Full descriptions, certified facets and labels of polytopes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from keras_xai.openbox import OpenBox
from keras_xai.openbox.geometry.redundancy import facets, largest_ball
from tests import naive
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import in_dtype


def _network(num_dims, widths, seed=0, num_classes=3):
    keras.utils.set_random_seed(seed)
    with in_dtype("float64"):
        hidden = [keras.layers.Dense(width, "relu", bias_initializer="random_normal") for width in widths]
        return keras.Sequential([keras.Input((num_dims,)), *hidden, keras.layers.Dense(num_classes)])


@pytest.mark.parametrize("bounds", [None, (-2.0, 2.0)])
@pytest.mark.parametrize(
    "num_dims, widths",
    [
        (2, (12, 12)),
        (5, (16, 12)),
        *(pytest.param(*large, marks=pytest.mark.slow) for large in [(30, (30, 20)), (64, (40, 30))]),
    ],
)
def test_minimal_description_agrees_with_a_linear_program_for_each_row(num_dims, widths, bounds):
    model = _network(num_dims, widths)
    x = np.random.default_rng(1).uniform(-1.5, 1.5, size=(3, num_dims))
    local = OpenBox(model)(x, verbose=0)
    for i in range(len(x)):
        polytope = local.polytope(i, bounds=bounds)
        found = polytope.facets()
        expected = naive.facets(polytope.normals, polytope.values)
        assert {(label.layer, label.unit) for label in map(polytope.label, expected)} == set(
            zip(found.layer, found.unit, strict=True)
        )
        assert len(found) == len(expected)
        assert (np.diff(found.distance) >= 0).all()


def test_leaving_a_facet_out_lets_the_polytope_grow_and_leaving_another_row_out_does_not():
    local = OpenBox(_network(6, (20, 20)))(np.ones((1, 6)), verbose=0)
    polytope = local.polytope(0)
    rows, values = polytope.normals, polytope.values
    kept = facets(rows, values)
    for i in range(len(rows)):
        others = np.delete(np.arange(len(rows)), i)
        result = linprog(rows[i], A_ub=-rows[others], b_ub=values[others], bounds=(None, None))
        grows = result.status == 3 or result.fun + values[i] < -1e-7 * values[i]
        assert grows == (i in kept)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 25))
def test_description_is_minimal_whatever_the_half_spaces(seed, num_dims, num_rows):
    generator = np.random.default_rng(seed)
    rows, values = generator.normal(size=(num_rows, num_dims)), generator.uniform(0.1, 2.0, num_rows)
    doubled = generator.uniform(0.5, 2.0, num_rows)[:, np.newaxis]  # each half-space a second time, in other units
    found = facets(np.vstack([rows, doubled * rows]), np.append(values, doubled[:, 0] * values))
    np.testing.assert_array_equal(found, naive.facets(rows, values))


def test_polytope_is_the_region(trained, digits):
    """Its constraints hold exactly at the points that have the sample's pattern."""
    x = digits[0][1500:1502]
    box = OpenBox(trained("cnn"))
    local = box(x, verbose=0)
    polytope = local.polytope(0)
    direction = np.random.default_rng(0).normal(size=(50, *x.shape[1:]))
    there = np.repeat(x[:1], 50, axis=0)
    step = box(there, verbose=0).exit_distance(direction)[:, np.newaxis, np.newaxis, np.newaxis]
    assert polytope.contains(there + 0.999 * step * direction).all()
    assert not polytope.contains(there + 1.001 * step * direction).any()
    assert len(polytope) == len(polytope.values) == len(polytope.normals)
    np.testing.assert_array_equal(polytope.x, x[0])


@pytest.mark.parametrize("name", quickly(["mlp", "cnn", "residual"], "cnn"))
def test_nearest_facets_are_facets(name, trained, digits):
    x = digits[0][1500:1503]
    local = OpenBox(trained(name))(x, verbose=0)
    nearest = local.nearest_facets(5, verbose=0)
    wall = local.nearest_wall(verbose=0)
    for i, found in enumerate(nearest):
        assert len(found) == 5 and found.normal.shape == (5, 8, 8, 1)
        np.testing.assert_allclose(found.distance[0], wall.distance[i], rtol=1e-9, atol=rounding("float64", terms=200))
        assert (np.diff(found.distance) >= 0).all()
        polytope = local.polytope(i)
        rows = polytope.normals.reshape(len(polytope), -1)
        labels = [(polytope.label(j).layer, polytope.label(j).unit) for j in range(len(polytope))]
        for layer, unit, normal, value in zip(found.layer, found.unit, found.normal, found.value, strict=True):
            row = labels.index((layer, unit))
            np.testing.assert_allclose(normal.reshape(-1), rows[row], atol=1e-10)
            # Just beyond its own plane, at its foot, no other constraint is broken: so it is no other's consequence.
            beyond = -(1 + 1e-6) * value * normal.reshape(-1) / (normal**2).sum()
            slack = rows @ beyond + polytope.values
            broken = np.flatnonzero(slack < 0)
            cosine = rows[broken] @ rows[row] / np.linalg.norm(rows[broken], axis=1) / np.linalg.norm(rows[row])
            assert row in broken and (cosine > 1 - 1e-9).all()


def test_walls_that_are_nearest_beyond_others_are_not_among_the_nearest_facets():
    """The unit square's corner cut far outside: the cut's plane is third in distance, and no facet."""
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu", name="hidden"), keras.layers.Dense(1)])
    # x < 1, y < 1, x + y < 2.2 (implied by these two), x > -3
    model.layers[0].set_weights([np.array([[-1.0, 0, -1, 1], [0, -1, -1, 0]]), np.array([1.0, 1, 2.2, 3])])
    local = OpenBox(model)(np.array([[0.0, 0.1]]), verbose=0)
    (found,) = local.nearest_facets(3, verbose=0)
    assert found.unit == ((1,), (0,), (3,))
    np.testing.assert_allclose(found.distance, [0.9, 1.0, 3.0])
    assert found.reason[0] == "the input of unit (1,) of hidden.relu stays above 0"
    (all_of_them,) = local.nearest_facets(4, verbose=0)
    assert all_of_them.unit == found.unit
    polytope = local.polytope(0, bounds=(-2, [np.inf, 0.5]))
    everything = polytope.facets()
    assert set(zip(everything.layer, everything.unit, strict=True)) == {
        ("input", (0,)),
        ("input", (1,)),
        ("hidden.relu", (0,)),
    } | {("input", (1,))}
    assert "entry (1,) of the input stays below 0.5" in everything.reason
    center, radius = polytope.center()
    np.testing.assert_allclose(radius, 1.25)
    assert polytope.contains(center[np.newaxis])[0]


def test_reasons_of_pooling_name_the_candidates():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((4, 1)), keras.layers.MaxPooling1D(2, name="pool"), keras.layers.Flatten()])
    (found,) = OpenBox(model)(np.array([[[1.0], [2.0], [5.0], [3.0]]]), verbose=0).nearest_facets(2, verbose=0)
    assert found.reason == (
        "candidate 1 at (0, 0) of pool stays at least as large as candidate 0",
        "candidate 0 at (1, 0) of pool stays at least as large as candidate 1",
    )


# ReLUs and pooling, two thresholds, a maximum of two layers, three pieces.
@pytest.mark.parametrize("name", quickly(["cnn", "depthwise", "shared", "nested"], "shared"))
def test_every_facet_has_a_reason(name, trained, digits):
    (found,) = OpenBox(trained(name))(digits[0][1510:1511], verbose=0).nearest_facets(3, verbose=0)
    assert all("stays" in reason and layer in reason for reason, layer in zip(found.reason, found.layer, strict=True))


def test_largest_ball_touches_and_needs_a_bounded_polytope():
    square = np.vstack([np.eye(2), -np.eye(2)])
    center, radius = largest_ball(square, np.array([1.0, 2.0, 3.0, 2.0]))
    assert radius == pytest.approx(2.0) and -1 <= center[0] <= 1.0001 and center[1] == pytest.approx(0)
    with pytest.raises(RuntimeError, match="unbounded"):
        largest_ball(square[:2], np.ones(2))
    assert largest_ball(square[:2], np.ones(2), limit=7.0)[1] == pytest.approx(7.0)


def test_failures_are_told():
    local = OpenBox(_network(4, (6,)))(np.zeros((2, 4)) + 0.3, verbose=0)
    with pytest.raises(ValueError, match=r"index of one of 2 samples. Received: index=2"):
        local.polytope(2)
    with pytest.raises(ValueError, match=r"no greater than the upper ones. Received: 1 and 0"):
        local.polytope(0, bounds=(1, 0))
    with pytest.raises(
        ValueError, match=r"bounds that 1 of 1 samples exceed; sample 0 has an entry 0.3 between limits 0.5 and 1"
    ):
        local.polytope(0, bounds=(0.5, 1))
    with pytest.raises(ValueError, match=r"shape of a sample, \[\(4,\)\]. Received: \[\(3,\)\]"):
        local.polytope(0, bounds=(np.zeros(3), 1))
    with pytest.raises(ValueError, match="pair"):
        local.polytope(0, bounds=3)
    with pytest.raises(ValueError, match="NaN"):
        local.polytope(0, bounds=(np.nan, 1))
    for k in (0, 2.5):
        with pytest.raises(ValueError, match="integer of at least 1"):
            local.nearest_facets(k)
    assert [len(each) <= 6 for each in local.nearest_facets(7, verbose=0)] == [True] * len(local)
    with pytest.raises(ValueError, match="max_passes"):
        local.polytope(0, max_passes=3)
    with pytest.raises(RuntimeError, match="unbounded"):
        local.polytope(0).center()
    with pytest.raises(ValueError, match="points of shape"):
        local.polytope(0).contains(np.zeros((1, 3)))
    with pytest.raises(IndexError, match="from 0 to 5"):
        local.polytope(0).label(6)


def test_a_flat_polytope_is_told():
    """A constant patch leaves a polytope without interior: nothing is claimed about it."""
    with pytest.raises(RuntimeError, match="no interior"):
        facets(np.array([[1.0, 0], [-1.0, 0], [0, 1]]), np.array([0.0, 0.0, 1.0]))


def test_a_linear_model_has_no_facets():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    local = OpenBox(model)(np.ones((1, 3)), verbose=0)
    assert len(local.polytope(0)) == len(local.polytope(0).facets()) == 0
    assert len(local.polytope(0, bounds=(0, 2)).facets()) == 6
