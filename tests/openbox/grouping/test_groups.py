"""Merging, pruning and flattening: exact where that is possible, measured where it is not."""

import dataclasses
import random

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import make_circles
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from keras_xai.openbox import OpenBox
from keras_xai.openbox.grouping.curve import fidelity_curve
from keras_xai.openbox.grouping.flatten import flatten_regions
from keras_xai.openbox.grouping.groups import RegionGroups, merge_regions, prune_regions
from keras_xai.openbox.grouping.merging import Group, Points, Regions, compress, cut, merge_order, refit, squared_error
from tests.zoo import in_dtype


@pytest.fixture(scope="module")
def circles():
    """A trained network's box, training samples and labels, test samples and labels."""
    x, y = make_circles(n_samples=2000, noise=0.1, random_state=0)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(16, "relu"), layers.Dense(16, "relu"), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy")
    model.fit(x, y, epochs=40, batch_size=100, verbose=0)
    return OpenBox(model, dtype="float64", batch_size=500), x, y, x_test, y_test


def network(*weights, activation="sigmoid"):
    """A network of one hidden layer in float64, of given weights."""
    with in_dtype("float64"):
        model = keras.Sequential(
            [
                keras.Input((len(weights[0]),)),
                layers.Dense(len(weights[1]), activation="relu"),
                layers.Dense(len(weights[3]), activation=activation),
            ]
        )
    model.set_weights([np.asarray(array, "float64") for array in weights])
    return OpenBox(model)


def area(groups, x, y):
    return groups.fidelity(x, y).auc


def test_merging_to_the_number_of_linear_functions_loses_nothing():
    # The third unit divides the plane, but nothing listens to it: 7 regions, 4 linear functions.
    kernel, outputs = [[1, 0, 1], [0, 1, 1]], [[2, -1, 0], [0.5, 1, -3], [0, 0, 0]]
    box = network(kernel, [0, 0, -0.3], outputs, [0.1, 0, -0.2], activation="softmax")
    x = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    groups = merge_regions(box, x, 4, verbose=0)
    assert len(groups.membership) == 7
    fidelity = groups.fidelity(x)
    assert fidelity.agreement == 1 and fidelity.difference < 1e-12 and fidelity.known == 1
    np.testing.assert_array_equal(groups.labels == groups.labels[:, np.newaxis], _quadrant(x) == _quadrant(x)[:, np.newaxis])
    scores = box(x, verbose=0).scores
    np.testing.assert_allclose(groups.decision_function(x), scores - scores.mean(axis=1, keepdims=True), atol=1e-12)
    assert merge_regions(box, x, 3, verbose=0).fidelity(x).difference > 1e-3


def _quadrant(x):
    return (x[:, 0] > 0) + 2 * (x[:, 1] > 0)


def test_equal_functions_of_distant_regions_merge():
    # A bump: 0, up, down, 0.
    box = network([[1, 1, 1]], [1, 0, -1], [[1], [-2], [1]], [0])
    x = np.random.default_rng(0).uniform(-3, 3, (300, 1))
    groups = merge_regions(box, x, 3, verbose=0)
    assert groups.fidelity(x).difference < 1e-12
    assert groups.apply(np.array([[-2.5]])) == groups.apply(np.array([[2.5]])) != groups.apply(np.array([[0.5]]))


@pytest.mark.parametrize("num_samples", [3, 40])
def test_cost_is_that_of_least_squares_on_the_union(num_samples):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(num_samples + i, 7)) for i in range(2)]
    pieces = rng.normal(size=(2, 2, 5))
    around = (num_samples * pieces[0] + (num_samples + 1) * pieces[1]) / (2 * num_samples + 1)
    rows, ridge = np.concatenate(parts), 0.3
    z = np.concatenate([rows[:, :5], np.sqrt(ridge) * np.eye(5)])
    f = np.concatenate([rows[:, 5:], np.sqrt(ridge) * around.T])
    solution = np.linalg.lstsq(z, f, rcond=None)[0]
    expected = np.sum((z @ solution - f) ** 2)
    np.testing.assert_allclose(squared_error(rows, around, ridge), expected, rtol=1e-10)
    groups = [Group(compress(part), piece, len(part), 0.0) for part, piece in zip(parts, pieces, strict=True)]
    joined = groups[0].joined(groups[1], ridge).compressed()
    np.testing.assert_allclose(joined.error, expected, rtol=1e-10)
    np.testing.assert_allclose(joined.weights, around)
    assert len(joined.rows) == min(7, 2 * num_samples + 1)


