"""Radii, nearest walls and exit distances: exact from both sides of every wall."""

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox
from tests import naive
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import ZOO, in_dtype

pytestmark = pytest.mark.onednn

NORMS = (1, 2, np.inf)

# Of a distance: a wall's value of size 1 is right to some 100 roundings, however near the wall is.
ROUNDING = rounding("float64", terms=200)


@pytest.fixture(scope="module")
def cnn_pieces(trained, digits):
    box = OpenBox(trained("cnn"), batch_size=64)
    local = box(digits[0][1500:1600], verbose=0)
    return box, local, {norm: local.nearest_wall(norm, verbose=0) for norm in NORMS}


def _along(x, distance, direction):
    return x + np.asarray(distance).reshape(-1, *[1] * (x.ndim - 1)) * direction


def _length(offsets, norm):
    return np.linalg.norm(offsets.reshape(len(offsets), -1), ord=norm, axis=1)


@pytest.mark.parametrize("num_rounds", [50, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("norm", NORMS)
def test_no_point_of_the_open_ball_changes_the_pattern(norm, num_rounds, cnn_pieces):
    box, local, walls = cnn_pieces
    generator = np.random.default_rng(5)
    for _ in range(num_rounds):
        offsets = generator.normal(size=local.x.shape)
        if norm == 1:  # most of the 1-ball's surface is far from its corners, where it is most likely to reach a wall
            offsets *= generator.uniform(size=offsets.shape) < generator.choice([0.02, 0.1, 1.0])
            offsets[:, 0, 0, 0] += 1e-6
        elif norm == np.inf:
            offsets = np.sign(offsets)
        points = _along(local.x, 0.999 * walls[norm].distance / _length(offsets, norm), offsets)
        assert local.contains(points).all()
    # The pattern that the box finds there, not only the constraints' signs, is the same.
    assert (box(points, outputs=[0], verbose=0).region_id == local.region_id).all()


@pytest.mark.parametrize("norm", NORMS)
def test_the_pattern_changes_just_beyond_the_wall(norm, cnn_pieces):
    box, local, walls = cnn_pieces
    wall = walls[norm]
    np.testing.assert_allclose(_length(wall.direction, norm), 1)
    inside = box(_along(local.x, 0.999 * wall.distance, wall.direction), outputs=[0], verbose=0)
    outside = box(_along(local.x, 1.001 * wall.distance, wall.direction), outputs=[0], verbose=0)
    assert (inside.region_id == local.region_id).all()
    assert (outside.region_id != local.region_id).mean() >= 0.99


@pytest.mark.parametrize("norm", NORMS)
def test_exit_along_the_critical_direction_is_at_the_radius(norm, cnn_pieces):
    _, local, walls = cnn_pieces
    exits = local.exit_distance(walls[norm].direction)
    np.testing.assert_allclose(exits, walls[norm].distance, rtol=1e-9, atol=ROUNDING)


@pytest.mark.parametrize("name", quickly(["mlp", "cnn"], "cnn"))
def test_radius_equals_a_naive_computation_from_all_jacobian_rows(name, trained, digits):
    model = trained(name)
    x = digits[0][1600:1603]
    expected = [naive.certified_radii(model, sample, NORMS) for sample in x]
    local = OpenBox(model)(x, verbose=0)
    radii = np.stack([local.radius(norm, verbose=0) for norm in NORMS], axis=1)
    np.testing.assert_allclose(radii, expected, rtol=1e-9, atol=ROUNDING)


def test_norms_from_walls_and_from_dimensions_agree():
    """A network of fewer walls than dimensions takes the other road to the same radii."""
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        narrow = keras.Sequential([keras.Input((30,)), keras.layers.Dense(7, "relu"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(5, 30))
    kernel, bias = narrow.layers[0].get_weights()
    values = np.abs(x @ kernel + bias)
    local = OpenBox(narrow)(x, verbose=0)
    for norm, dual in ((1, np.inf), (2, 2), (np.inf, 1)):
        np.testing.assert_allclose(local.radius(norm, verbose=0), (values / np.linalg.norm(kernel, dual, axis=0)).min(1))


def test_wall_names_layer_and_unit():
    with in_dtype("float64"):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(2, activation="relu", name="hidden"),
                keras.layers.Dense(1, name="score"),
            ]
        )
    # Walls at x0 = 1 and at x1 = 5.
    model.layers[0].set_weights([np.eye(2), np.array([-1.0, -5.0])])
    wall = OpenBox(model)(np.array([[0.0, 0.0], [0.0, 4.5]]), verbose=0).nearest_wall(verbose=0)
    np.testing.assert_allclose(wall.distance, [1.0, 0.5])
    np.testing.assert_allclose(wall.direction, [[1.0, 0.0], [0.0, 1.0]])
    assert wall.layer == ("hidden.relu", "hidden.relu")
    assert wall.unit == ((0,), (1,))


def test_a_linear_model_is_one_piece_without_walls():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(5, 4))
    local = OpenBox(model)(x, verbose=0)
    wall = local.nearest_wall(verbose=0)
    assert np.isinf(wall.distance).all() and np.isinf(local.exit_distance(x)).all()
    assert local.contains(100 * x).all()
    assert wall.layer == (None,) * 5 and wall.unit == (None,) * 5
    assert len(set(local.region_id)) == 1


def test_inactive_windows_constrain_nothing_but_active_ties_do():
    """Equal candidates are a wall exactly where the input can make them differ."""
    with in_dtype("float64"):
        x = keras.Input((4, 1))
        y = keras.layers.Conv1D(1, 1, activation="relu", name="conv")(x)
        model = keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.MaxPooling1D(2)(y))))
    model.get_layer("conv").set_weights([np.ones((1, 1, 1)), np.zeros(1)])
    # The first window is inactive in both samples: 0 >= 0 for every input near. The second ties in the second sample.
    samples = np.array([[-1.0, -1.0, 2.0, 3.0], [-1.0, -1.0, 2.0, 2.0]])[..., None]
    local = OpenBox(model)(samples, verbose=0)
    np.testing.assert_allclose(local.radius(verbose=0), [1 / np.sqrt(2), 0.0])
    assert local.contains(samples).all()
    direction = np.array([0.0, 0.0, 0.0, 1.0])[None, :, None] * np.ones((2, 1, 1))
    np.testing.assert_allclose(local.exit_distance(-direction), [1.0, 2.0])  # the first to the tie, the second to the gate
    np.testing.assert_allclose(local.exit_distance(direction), [np.inf, 0.0])


