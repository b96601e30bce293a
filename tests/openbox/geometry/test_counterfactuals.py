"""Decision boundaries inside regions, held against general solvers and the network itself."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, nnls

from keras_xai.openbox import OpenBox
from keras_xai.openbox.geometry.projection import Constraints, nearest_step
from tests.slow import quickly
from tests.zoo import in_dtype

NORMS = (1, 2, np.inf)


def _nothing_more(step):
    return np.zeros((0, len(step))), np.zeros(0)


@pytest.fixture(scope="module")
def spirals():
    """A network of two inputs and three classes, whose regions mostly hold a piece of the decision boundary."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 600)
    radius = generator.uniform(0.2, 1, 600)
    angle = 2 * np.pi * labels / 3 + 2 * radius
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + generator.normal(scale=0.05, size=(600, 2))
    with in_dtype("float64"):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(12, "relu"),
                keras.layers.Dense(8, "relu"),
                keras.layers.Dense(3, "softmax"),
            ]
        )
        model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
        model.fit(x, labels, epochs=15, verbose=0)
    # Every other one near the decision boundary, so that many have a counterfactual and many none, however it was trained.
    scores = np.sort(model(x), axis=1)
    order = np.argsort(scores[:, -1] - scores[:, -2])
    return model, x[np.stack([order[5:25], order[-20:]], axis=1).ravel()]


def _solved(rows, values, norm):
    """The least norm under `rows s + values >= 0` by a general solver, `inf` if no s satisfies all constraints."""
    count, num_dims = rows.shape
    if norm == 2:  # as nonnegative least squares, by Lawson and Hanson (1974), chapter 23
        system = np.vstack([rows.T, -values])
        residual = system @ nnls(system, np.eye(num_dims + 1)[-1])[0] - np.eye(num_dims + 1)[-1]
        return np.linalg.norm(residual[:-1] / residual[-1]) if np.linalg.norm(residual) > 1e-9 else np.inf
    unit, bound = np.eye(num_dims), np.ones((num_dims, 1))
    program = np.block([[-rows, np.zeros((count, 1))], [unit, -bound], [-unit, -bound]])
    limits = np.append(values, np.zeros(2 * num_dims))
    result = linprog(np.eye(num_dims + 1)[-1], A_ub=program, b_ub=limits, bounds=(None, None))
    assert result.status in (0, 2), result.message
    return result.fun if result.status == 0 else np.inf


@pytest.mark.parametrize("norm", [2, np.inf])
def test_counterfactual_is_the_nearest_that_a_general_solver_finds(norm, spirals):
    model, x = spirals
    local = OpenBox(model)(x[:15], verbose=0)
    found = local.counterfactuals(norm=norm, bounds=(-2, 2), verbose=0)
    for i in range(len(local)):
        polytope = local.polytope(i, bounds=(-2, 2))
        winner = local.scores[i].argmax()
        least = np.inf
        for rival in np.delete(np.arange(3), winner):
            rows = np.vstack([polytope.normals, local.coef[i, rival] - local.coef[i, winner]])
            values = np.append(polytope.values, local.scores[i, rival] - local.scores[i, winner] - 1e-6)
            least = min(least, _solved(rows, values, norm))
        np.testing.assert_allclose(found.distance[i], least, rtol=1e-5)  # linear programs are solved to 1e-7
    assert np.isfinite(found.distance).sum() >= 3 and np.isinf(found.distance).sum() >= 1


@pytest.mark.parametrize("norm", NORMS)
def test_the_network_agrees_with_every_counterfactual(norm, spirals):
    model, x = spirals
    local = OpenBox(model)(x, verbose=0)
    found = local.counterfactuals(norm=norm, bounds=(-2, 2), verbose=0)
    there = np.isfinite(found.distance)
    assert there.sum() >= 5
    assert found.verified[there].all() and not found.verified[~there].any()
    scores = np.asarray(model(found.x[there], training=False))
    np.testing.assert_array_equal(scores.argmax(axis=1), found.label[there])
    assert np.isnan(found.x[~there]).all() and (found.label[~there] == -1).all()
    assert (found.distance >= found.plane_distance - 1e-12).all()
    # Nothing nearer would do: just before, and still in the region, the network holds on to the sample's class.
    before = x[there] + 0.99 * (found.x - x)[there]
    np.testing.assert_array_equal(np.asarray(model(before)).argmax(axis=1), local.scores[there].argmax(axis=1))
    inside = np.where(np.isnan(found.x), x, x + 0.9999 * (found.x - x))
    assert local.contains(inside).all()