def test_the_cheapest_pair_is_merged_first(circles):
    regions = Regions(circles[0], circles[1][:60], 0)
    groups = [
        Group(np.c_[regions.z, regions.points.scores][regions.index == i], regions.pieces[i], int(regions.counts[i]), 0.0)
        for i in range(len(regions.names))
    ]
    costs = [groups[a].joined(groups[b], 1.0).error for a in range(len(groups)) for b in range(a)]
    a, b = merge_order(regions, len(groups) - 1, 1.0, 0)[0]
    assert groups[a].joined(groups[b], 1.0).error == pytest.approx(min(costs), rel=1e-9, abs=1e-12)


def test_all_regions_are_the_network(circles):
    box, x = circles[:2]
    number = len(set(box(x, verbose=0).region_id))
    for groups in (merge_regions(box, x, number, verbose=0), prune_regions(box, x, number, verbose=0)):
        fidelity = groups.fidelity(x)
        assert fidelity.agreement == 1 and fidelity.difference < 1e-12 and fidelity.known == 1
        assert (groups.num_regions == 1).all()


def test_eight_groups_keep_the_area_under_the_curve(circles):
    box, x, _, x_test, y_test = circles
    groups = merge_regions(box, x, 8, verbose=0)
    before = random.getstate()
    flat = flatten_regions(groups, x, verbose=0)
    assert random.getstate() == before
    whole = roc_auc_score(y_test, box(x_test, verbose=0).scores[:, 0])
    assert area(groups, x_test, y_test) > whole - 0.03 and area(flat, x_test, y_test) > whole - 0.03
    assert groups.fidelity(x_test).agreement > 0.9 and flat.fidelity(x_test).agreement > 0.9


def test_few_groups_are_nearer_to_the_network_than_as_many_regions(circles):
    box, x, _, x_test, _ = circles
    merged, pruned = (reduce(box, x, 3, verbose=0).fidelity(x_test).difference for reduce in (merge_regions, prune_regions))
    assert merged < 0.9 * pruned


def test_random_groups_do_not(circles):
    box, x, _, x_test, y_test = circles
    regions = Regions(box, x, 0)
    assigned = np.random.default_rng(0).permutation(np.arange(len(regions.names)) % 8)
    groups = RegionGroups(
        box=box, regions=regions, known=np.arange(len(assigned)), assigned=assigned, weights=refit(regions, assigned, 1.0)
    )
    assert area(groups, x_test, y_test) < area(merge_regions(box, x, 8, verbose=0), x_test, y_test) - 0.04


@pytest.mark.parametrize("num_groups", [3, 8])
def test_moving_regions_lowers_the_divergence_from_the_network(circles, num_groups):
    box, x = circles[:2]
    network = Points.of(box(x, verbose=0)).probabilities
    divergences = [
        np.mean(
            np.sum(
                network * np.log(network / merge_regions(box, x, num_groups, max_rounds=rounds, verbose=0).predict_proba(x)),
                axis=1,
            )
        )
        for rounds in (0, 1, 20)
    ]
    assert divergences[1] < 0.99 * divergences[0] and divergences[2] <= divergences[1]


def test_curve_ends_at_the_network(circles):
    box, x, y, *_ = circles
    curve = fidelity_curve(box, x, y, sizes=[1, 2, 4, 8, 16, 64], methods=["merge", "prune"], verbose=0)
    every = fidelity_curve(box, x[:200], y[:200], methods=["merge"], verbose=0)
    assert curve["method"].tolist() == ["network"] + ["merge"] * 6 + ["prune"] * 6
    assert every["difference"].iloc[-1] < 1e-12 and every["agreement"].iloc[-1] == 1
    assert every["num_groups"].iloc[0] == every["num_groups"].iloc[-1]
    for method in ("merge", "prune"):
        difference = curve[curve["method"] == method]["difference"].to_numpy()
        assert (difference[1:] < 1.15 * difference[:-1]).all() and difference[-1] < 0.01 < difference[0]
    assert (curve["auc"][curve["num_groups"] == 64] > curve["auc"][0] - 0.01).all()


