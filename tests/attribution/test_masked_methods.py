"""RISE, Sobol and HSIC attribution, feature ablation, Shapley value sampling: against enumerations, loops and known values."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats
from skimage.transform import resize

from keras_xai.attribution import (
    RISE,
    FeatureAblation,
    HSICAttribution,
    Occlusion,
    ShapleyValueSampling,
    SobolAttribution,
)
from keras_xai.attribution.perturbation.grids import Grid
from keras_xai.attribution.perturbation.hsic_attribution import balanced_masks, hsic
from keras_xai.attribution.perturbation.sobol_attribution import jansen, sobol_masks
from keras_xai.data.layout import Layout
from tests.attribution.test_strings import TEXTS, text_model

METHODS = {
    "RISE": lambda model, **options: RISE(model, num_samples=50, grid_size=3, **options),
    "SobolAttribution": lambda model, **options: SobolAttribution(model, num_samples=4, **options),
    "HSICAttribution": lambda model, **options: HSICAttribution(model, num_samples=30, **options),
    "ShapleyValueSampling": lambda model, **options: ShapleyValueSampling(model, num_samples=3, **options),
}
GROUPED = {
    "FeatureAblation": FeatureAblation,
    "ShapleyValueSampling": ShapleyValueSampling,
    "SobolAttribution": SobolAttribution,
    "HSICAttribution": HSICAttribution,
}


def network(shape, units=3):
    """A network whose inputs interact."""
    keras.utils.set_random_seed(0)
    stack = [layers.Flatten(), layers.Dense(8, "tanh"), layers.Dense(units)]
    model = keras.Sequential([keras.Input(shape), *stack])
    model.layers[1].kernel.assign(np.random.default_rng(0).normal(size=model.layers[1].kernel.shape))
    return model


def computed(function, size):
    """A model that computes a function `(n, size) -> (n,)`."""
    return keras.Sequential([keras.Input((size,)), layers.Lambda(lambda x: function(x)[:, None])])


def two_inputs():
    image, table = keras.Input((4, 4, 2), name="image"), keras.Input((3,), name="table")
    joined = layers.Concatenate()([layers.Flatten()(image), table])
    keras.utils.set_random_seed(0)
    return keras.Model({"image": image, "table": table}, layers.Dense(2)(layers.Dense(6, "tanh")(joined)))


def drawn(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


# RISE


@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_rise_is_its_definition_over_all_masks(probability):
    """Of two by two pixels, all 16 masks can be enumerated."""
    model, x = network((2, 2, 1)), drawn(1, 2, 2, 1)
    masks = np.array(list(itertools.product([0, 1], repeat=4))).reshape(16, 2, 2, 1)
    chances = probability ** masks.sum(axis=(1, 2, 3)) * (1 - probability) ** (4 - masks.sum(axis=(1, 2, 3)))
    scores = model.predict_on_batch(0.5 + masks * (x - 0.5))[:, 1].astype("float64")
    mean = (chances * scores).sum()
    expected = ((chances * (scores - mean))[:, None, None, None] * masks).sum(axis=0) / probability
    rise = RISE(model, num_samples=40000, grid_size=2, preservation_probability=probability, seed=0)
    found = rise(x, target=1, baseline=0.5)
    np.testing.assert_allclose(found.values[0], expected, atol=0.03 * np.abs(expected).max())
    assert found.num_forward_passes == 40000
    # The source's sum, in which the mean is not subtracted, is another map: the comparison means something.
    other = ((chances * scores)[:, None, None, None] * masks).sum(axis=0) / probability
    np.testing.assert_allclose(other, expected + mean, atol=1e-9)
    assert np.abs(found.values[0] - other).max() > 0.1 * np.abs(expected).max()


def test_rise_is_a_loop_over_the_masks_of_the_source():
    """The masks of images, series and volumes, made as in the authors' code: an image enlarged by scikit-image, and cut out."""
    for places, letters in (((11, 7), "NHWC"), ((20,), "NTC"), ((5, 6, 7), "NDHWC")):
        model, x = network((*places, 2)), drawn(2, *places, 2)
        found = RISE(model, num_samples=30, grid_size=3, seed=4, batch_size=7)(x, target=2, baseline=0.1).values
        cells, starts = Grid(Layout(letters), 3).drawn(x.shape, 30, 0.5, [4, 0])
        lengths = [math.ceil(size / 3) for size in places]
        assert len(np.unique(starts, axis=0)) > 1 and (starts < lengths).all()
        masks = []
        for cell, start in zip(cells, starts, strict=True):
            grid = cell.reshape([3] * len(places)).astype("float64")
            large = resize(grid, [4 * length for length in lengths], order=1, mode="edge", anti_aliasing=False)
            masks.append(large[tuple(slice(first, first + size) for first, size in zip(start, places, strict=True))])
        masks = np.stack(masks)[..., None]
        assert masks.min() + 1e-9 > 0 and masks.max() <= 1 and len(np.unique(masks)) > 10
        for i in range(2):
            scores = model.predict_on_batch(0.1 + masks * (x[i] - 0.1))[:, 2].astype("float64")
            expected = sum((f - scores.mean()) * mask for f, mask in zip(scores, masks, strict=True)) / (30 * 0.5)
            np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_rise_does_not_depend_on_a_constant_that_is_added_to_scores():
    model, x = network((9, 9, 1)), drawn(1, 9, 9, 1)
    found = RISE(model, num_samples=100, seed=0)(x, target=0).values
    model.layers[-1].bias.assign([100.0, 0.0, 0.0])
    np.testing.assert_allclose(RISE(model, num_samples=100, seed=0)(x, target=0).values, found, atol=1e-4)
    assert np.abs(found).max() > 0.01