def test_a_target_wins_over_all_classes(spirals):
    model, x = spirals
    local = OpenBox(model)(x, verbose=0)
    target = (local.scores.argmax(axis=1) + 1) % 3
    found = local.counterfactuals(target, verbose=0)
    there = found.label >= 0
    assert there.any() and (found.label[there] == target[there]).all() and found.verified[there].all()
    nearest = local.counterfactuals(verbose=0)
    assert (found.distance >= nearest.distance - 1e-9).all()


def test_within_leaves_out_what_is_farther(spirals):
    model, x = spirals
    local = OpenBox(model)(x, verbose=0)
    everything = local.counterfactuals(verbose=0)
    limit = 1.0001 * np.median(everything.distance[np.isfinite(everything.distance)])
    near = local.counterfactuals(within=limit, verbose=0)
    np.testing.assert_array_equal(np.isfinite(near.distance), everything.distance <= limit)


def test_one_score_stands_for_two_classes():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    model.layers[0].set_weights([np.array([[3.0], [4.0]]), np.array([-5.0])])
    found = OpenBox(model)(np.array([[0.0, 0.0], [3.0, 4.0]]), verbose=0).counterfactuals(verbose=0)
    np.testing.assert_allclose(found.distance, [1.0, 4.0], atol=1e-6)
    assert found.label.tolist() == [1, 0] and found.verified.all()


@pytest.mark.parametrize("dtype", quickly(["float32", "float64"], "float32"))
def test_images_in_a_box(dtype, trained, digits):
    model, x = trained("cnn"), digits[0][1500:1506]
    local = OpenBox(model, dtype=dtype)(x, verbose=0)
    found = local.counterfactuals(bounds=(-0.5, 0.6), verbose=0)
    there = np.isfinite(found.distance)
    assert found.verified[there].all() and (found.x[there] >= -0.5).all() and (found.x[there] <= 0.6).all()
    assert local.contains(np.where(there[:, None, None, None], x + 0.9999 * (found.x - x), x)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 30))
def test_nearest_step_satisfies_the_conditions_of_an_optimum(seed, num_dims, num_rows):
    generator = np.random.default_rng(seed)
    rows, values = generator.normal(size=(num_rows, num_dims)), generator.normal(loc=0.3, size=num_rows)

    def more(step):
        worst = np.argsort(rows @ step + values)[:2]
        return rows[worst], values[worst]

    step = nearest_step(Constraints(rows[:1], values[:1], more), 2)
    general = _solved(rows, values, 2)
    if step is None:
        assert np.isinf(general)
        return
    slack = rows @ step + values
    assert slack.min() > -1e-8
    np.testing.assert_allclose(np.linalg.norm(step), general, rtol=1e-8, atol=1e-8)
    # A nonnegative combination of the active constraints' rows (Karush, Kuhn and Tucker).
    active = rows[slack < 1e-8]
    assert (nnls(active.T, step)[1] if len(active) else np.linalg.norm(step)) < 1e-7


@pytest.mark.parametrize("norm", NORMS)
def test_contradictory_constraints_have_no_nearest_step(norm):
    rows, values = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-2.0, 1.0])
    assert nearest_step(Constraints(rows, values, _nothing_more), norm) is None


def test_bad_arguments(spirals):
    model, x = spirals
    local = OpenBox(model)(x[:2], verbose=0)
    own = int(local.scores[0].argmax())
    with pytest.raises(ValueError, match=rf"to differ from the predicted class.*Received: {own}"):
        local.counterfactuals(own)
    with pytest.raises(ValueError, match="one for each of 2 samples"):
        local.counterfactuals([0, 1, 2])
    with pytest.raises(ValueError, match="margin"):
        local.counterfactuals(margin=0)
    with pytest.raises(ValueError, match="within"):
        local.counterfactuals(within=-1)
    with pytest.raises(ValueError, match="norm"):
        local.counterfactuals(norm=3)
    with pytest.raises(ValueError, match="exceed"):
        local.counterfactuals(bounds=(10, 11))