def test_curve_is_that_of_its_methods(circles):
    box, x, y, x_test, y_test = circles
    curve = fidelity_curve(box, x, y, sizes=[5], test=(x_test, y_test), verbose=0)
    groups = merge_regions(box, x, 5, verbose=0)
    models = {"merge": groups, "prune": prune_regions(box, x, 5, verbose=0), "flatten": flatten_regions(groups, x, verbose=0)}
    for method, model in models.items():
        row = curve[curve["method"] == method].iloc[0]
        for name, value in dataclasses.asdict(model.fidelity(x_test, y_test)).items():
            assert value is None or row[name] == pytest.approx(value)


def test_unknown_regions_go_to_the_nearest(circles):
    box, x, _, x_test, _ = circles
    groups = merge_regions(box, x[:300], 5, verbose=0)
    local, inputs = box(x[:300], verbose=0), box(x_test, verbose=0).region_id
    names = np.unique(local.region_id)
    means = np.stack([local.x[local.region_id == name].mean(axis=0) for name in names])
    known = np.isin(inputs, names)
    assert 0 < known.mean() < 1
    nearest = names[np.linalg.norm(x_test[:, np.newaxis] - means, axis=2).argmin(axis=1)]
    expected = [groups.membership[name] for name in np.where(known, inputs, nearest)]
    np.testing.assert_array_equal(groups.apply(x_test), expected)
    np.testing.assert_array_equal(groups.known(x_test), known)
    assert groups.fidelity(x_test).known == known.mean()


def test_pruning_keeps_the_largest_exactly(circles):
    box, x = circles[:2]
    pruned = prune_regions(box, x, 10, verbose=0)
    local = box(x, verbose=0)
    names, counts = np.unique(local.region_id, return_counts=True)
    assert sorted(counts[np.isin(names, list(pruned.membership))]) == sorted(counts)[-10:]
    known = pruned.known(x)
    np.testing.assert_allclose(pruned.decision_function(x)[known], local.scores[known], atol=1e-12)
    assert pruned.sizes.sum() == len(x) and (pruned.coef.shape, pruned.intercept.shape) == ((10, 1, 2), (10, 1))


def test_groups_describe_their_samples(circles):
    box, x = circles[:2]
    groups = merge_regions(box, x, 6, verbose=0)
    assert (np.diff(groups.sizes) <= 0).all() and groups.sizes.sum() == len(x) == groups.class_counts.sum()
    np.testing.assert_array_equal(groups.labels, groups.apply(x))
    np.testing.assert_array_equal(groups.class_counts.sum(axis=1), groups.sizes)
    for group, rows in enumerate(groups.representatives):
        members = x[groups.labels == group]
        distances = np.linalg.norm(members - members.mean(axis=0), axis=1)
        np.testing.assert_allclose(np.linalg.norm(x[rows] - members.mean(axis=0), axis=1), np.sort(distances)[:5])
    table = groups.table()
    assert table["samples"].tolist() == groups.sizes.tolist() and table["regions"].sum() == len(groups.membership)
    scores = np.einsum("ncd,nd->nc", groups.coef[groups.labels], x) + groups.intercept[groups.labels]
    np.testing.assert_allclose(groups.decision_function(x), scores, atol=1e-9)
    np.testing.assert_array_equal(groups.predict(x), scores[:, 0] > 0)
    np.testing.assert_allclose(groups.predict_proba(x)[:, 1], 1 / (1 + np.exp(-scores[:, 0])), atol=1e-9)


def test_one_score_is_two_classes():
    rng = np.random.default_rng(0)
    kernel, bias, outputs = rng.normal(size=(2, 6)), rng.normal(size=6), rng.normal(size=(6, 1))
    one = network(kernel, bias, outputs, [0.2])
    two = network(kernel, bias, np.c_[-outputs / 2, outputs / 2], [-0.1, 0.1], activation="softmax")
    x = rng.normal(size=(300, 2))
    groups = [merge_regions(box, x, 3, verbose=0) for box in (one, two)]
    np.testing.assert_allclose(groups[0].predict_proba(x), groups[1].predict_proba(x), atol=1e-9)
    assert groups[0].coef.shape == (3, 1, 2) and groups[1].coef.shape == (3, 2, 2)
    assert flatten_regions(groups[0], x, verbose=0).model.output_shape == (None, 1)