@pytest.mark.parametrize("name", quickly(ZOO, "cnn", "series"))
def test_exit_distance_is_where_the_pattern_changes(name, trained, digits):
    box = OpenBox(trained(name))
    x = digits[0][1500:1520]
    local = box(x, outputs=[0], verbose=0)
    direction = np.random.default_rng(6).normal(size=x.shape)
    step = local.exit_distance(direction)
    assert np.isfinite(step).all() and (step > 0).all()
    before, after = (_along(x, factor * step, direction) for factor in (0.999, 1.001))
    assert local.contains(before).all() and not local.contains(after).any()
    assert (box(before, outputs=[0], verbose=0).region_id == local.region_id).all()
    assert (box(after, outputs=[0], verbose=0).region_id != local.region_id).all()


def test_exit_distance_is_measured_in_the_directions_length(cnn_pieces):
    _, local, walls = cnn_pieces
    direction = walls[2].direction
    np.testing.assert_allclose(local.exit_distance(10 * direction), local.exit_distance(direction) / 10, rtol=1e-9)
    assert np.isinf(local.exit_distance(np.zeros_like(direction))).all()


def test_radius_that_costs_too_much_says_what_it_costs_and_how_to_go_on(cnn_pieces):
    _, local, _ = cnn_pieces
    with pytest.raises(ValueError, match=r"64 passes.*2 batches.*max_passes.*exit_distance.*max_passes=None"):
        local.radius(max_passes=63)
    np.testing.assert_array_equal(local.radius(max_passes=None, verbose=0), local.radius(max_passes=64, verbose=0))
