"""Planes divided into linear pieces: nothing is left out, nothing covered twice, and every polygon is what it says."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_xai.openbox import OpenBox
from keras_xai.openbox.partition.line import line
from keras_xai.openbox.partition.plane import plane
from keras_xai.openbox.partition.section import Section
from tests.slow import quickly
from tests.zoo import ZOO, in_dtype

pytestmark = pytest.mark.onednn

# The side of a square in which each network has some hundred linear pieces.
SIDES = {"mlp": 1.4, "cnn": 0.12, "residual": 0.05, "shared": 0.06, "nested": 0.2}


@pytest.fixture(scope="module")
def slices(trained, digits):
    """A function from a name in the zoo to the box, and a plane through three digits."""
    made = {}

    def make(name):
        if name not in made:
            box, x = OpenBox(trained(name), batch_size=128), digits[0][1500:1503]
            # Around a point of the decision boundary, however the network was trained.
            center, half = line(box, *x[:2], verbose=0).crossings[0], SIDES[name] / 2
            made[name] = box, plane(box, *x, limits=((center - half, center + half), (-half, half)), verbose=0)
        return made[name]

    return make


def _interior_points(polygons):
    """One random point of each polygon."""
    generator = np.random.default_rng(1)
    return np.stack([generator.dirichlet(np.ones(len(polygon))) @ polygon for polygon in polygons])


def _area(polygon):
    x, y = polygon.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _perimeter(polygon):
    return np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1).sum()


def _names_on_grid(box, sliced, depth):
    """Names of the regions at all points of a grid of `2**depth` steps.

    A square whose corners are in one region is in it as a whole, regions being convex, so that only the other squares are
    looked into.
    """
    low, high = np.transpose(sliced.limits)
    size = 2**depth
    names = {}

    def look(points):
        new = sorted(set(points) - names.keys())
        if new:
            x = sliced.inputs(low + (high - low) * np.array(new) / size)
            names.update(zip(new, box(x, outputs=[0], verbose=0).region_id.tolist(), strict=True))

    squares = [(0, 0)]
    while True:
        step = 2**depth
        corners = {(i, j): [(i + a, j + b) for a in (0, step) for b in (0, step)] for i, j in squares}
        look([corner for each in corners.values() for corner in each])
        if depth == 0:
            return set(names.values())
        depth -= 1
        mixed = [square for square, each in corners.items() if len({names[corner] for corner in each}) > 1]
        squares = [(i + a, j + b) for i, j in mixed for a in (0, 2**depth) for b in (0, 2**depth)]


@pytest.mark.parametrize("name", quickly(SIDES, "cnn", "nested"))
def test_polygons_tile_the_rectangle(name, slices):
    _, sliced = slices(name)
    assert len(sliced) > 30
    assert sliced.gap < 1e-9
    assert len(set(sliced.region_id)) == len(sliced)
    side = SIDES[name]
    np.testing.assert_allclose([_area(polygon) / side**2 for polygon in sliced.polygons], sliced.areas, rtol=0, atol=1e-11)
    assert (sliced.areas > 0).all()  # all of them counter-clockwise


@pytest.mark.parametrize("name", quickly(SIDES, "cnn", "nested"))
def test_every_polygon_is_its_region_and_its_scores_are_those_of_the_network(name, slices):
    box, sliced = slices(name)
    points = _interior_points(sliced.polygons)
    inside = box(sliced.inputs(points), outputs=[0], verbose=0)
    # Points of a region that is hardly wider than rounding error may come out beside it.
    wide = 2 * sliced.areas * SIDES[name] ** 2 / [_perimeter(polygon) for polygon in sliced.polygons] > 1e-10
    assert wide.mean() > 0.99
    assert (inside.region_id == sliced.region_id)[wide].all()
    assert (sliced.find(points) == np.arange(len(sliced)))[wide].all()
    np.testing.assert_allclose(sliced.scores(points), inside.scores, rtol=0, atol=1e-10)
    shifted = box(sliced.inputs(points + 0.1 * SIDES[name]), outputs=[0], verbose=0)
    assert (shifted.region_id == sliced.region_id).mean() < 0.2


@pytest.mark.parametrize("name", quickly(SIDES, "cnn", "nested"))
def test_regions_are_those_that_a_fine_grid_finds(name, slices):
    box, sliced = slices(name)
    found = _names_on_grid(box, sliced, depth=7)
    assert found <= set(sliced.region_id)
    # A convex polygon holds a disk of radius area / perimeter, and every disk of radius step / sqrt(2) holds a point of the grid.
    radius = sliced.areas * SIDES[name] ** 2 / [_perimeter(polygon) for polygon in sliced.polygons]
    large = radius > SIDES[name] / 2**7 / np.sqrt(2)
    assert large.sum() > 10
    assert set(sliced.region_id[large]) <= found


def test_without_the_walls_of_pooling_polygons_are_too_large(digits, monkeypatch):
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        box = OpenBox(ZOO["cnn"](), batch_size=128)  # untrained, so that it is the same on every processor
    (pool,) = [group for group in box.geometry.layout([digits[0][:1]]).groups if "pool" in group.step.path]
    own = Section.views

    def without_pooling(section, coordinates):
        views = own(section, coordinates)
        speeds = views.wall_slopes.copy()
        speeds[:, pool.start : pool.start + int(np.prod(pool.shape))] = 0
        return dataclasses.replace(views, wall_slopes=speeds)

    monkeypatch.setattr(Section, "views", without_pooling)
    broken = plane(box, *digits[0][1500:1503], limits=((0.3, 0.42), (0.3, 0.42)), verbose=0)
    assert broken.gap > 1e-3
    points = _interior_points(broken.polygons)
    assert (box(broken.inputs(points), outputs=[0], verbose=0).region_id == broken.region_id).mean() < 0.9


@pytest.mark.parametrize("name", quickly(["mlp", "cnn", "nested"], "mlp"))
def test_two_classes_have_the_highest_score_on_the_decision_boundary(name, slices):
    box, sliced = slices(name)
    boundary = sliced.boundary
    assert len(boundary.segments)
    share = np.random.default_rng(2).uniform(size=(len(boundary.segments), 1))
    points = share * boundary.segments[:, 0] + (1 - share) * boundary.segments[:, 1]
    scores = box(sliced.inputs(points), outputs=[0], verbose=0).scores
    rows = np.arange(len(scores))
    for column in (0, 1):
        np.testing.assert_allclose(scores[rows, boundary.classes[:, column]], scores.max(axis=1), rtol=0, atol=1e-10)
    beside = box(sliced.inputs(points + 1e-3 * SIDES[name]), outputs=[0], verbose=0).scores
    assert (np.ptp(np.sort(beside, axis=1)[:, -2:], axis=1) > 1e-6).mean() > 0.9


@pytest.mark.parametrize("name", quickly(["mlp", "cnn", "nested"], "mlp"))
def test_cells_are_of_one_class_and_tile_the_pieces(name, slices):
    box, sliced = slices(name)
    cells = sliced.cells
    assert len(cells.polygons) > len(sliced)
    parts = np.bincount(cells.piece, [_area(polygon) for polygon in cells.polygons])
    np.testing.assert_allclose(parts / SIDES[name] ** 2, sliced.areas, rtol=0, atol=1e-12)
    points = _interior_points(cells.polygons)
    scores = box(sliced.inputs(points), outputs=[0], verbose=0).scores
    np.testing.assert_allclose(scores[np.arange(len(scores)), cells.classes], scores.max(axis=1), rtol=0, atol=1e-10)


def test_default_limits_hold_the_inputs(trained, digits):
    x = digits[0][1500:1503]
    sliced = plane(OpenBox(trained("mlp")), *x, verbose=0)
    assert sliced.limits == ((-0.25, 1.25), (-0.25, 1.25))
    assert sliced.gap < 1e-9
    np.testing.assert_allclose(sliced.inputs(sliced.marks), x, rtol=0, atol=1e-12)


def test_orthonormal_coordinates_are_lengths(trained, digits):
    x = digits[0][1500:1503]
    box = OpenBox(trained("mlp"))
    oblique, upright = (plane(box, *x, orthonormal=orthonormal, verbose=0) for orthonormal in (False, True))
    np.testing.assert_allclose(upright.inputs(upright.marks), x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(oblique.lengths(oblique.marks), upright.marks, rtol=0, atol=1e-12)
    points = np.random.default_rng(0).normal(size=(20, 2))
    for sliced in (oblique, upright):
        apart = np.linalg.norm((sliced.inputs(points) - sliced.inputs(points[::-1])).reshape(20, -1), axis=1)
        np.testing.assert_allclose(apart, np.linalg.norm(sliced.lengths(points) - sliced.lengths(points[::-1]), axis=1))


def _quadrants(bias=0.0):
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]]), np.zeros(4)])
    model.layers[1].set_weights([np.array([[1.0], [1.0], [1.0], [1.0]]), np.full(1, bias)])
    return OpenBox(model)


def test_centers_on_walls_are_no_trouble():
    """The first center is on all four walls; of the two gates at each of them no region is more than a line."""
    sliced = plane(_quadrants(), [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], limits=((-1, 1), (-1, 1)), verbose=0)
    np.testing.assert_allclose(sliced.areas, 0.25)
    assert sorted(np.sign(polygon.mean(axis=0)).tolist() for polygon in sliced.polygons) == [
        [-1, -1],
        [-1, 1],
        [1, -1],
        [1, 1],
    ]
    assert set(np.concatenate(sliced.edge_layers)) == {-1, 0} and len(sliced.layers) == 1


def test_one_score_is_compared_with_zero():
    """|x| + |y| > 1/2 outside a square that stands on its corner."""
    sliced = plane(_quadrants(-0.5), [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], limits=((-1, 1), (-1, 1)), verbose=0)
    np.testing.assert_allclose(np.abs(sliced.boundary.segments).sum(axis=-1), 0.5)
    assert len(sliced.boundary.segments) == 4
    inner = [polygon for polygon, k in zip(sliced.cells.polygons, sliced.cells.classes, strict=True) if k == 0]
    assert sum(map(_area, inner)) == pytest.approx(0.5)


def test_ties_that_hold_in_all_of_the_plane(trained, digits):
    """Digits with a constant background: where it is, the entries of a pooling window are equal at every point."""
    images = np.floor((digits[0][1500:1503] + 0.5) * 16) / 16 - 0.5
    box = OpenBox(trained("cnn"), batch_size=128)
    sliced = plane(box, *images, limits=((0.4, 0.5), (0.4, 0.5)), verbose=0)
    assert len(sliced) > 30 and sliced.gap < 1e-9
    points = _interior_points(sliced.polygons)
    np.testing.assert_allclose(sliced.scores(points), box(sliced.inputs(points), verbose=0).scores, rtol=0, atol=1e-10)


def test_many_walls_through_one_point_close_up(trained, digits):
    """At a corner of the rectangle, an image of few gray levels is on many walls; points there differ in their last digits only."""
    images = np.floor((digits[0][1500:1503] + 0.5) * 16) / 16 - 0.5
    box = OpenBox(trained("concatenate"), batch_size=128)
    sliced = plane(box, *images, limits=((0, 1e-6), (0, 1e-6)), verbose=0)
    assert 1 < len(sliced) < 50 and sliced.gap < 1e-8
    points = _interior_points(sliced.polygons)
    assert (box(sliced.inputs(points), outputs=[0], verbose=0).region_id == sliced.region_id).all()


def test_a_linear_model_is_one_polygon():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    sliced = plane(OpenBox(model), *np.eye(3), verbose=0)
    np.testing.assert_allclose(sliced.areas, [1.0])
    assert sliced.layers == () and (sliced.edge_layers[0] == -1).all()


def test_batches_do_not_matter(trained, digits, slices):
    _, expected = slices("nested")
    sliced = plane(OpenBox(trained("nested"), batch_size=7), *digits[0][1500:1503], limits=expected.limits, verbose=0)
    assert set(sliced.region_id) == set(expected.region_id)
    order, other = np.argsort(sliced.region_id), np.argsort(expected.region_id)
    np.testing.assert_allclose(sliced.areas[order], expected.areas[other], rtol=0, atol=1e-12)


def test_outside_of_the_rectangle_there_is_nothing(slices):
    _, sliced = slices("mlp")
    low, high = np.transpose(sliced.limits)
    points = low + (high - low) * [[-0.1, 0.5], [0.4, 0.5]]
    assert (sliced.find(points) >= 0).tolist() == [False, True]
    assert np.isnan(sliced.scores(points)).all(axis=1).tolist() == [True, False]


@given(seed=st.integers(0, 10_000), width=st.integers(2, 9))
@settings(max_examples=3, deadline=None)
def test_random_networks_in_random_planes(seed, width):
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    with in_dtype("float64"):
        hidden = [keras.layers.Dense(width, "relu", bias_initializer="normal") for _ in range(3)]
        box = OpenBox(keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3)]), batch_size=64)
    sliced = plane(box, *generator.normal(size=(3, 4)), limits=((-5, 5), (-5, 5)), verbose=0)
    assert sliced.gap < 1e-9
    points = generator.uniform(-5, 5, size=(500, 2))
    inside = box(sliced.inputs(points), verbose=0)
    assert (sliced.region_id[sliced.find(points)] == inside.region_id).all()
    np.testing.assert_allclose(sliced.scores(points), inside.scores, rtol=0, atol=1e-10)


def test_bad_arguments(trained, digits):
    box, x = OpenBox(trained("mlp")), digits[0]
    with pytest.raises(ValueError, match="Expected three different inputs.*Received: two equal inputs"):
        plane(box, x[0], x[1], x[1], verbose=0)
    with pytest.raises(ValueError, match="Expected three inputs that are not on one line"):
        plane(box, x[0], x[1], 0.25 * x[0] + 0.75 * x[1], verbose=0)
    with pytest.raises(ValueError, match="Expected `third` to be one input. Received: 2"):
        plane(box, x[0], x[1], x[2:4], verbose=0)
    for limits in ((0, 1), ((0, 1), (1, 1)), ((0, 1), (0, np.inf)), ((0, 1), (0, 1), (0, 1))):
        with pytest.raises(ValueError, match="Expected `limits` to be two pairs"):
            plane(box, *x[:3], limits=limits, verbose=0)
    with pytest.raises(ValueError, match="larger than rounding error"):
        plane(box, *x[:3], limits=((0, 1e-15), (0, 1)), verbose=0)
    with pytest.raises(ValueError, match="shape"):
        plane(box, x[0, :4], x[1], x[2], verbose=0)