def test_many_classes(trained, digits):
    images, labels = digits
    box = OpenBox(trained("mlp"), batch_size=500)
    x, y, x_test, y_test = images[:700], labels[:700], images[1500:], labels[1500:]
    groups = merge_regions(box, x, 10, verbose=0)
    fidelity = groups.fidelity(x_test, y_test)
    assert groups.coef.shape == (10, 10, 8, 8, 1)
    np.testing.assert_allclose(groups.coef.sum(axis=1), 0, atol=1e-9)
    assert fidelity.agreement > 0.9 and fidelity.auc > 0.97
    assert fidelity.difference < prune_regions(box, x, 10, verbose=0).fidelity(x_test).difference
    flat = flatten_regions(groups, x, num_units=20, verbose=0)
    assert flat.fidelity(x_test).agreement > 0.9 and len(flat.origins) == 20
    assert merge_regions(box, x, 5, y=y, verbose=0).fidelity(x, y).accuracy > groups.fidelity(x, y).accuracy


def test_features_of_a_layer(trained, digits):
    model, x = trained("mlp"), digits[0][:500]
    name = [layer.name for layer in model.layers if isinstance(layer, layers.Dense)][1]
    groups = merge_regions(OpenBox(model, layer=name), x, 4, verbose=0)
    assert groups.coef.shape == (4, 10, 24) and groups.fidelity(x).agreement > 0.9
    flat = flatten_regions(groups, x, verbose=0)
    assert flat.model.input_shape == (None, 24)
    flat.model(groups.box(x, verbose=0).x)


def test_several_inputs():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    hidden = layers.Dense(6, activation="relu")(layers.Concatenate()([a, b]))
    box = OpenBox(keras.Model({"a": a, "b": b}, layers.Dense(3)(hidden)), dtype="float64")
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(100, 2)), "b": rng.normal(size=(100, 3))}
    groups = merge_regions(box, x, 4, verbose=0)
    assert {name: coef.shape for name, coef in groups.coef.items()} == {"a": (4, 3, 2), "b": (4, 3, 3)}
    assert groups.predict(x).shape == (100,)
    with pytest.raises(ValueError, match="Expected groups of a model with one input"):
        flatten_regions(groups, x, verbose=0)