def test_rise_of_tokens_hides_each_by_itself():
    vectors = np.array([[0.0], [1.0], [-3.0], [2.0]])
    sums = layers.Lambda(lambda x: ops.sum(x, axis=1))
    model = keras.Sequential([keras.Input((4,), dtype="int32"), layers.Embedding(4, 1), sums])
    model.layers[0].set_weights([vectors])
    x = np.array([[1, 2, 3, 1], [2, 2, 0, 3]])
    found = RISE(model, num_samples=20000, seed=0)(x, target=0)
    np.testing.assert_allclose(found.values, vectors[x, 0] / 2, atol=0.06)
    assert not found.values[1, 2] or abs(found.values[1, 2]) < 0.06


# Sobol


def ishigami(x):
    """Of uniform variables from -pi to pi: its total-order indices are known."""
    return ops.sin(x[:, 0]) + 7 * ops.square(ops.sin(x[:, 1])) + 0.1 * x[:, 2] ** 4 * ops.sin(x[:, 0])


def test_sobol_indices_of_known_functions():
    # A mask from 0 to 1 between the baseline -pi and the sample pi is a uniform variable.
    sobol = SobolAttribution(computed(ishigami, 3), num_samples=4096, seed=0)
    found = sobol(np.full((1, 3), np.pi), target=0, baseline=-np.pi)
    np.testing.assert_allclose(found.values[0], [0.5576, 0.4424, 0.2437], atol=0.02)
    assert found.num_forward_passes == 4096 * 5
    weights = np.array([1.0, -2.0, 3.0, 0.0])
    linear = SobolAttribution(
        computed(lambda x: ops.matmul(x, weights[:, None].astype("float32"))[:, 0], 4), num_samples=2048, seed=1
    )
    x = np.array([[1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 0.0, 5.0]])
    shares = np.square(weights * x)
    np.testing.assert_allclose(linear(x, target=0).values, shares / shares.sum(axis=1, keepdims=True), atol=0.02)
    # The product of uniform variables: each index is (E[u^2]^(d-1) Var(u)) / Var(product).
    product = SobolAttribution(computed(lambda x: ops.prod(x, axis=1), 3), num_samples=4096, seed=0)
    expected = (1 / 3) ** 2 / 12 / ((1 / 3) ** 3 - (1 / 4) ** 3)
    np.testing.assert_allclose(product(np.ones((1, 3)), target=0).values, [[expected] * 3], atol=0.02)


def test_jansen_is_a_loop():
    a, b, exchanged = drawn(2, 16).astype("float64"), drawn(3, 16)[:2].astype("float64"), drawn(2, 5, 16).astype("float64")
    found = jansen(a, b, exchanged)
    for i in range(2):
        both = [*a[i], *b[i]]
        variance = sum((each - sum(both) / 32) ** 2 for each in both) / 32
        for part in range(5):
            expected = sum((a[i, k] - exchanged[i, part, k]) ** 2 for k in range(16)) / (2 * 16) / variance
            assert found[i, part] == pytest.approx(expected, rel=1e-12)
    assert (jansen(a * 0, b * 0, exchanged * 0) == 0).all()


def test_the_masks_of_sobol_are_those_of_scipy():
    """SciPy computes the indices from the scores of the same masks, which are built here one by one."""
    if not hasattr(stats, "sobol_indices"):
        pytest.skip("this version of SciPy has none")
    model, x = network((2, 3, 1)), drawn(1, 2, 3, 1)
    found = SobolAttribution(model, num_samples=16, seed=3)(x, target=1, baseline=0.5).values[0].ravel()
    both = sobol_masks(16, 6, 3)
    a, b = both[:, :6], both[:, 6:]

    def scores(masks):
        return model.predict_on_batch(0.5 + masks.reshape(-1, 2, 3, 1) * (x - 0.5))[:, 1].astype("float64")[None]

    mixed = np.stack([np.where(np.arange(6) == part, b, a) for part in range(6)])
    values = {"f_A": scores(a), "f_B": scores(b), "f_AB": np.stack([scores(each) for each in mixed])}
    theirs = stats.sobol_indices(func=values, n=16)
    np.testing.assert_allclose(found, theirs.total_order.ravel(), atol=1e-4)


# HSIC