def test_runs_repeat_exactly(circles):
    box, x = circles[:2]
    first, second = (merge_regions(box, x[:400], 6, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first.coef, second.coef)
    np.testing.assert_array_equal(first.labels, second.labels)
    flat = [flatten_regions(groups, x[:400], verbose=0).model.get_weights() for groups in (first, second)]
    for one, other in zip(*flat, strict=True):
        np.testing.assert_array_equal(one, other)


def test_flattened_is_a_keras_model_of_one_hidden_layer(circles, tmp_path):
    box, x, y, x_test, _ = circles
    groups = merge_regions(box, x, 8, verbose=0)
    flat = flatten_regions(groups, x, y, num_units=5, verbose=0)
    assert [layer.output.shape for layer in flat.model.layers if layer.weights] == [(None, 5), (None, 1)]
    assert {kind for kind, *_ in flat.origins} <= {"wall", "decision"} and len(flat.origins) == 5
    path = tmp_path / "flat.keras"
    flat.model.save(path)
    np.testing.assert_array_equal(keras.saving.load_model(path)(x_test), flat.model(x_test))
    flat.model.compile("adam", "binary_crossentropy")
    losses = flat.model.fit(x, y, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def test_unmoved_units_bend_at_planes_of_the_groups(circles):
    box, x = circles[:2]
    groups = merge_regions(box, x, 6, verbose=0)
    flat = flatten_regions(groups, x, max_steps=0, verbose=0)
    kernel, bias = flat.model.get_layer("hidden").get_weights()
    for (kind, a, b), plane in zip(flat.origins, np.vstack([kernel, bias]).T, strict=True):
        full = np.concatenate([groups.coef[:, 0], groups.intercept], axis=1)
        expected = full[a] - full[b] if kind == "wall" else full[a]
        cosine = plane @ expected / np.linalg.norm(plane) / np.linalg.norm(expected)
        assert abs(cosine) == pytest.approx(1, abs=1e-5)


def test_a_network_of_one_hidden_layer_is_found_again():
    # Its units' walls are where its regions meet.
    rng = np.random.default_rng(0)
    box = network(rng.normal(size=(2, 3)), 0.3 * rng.normal(size=3), 3 * rng.normal(size=(3, 1)), [0.2])
    x = rng.normal(size=(600, 2))
    number = len(set(box(x, verbose=0).region_id))
    flat = flatten_regions(merge_regions(box, x, number, verbose=0), x, num_units=4, max_steps=0, ridge=1e-4, verbose=0)
    assert flat.fidelity(x).agreement > 0.99 and flat.fidelity(x).difference < 0.01


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_groups": 0}, "`num_groups` to be an integer of at least 1. Received: num_groups=0"),
        ({"num_groups": 2.0}, "`num_groups` to be an integer of at least 1. Received: num_groups=2.0"),
        ({"num_groups": True}, "`num_groups` to be an integer of at least 1. Received: num_groups=True"),
        ({"num_groups": 5000}, "`num_groups` to be at most the number of regions of `x`, .*. Received: num_groups=5000"),
        ({"x": np.zeros((3, 5))}, r"\(.*2\)"),
        ({"y": np.zeros(3, int)}, "`y` to have one label for each of 100 samples. Received: 3 labels."),
        ({"y": np.zeros(100)}, "`y` to be class indices of shape"),
        ({"y": np.full(100, 2)}, "Expected class indices from 0 to 1 in `y`. Received: indices from 2 to 2."),
        ({"ridge": 0.0}, "`ridge` to be a positive number. Received: ridge=0.0"),
        ({"max_rounds": -1}, "`max_rounds` to be an integer of at least 0. Received: max_rounds=-1"),
    ],
)
def test_bad_arguments(circles, arguments, message):
    arguments = {"x": circles[1][:100], "num_groups": 2} | arguments
    with pytest.raises(ValueError, match=message):
        merge_regions(circles[0], arguments.pop("x"), **arguments, verbose=0)


def test_bad_arguments_elsewhere(circles):
    box, x, y, *_ = circles
    groups = merge_regions(box, x[:100], 2, verbose=0)
    for call, message in (
        (lambda: prune_regions(box, x[:100], 101), "Expected `num_regions` to be at most"),
        (lambda: flatten_regions(groups, x[:100], num_units=0), "Expected `num_units` to be an integer of at least 1"),
        (lambda: flatten_regions(groups, x[:100], max_steps=0.5), "Expected `max_steps` to be an integer of at least 0"),
        (lambda: fidelity_curve(box, x[:100], y), "Expected `y` to have one label"),
        (lambda: fidelity_curve(box, x[:100], sizes=[0]), "Expected `sizes` to be an integer of at least 1"),
        (lambda: fidelity_curve(box, x[:100], methods=["melt"]), "Expected `methods` to be a list of some of"),
        (lambda: fidelity_curve(box, x[:100], test=x), "Expected `test` to be None or a pair"),
        (lambda: groups.fidelity(x[:100], y), "Expected `y` to have one label"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_groups_without_planes_are_told():
    box = network([[1.0]], [5.0], [[0.0]], [1.0])
    x = np.linspace(-1, 1, 10)[:, np.newaxis]
    with pytest.raises(ValueError, match="Expected groups whose classifiers are not all constant"):
        flatten_regions(merge_regions(box, x, 1, verbose=0), x, verbose=0)


def test_cut_follows_the_merges():
    assert cut([(0, 2), (4, 3)], 4, 4).tolist() == [0, 1, 2, 3]
    assert cut([(0, 2), (4, 3)], 4, 2).tolist() == [1, 0, 1, 1]


def test_points_have_centered_scores(circles):
    points = Points.of(circles[0](circles[1][:20], verbose=0))
    np.testing.assert_allclose(points.scores.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(points.probabilities.sum(axis=1), 1)