def test_hsic_is_a_double_loop():
    masks, scores = np.random.default_rng(0).integers(0, 2, (15, 4)).astype(bool), drawn(15).astype("float64")
    distances = sorted(abs(scores[k] - scores[m]) for k in range(15) for m in range(k))
    width = distances[len(distances) // 2] if len(distances) % 2 else sum(distances[len(distances) // 2 - 1 :][:2]) / 2
    for part in range(4):
        left = [[0.5 - float(masks[k, part] != masks[m, part]) for m in range(15)] for k in range(15)]
        right = [[math.exp(-((scores[k] - scores[m]) ** 2) / (2 * width**2)) for m in range(15)] for k in range(15)]
        every = range(15)
        one = sum(left[k][m] * right[k][m] for k in every for m in every) / 15**2
        two = sum(map(sum, left)) * sum(map(sum, right)) / 15**4
        three = 2 * sum(sum(left[k]) * sum(right[k]) for k in every) / 15**3
        assert hsic(masks, scores)[part] == pytest.approx(one + two - three, abs=1e-12)
    assert (hsic(masks, np.ones(15)) == 0).all()


def test_hsic_tells_what_the_score_depends_on():
    model = computed(lambda x: x[:, 0] * x[:, 1] + 0.2 * x[:, 2], 5)
    found = HSICAttribution(model, num_samples=2000, seed=0)(np.ones((1, 5)), target=0).values[0]
    assert found[:3].min() > 30 * found[3:].max()
    # Independence is never seen exactly, and less exactly with few masks.
    few = HSICAttribution(model, num_samples=50, seed=0)(np.ones((1, 5)), target=0).values[0]
    assert few[3:].max() > found[3:].max() > 0


def test_half_of_the_masks_show_each_part():
    masks = balanced_masks(1000, 20, 0)
    assert (masks.sum(axis=0) == 500).all()
    assert np.abs(np.corrcoef(masks.T) - np.eye(20)).max() < 0.15 and len(np.unique(masks, axis=0)) > 990
    assert (balanced_masks(7, 3, 0).sum(axis=0) == 3).all()


# Feature ablation


def test_ablation_is_a_loop_over_groups():
    model, x = network((4, 5, 2)), drawn(3, 4, 5, 2)
    whole = model.predict_on_batch(x)[:, 1]
    by_place = np.arange(20).reshape(4, 5) // 3 * 7  # numbers need not be consecutive
    by_channel = np.arange(2).reshape(1, 1, 2)
    each = np.arange(40).reshape(4, 5, 2)
    for groups, shape in ((by_place, (4, 5, 1)), (by_place[..., None], (4, 5, 1)), (by_channel, (4, 5, 2)), (each, (4, 5, 2))):
        full = np.broadcast_to(groups if groups.ndim == 3 else groups[..., None], (4, 5, 2))
        expected = np.zeros_like(x)
        for group in np.unique(groups):
            hidden = np.where(full == group, 0.25, x)
            lost = whole - model.predict_on_batch(hidden)[:, 1]
            expected[:, full == group] = lost[:, None]
        found = FeatureAblation(model, groups=groups, batch_size=4)(x, target=1, baseline=0.25)
        assert found.values.shape == (3, *shape)
        np.testing.assert_allclose(np.broadcast_to(found.values, x.shape), expected, atol=1e-5)
        assert found.num_forward_passes == 1 + len(np.unique(groups))


def test_ablation_of_a_table_is_occlusion_and_blocks_are_equal():
    table, x = network((6,)), drawn(4, 6)
    found = FeatureAblation(table)(x, target=1)
    np.testing.assert_allclose(found.values, Occlusion(table)(x, target=1).values, atol=1e-6)
    model = network((8, 12, 1))
    blocks = FeatureAblation(model, groups=4)(drawn(1, 8, 12, 1), target=0)
    tiles = Occlusion(model, window=(2, 3), stride=(2, 3))(drawn(1, 8, 12, 1), target=0)
    np.testing.assert_allclose(blocks.values, tiles.values, atol=1e-6)
    assert FeatureAblation(model)(drawn(1, 8, 12, 1), target=0).num_forward_passes == 65


def test_groups_span_inputs():
    model = two_inputs()
    x = {"image": drawn(2, 4, 4, 2), "table": drawn(2, 3)}
    groups = {"image": np.repeat([0, 1], 8).reshape(4, 4), "table": np.array([0, 2, 2])}
    found = FeatureAblation(model, groups=groups)(x, target=0)
    whole = model.predict_on_batch(x)[:, 0]
    image, table = x["image"].copy(), x["table"].copy()
    image[:, :2], table[:, 0] = 0, 0
    lost = whole - model.predict_on_batch({"image": image, "table": table})[:, 0]
    np.testing.assert_allclose(
        found.values["image"][:, :2], np.broadcast_to(lost[:, None, None, None], (2, 2, 4, 1)), atol=1e-5
    )
    np.testing.assert_allclose(found.values["table"][:, 0], lost, atol=1e-5)
    assert found.num_forward_passes == 4
    other = FeatureAblation(model, groups={"image": groups["image"], "table": np.array([3, 2, 2])})(x, target=0)
    assert other.num_forward_passes == 5 and np.abs(other.values["table"][:, 0] - lost).max() > 1e-3


def test_groups_equal_to_the_baseline_are_not_run():
    model, x = network((6,)), np.zeros((2, 6))
    x[1, 2:4] = 1
    found = FeatureAblation(model, groups=[0, 0, 1, 1, 2, 2])(x, target=0)
    assert found.num_forward_passes == 1.5
    assert (found.values[0] == 0).all() and (found.values[1] != 0).tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("name", METHODS)
def test_what_equals_the_baseline_has_no_value(name):
    x = drawn(2, 6)
    x[:, 3] = 0.5
    found = METHODS[name](network((6,)), seed=0)(x, target=0, baseline=0.5).values
    assert (np.delete(found, 3, axis=1) != 0).any()
    if name != "RISE":  # whose masks show by chance what matters together with what does not
        assert (found[:, 3] == 0).all()
    same = METHODS[name](network((6,)), seed=0)(np.full((1, 6), 0.5), target=0, baseline=0.5).values
    np.testing.assert_allclose(same, 0, atol=1e-6)


# Shapley value sampling


def shapley(score, count):
    """Shapley values by enumeration of all coalitions."""
    values = np.zeros(count)
    for group in range(count):
        others = [each for each in range(count) if each != group]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for members in itertools.combinations(others, size):
                values[group] += weight * (score({*members, group}) - score({*members}))
    return values


def test_shapley_values_by_enumeration():
    model, x = network((2, 4, 1)), drawn(1, 2, 4, 1)
    groups = np.array([[0, 0, 1, 2], [0, 3, 1, 2]])

    def score(shown):
        mask = np.isin(groups, list(shown))[None, ..., None]
        return float(model.predict_on_batch(np.where(mask, x, -0.3))[0, 1])

    expected = shapley(score, 4)
    found = ShapleyValueSampling(model, num_samples=4000, groups=groups, seed=0)(x, target=1, baseline=-0.3)
    by_group = [found.values[0, ..., 0][groups == group].sum() for group in range(4)]
    np.testing.assert_allclose(by_group, expected, atol=0.02 * np.abs(expected).max())
    for group in range(4):  # divided equally
        assert np.ptp(found.values[0, ..., 0][groups == group]) == 0
    assert found.num_forward_passes == 2 + 4000 * 3
    lost = [score({0, 1, 2, 3}) - score({0, 1, 2, 3} - {group}) for group in range(4)]
    assert np.abs(np.array(lost) - expected).max() > 0.1 * np.abs(expected).max()  # ablation is something else


@pytest.mark.parametrize("groups", [None, np.zeros((4, 4), int), np.arange(32).reshape(4, 4, 2) % 5])
def test_sampled_values_add_up(groups):
    model, x = network((4, 4, 2)), drawn(3, 4, 4, 2)
    found = ShapleyValueSampling(model, num_samples=2, groups=groups, seed=0)(x, target=[0, 1, 2], baseline=0.2)
    scores, none = model.predict_on_batch(x), model.predict_on_batch(np.full((1, 4, 4, 2), 0.2))[0]
    expected = scores[np.arange(3), [0, 1, 2]] - none
    np.testing.assert_allclose(found.values.reshape(3, -1).sum(axis=1), expected, atol=1e-5)
    np.testing.assert_allclose(found.convergence_delta, 0, atol=1e-5)


def test_padding_has_no_share_of_its_group():
    stack = [layers.Embedding(9, 2, mask_zero=True), layers.LSTM(3), layers.Dense(2)]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *stack])
    x = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
    found = ShapleyValueSampling(model, groups=[0, 0, 1, 1, 1], seed=0)(x, target=1, baseline=1)
    scores = model.predict_on_batch(x)[:, 1]
    hidden = model.predict_on_batch(np.where(x == 0, 0, 1))[:, 1]
    np.testing.assert_allclose(found.values.sum(axis=1), scores - hidden, atol=1e-5)
    assert (found.values[0, 3:] == 0).all() and found.values[0, 2] != 0


# All of them


def test_words_of_texts():
    model = text_model(output_sequence_length=4)
    taken = Occlusion(model)(TEXTS, target=0).values
    np.testing.assert_allclose(FeatureAblation(model)(TEXTS, target=0).values, taken, atol=1e-6)
    sampled = ShapleyValueSampling(model, seed=0)(TEXTS, target=0)
    np.testing.assert_allclose(sampled.convergence_delta, 0, atol=1e-6)
    for method in METHODS.values():
        found = method(model, seed=0)(TEXTS, target=0)
        assert found.values.shape == (3, 4)
        assert not found.values[2, 1:].any() and found.values[1].any()  # padding has none


@pytest.mark.parametrize("name", METHODS)
def test_seeds_repeat_exactly_and_batches_do_not_matter(name):
    model, x = network((6, 7, 2)), drawn(3, 6, 7, 2)
    first = METHODS[name](model, seed=1)(x).values
    np.testing.assert_array_equal(METHODS[name](model, seed=1)(x).values, first)
    np.testing.assert_allclose(
        METHODS[name](model, seed=1, batch_size=2)(x).values, first, atol=1e-5 * max(1, np.abs(first).max())
    )
    assert np.abs(METHODS[name](model, seed=2)(x).values - first).max() > 1e-4
    new = METHODS[name](model)
    assert np.abs(new(x).values - new(x).values).max() > 1e-4


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize(
    "groups, message",
    [
        (np.zeros((4, 5)), "integer array with the number of the group of each entry.*Received: groups=array"),
        (
            np.zeros((4, 4), int),
            r"shape of a sample, \(4, 5, 2\).*channels may be left out.*Received: an array of shape \(4, 4\)",
        ),
        (np.zeros(20, int), r"Received: an array of shape \(20,\)"),
        (np.full((4, 5), -1), "0 or more"),
        ([[0], [1, 2]], "integer array"),
        (0, "Expected `groups` to be an integer of at least 1. Received: groups=0"),
        (2.5, "integer array.*Received: groups=2.5"),
        ({"zz": np.zeros((4, 5), int)}, "by the name of the input, out of .* Received: a dict with the names \\['zz'\\]"),
    ],
)
def test_bad_groups(name, groups, message):
    with pytest.raises(ValueError, match=message):
        GROUPED[name](network((4, 5, 2)), groups=groups)


def test_groups_of_several_inputs_cover_all_of_them():
    model = two_inputs()
    with pytest.raises(ValueError, match=r"to cover all inputs, \['image', 'table'\]. Received: no groups for \['table'\]"):
        FeatureAblation(model, groups={"image": np.zeros((4, 4), int)})
    with pytest.raises(ValueError, match="a dict of integer arrays by the name of the input"):
        FeatureAblation(model, groups=np.zeros((4, 4), int))
    with pytest.raises(
        ValueError, match=r"for input 'table' to be an array of the shape of a sample, \(3,\).*Received.*\(2,\)"
    ):
        FeatureAblation(model, groups={"image": np.zeros((4, 4), int), "table": [0, 1]})


def test_groups_of_images_of_open_size():
    x = keras.Input((None, None, 1))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    ablation = FeatureAblation(model, groups=np.arange(30).reshape(5, 6) % 4)
    assert ablation(np.ones((1, 5, 6, 1)), target=0).num_forward_passes == 5
    with pytest.raises(ValueError, match=r"shape of a sample, \(4, 6, 1\)"):
        ablation(np.ones((1, 4, 6, 1)), target=0)
    assert RISE(model, num_samples=20, seed=0)(np.ones((1, 5, 6, 1))).values.shape == (1, 5, 6, 1)


@pytest.mark.parametrize("options", [{"num_samples": 12}, {"num_samples": 1}, {"num_samples": 3}])
def test_sobol_needs_a_power_of_two(options):
    with pytest.raises(ValueError, match="`num_samples`"):
        SobolAttribution(network((3,)), **options)
    with pytest.raises(ValueError, match="power of 2.*Received: num_samples=12. The next one is 16"):
        SobolAttribution(network((3,)), num_samples=12)


def test_more_parts_than_scipy_has_sequences_for():
    with pytest.raises(ValueError, match="at most 10600 parts.*Received: 10601. Give fewer `groups`"):
        sobol_masks(2, 10601, 0)


@pytest.mark.parametrize("probability", [0, 1, -1, 1.5, np.nan, "half"])
def test_rise_hides_some_and_shows_some(probability):
    with pytest.raises(ValueError, match="Expected `preservation_probability` to be a number between 0 and 1"):
        RISE(network((3,)), preservation_probability=probability)


@pytest.mark.parametrize("name", ["FeatureAblation", *METHODS])
def test_scores_that_are_not_numbers_where_all_is_hidden_are_told(name):
    stack = [layers.Embedding(9, 2, mask_zero=True), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,), dtype="int32"), *stack])
    method = FeatureAblation(model) if name == "FeatureAblation" else METHODS[name](model, seed=0)
    assert np.isfinite(method(np.array([[1, 2, 0]]), baseline=3).values).all()
    with pytest.raises(ValueError, match="NaN or infinite when parts of a sample are hidden.*unknown words"):
        method(np.array([[1, 0, 0]]))
