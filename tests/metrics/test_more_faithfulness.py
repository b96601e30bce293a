"""ROAD, IROF, sufficiency, correlations and the variants of parameter randomization: orders, data of all layouts, and bad input."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import metrics
from keras_xai.attribution import GradientTimesInput, Saliency
from keras_xai.metrics import (
    IROF,
    ROAD,
    Deletion,
    EfficientMPRT,
    FaithfulnessCorrelation,
    Insertion,
    ModelParameterRandomization,
    Monotonicity,
    PixelFlipping,
    SmoothMPRT,
    Sufficiency,
    TopKIntersection,
    compare_methods,
)
from keras_xai.metrics.imputation import imputed
from keras_xai.metrics.similarity import correlation
from tests.metrics import oracles
from tests.metrics.examples import Edges, Watching, convolutional, explained, linear

IMAGES = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return convolutional()


@pytest.fixture(scope="module")
def explanation(model):
    return Saliency(model)(IMAGES)


def opposite(explanation):
    return explained(IMAGES, -explanation.values, explanation.target)


# Orders


def test_deletion_least_relevant_first_is_insertion_backward(model, explanation):
    _, lerf = Deletion(model, steps=6).curve(opposite(explanation))
    _, inserted = Insertion(model, steps=6).curve(explanation)
    np.testing.assert_allclose(lerf, inserted[:, ::-1], atol=1e-6)
    assert not np.allclose(Deletion(model, steps=6).curve(explanation)[1], lerf, atol=1e-2)


def test_both_orders_of_pixel_flipping(model, explanation):
    metric = PixelFlipping(model, steps=5, seed=0)
    counts, morf = metric.curve(explanation)
    _, lerf = metric.curve(explanation, order="lerf")
    assert counts.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(metric(explanation), (morf[:, :1] - morf).mean(axis=1), atol=1e-7)
    np.testing.assert_allclose(lerf, metric.curve(opposite(explanation))[1], atol=1e-6)
    assert not np.allclose(lerf, morf, atol=1e-3)
    with pytest.raises(ValueError, match="`order` to be one of.*Received: order='first'"):
        metric.curve(explanation, order="first")


def test_both_orders_of_road(model, explanation):
    options = {"steps": 3, "seed": 4}
    morf, lerf = (ROAD(model, order=order, noise=0.1, **options) for order in ("morf", "lerf"))
    for order, metric in (("morf", morf), ("lerf", lerf)):
        expected = oracles.road(model, None, explanation, None, order=order, noise=0.1, **options)
        np.testing.assert_allclose(metric(explanation), expected, atol=1e-5)
    assert not np.allclose(morf(explanation), lerf(explanation), atol=1e-3)
    found = compare_methods(model, IMAGES, [Saliency(model)], {"morf": morf, "lerf": lerf}, verbose=0)
    assert found.higher_is_better == {"morf": False, "lerf": True}
    shares, curve = morf.curve(explanation)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(curve.mean(axis=1), morf(explanation))


# Imputation


def test_gaps_of_a_series_are_interpolated():
    x = np.array([0.0, 9.0, 9.0, 3.0, 9.0])[:, None]
    np.testing.assert_allclose(imputed(x, np.array([0, 1, 1, 0, 1], bool))[:, 0], [1, 2, 3])  # the last has one neighbor


def test_a_linear_volume_is_imputed_as_it_was():
    d, h, w = np.indices((5, 4, 6))
    x = np.stack([d + 2 * h - w, 3 * w - d], axis=-1).astype("float64")
    removed = np.zeros((5, 4, 6), bool)
    removed[1:4, 1:3, 2:5] = True
    np.testing.assert_allclose(imputed(x, removed), x[removed], atol=1e-9)


def test_what_is_removed_as_a_whole_is_its_mean():
    x = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_allclose(imputed(x, np.ones((2, 3), bool)), np.tile([5.0, 6.0], (6, 1)))


def test_a_series_by_road():
    """The score is the middle step; with the most relevant step first it is the mean of its neighbors from the first share on."""
    x = np.array([[[1.0], [2.0], [9.0], [4.0], [5.0]]], "float32")
    model = linear(np.array([[0.0], [0.0], [1.0], [0.0], [0.0]]))
    values = np.array([[[1.0], [2.0], [3.0], [0.0], [0.5]]])
    _, curve = ROAD(model, steps=4, noise=0.0).curve(explained(x, values))
    # Steps 2, 1, 0 and 4 are removed in turn.
    np.testing.assert_allclose(curve[0], [3, 1 + 2 / 3 * 3, 4, 4], rtol=1e-5)


def test_integer_images_by_road():
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    scaled = layers.Rescaling(1 / 255)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(scaled)))
    x = np.random.default_rng(0).integers(0, 256, size=(2, 4, 4, 1)).astype("uint8")
    values = np.random.default_rng(1).normal(size=(2, 4, 4, 1))
    assert np.isfinite(ROAD(model, steps=2)(explained(x, values))).all()


# Correlations


def test_correlation_of_constant_rows():
    row, flat = np.arange(6.0)[None], np.full((1, 6), 0.1) * 3
    first, second = np.random.default_rng(0).normal(size=(2, 4, 7))
    np.testing.assert_allclose(
        correlation(first, second), [np.corrcoef(*rows)[0, 1] for rows in zip(first, second, strict=True)]
    )
    assert correlation(flat, row) == 0 and correlation(flat, flat) == 1
    noisy = flat + np.array([0, 1, 0, 1, 0, 0]) * 1e-17
    assert correlation(noisy, row) == 0


def test_contributions_to_a_linear_score_correlate_with_its_changes():
    model = linear(np.random.default_rng(0).normal(size=12))
    x = np.random.default_rng(1).normal(size=(2, 12)).astype("float32")
    exact = GradientTimesInput(model)(x)
    metric = FaithfulnessCorrelation(model, num_perturbations=20, seed=0)
    np.testing.assert_allclose(metric(exact), 1, atol=1e-5)
    np.testing.assert_allclose(metric(explained(x, -exact.values)), -1, atol=1e-5)
    assert metric(explained(x, np.ones_like(x))).tolist() == [0, 0]


def test_monotonicity_knows_no_signs():
    model = linear(np.array([1.0, -8.0, 64.0, -512.0]))
    x = np.array([[1.0, -1.0, 1.0, -1.0]], "float32")
    metric = Monotonicity(model, seed=0, num_samples=2)
    for values, expected in (([1, 2, 3, 4], 1), ([1, -2, 3, -4], 1), ([4, 3, 2, 1], -1)):
        # Features have no range, and no noise: another sample's values are drawn from.
        both = np.concatenate([x, 1 - x])
        found = metric(explained(both, np.array([values, values], "float64")))
        assert found == pytest.approx([expected, expected])


# Segments, classes


def test_segments_by_irof():
    """Of two segments the one that matters: the probability falls from sigmoid(4) to a half at once, or at the end."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid", kernel_initializer="ones", use_bias=False)])
    x, segments = np.array([[2.0, 2.0, 0.0, 0.0]], "float32"), np.array([0, 0, 1, 1])
    half = 0.5 * (1 + np.exp(-4))
    for values, area in (([1, 1, 0, 0], (1 + half) / 4 + half / 2), ([0, 0, 1, 1], 0.5 + (1 + half) / 4)):
        found = IROF(model, segments=segments)(explained(x, np.array([values], "float64"), np.ones(1, "int32")))
        assert found == pytest.approx(1 - area, abs=1e-6)


def test_no_probability_has_no_fall():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, "softmax", kernel_initializer="identity")])
    x = np.array([[0.0, 200.0], [1.0, 2.0]], "float32")
    found = IROF(model)(explained(x, np.ones((2, 2)), np.zeros(2, "int32")))
    assert np.isnan(found[0]) and np.isfinite(found[1])


def test_sufficiency_of_nothing_alike():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, "sigmoid")])
    x = np.eye(2, dtype="float32")
    assert np.isnan(Sufficiency(model, threshold=0.5)(explained(x, np.eye(2)))).all()
    alone = explained(x, np.ones((2, 2)))
    same = float(np.unique(np.asarray(model(x)) > 0.5).size == 1)
    assert Sufficiency(model, threshold=0.0)(alone).tolist() == [same, same]


# Parameter randomization


def test_without_noise_smooth_is_the_plain_test(model, explanation):
    plain = ModelParameterRandomization(model, Saliency(model), seed=2).similarities(explanation)
    found = SmoothMPRT(model, Saliency(model), num_samples=1, seed=2).similarities(explanation)
    assert list(found) == list(plain) == ["head", "hidden", "norm", "conv"]
    for path, values in plain.items():
        np.testing.assert_allclose(found[path], values, atol=1e-3)


@pytest.mark.parametrize("metric", [SmoothMPRT, EfficientMPRT])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_weights_come_back(model, metric, error):
    before = [variable.numpy().tobytes() for variable in model.variables]
    options = {"num_samples": 1} if metric is SmoothMPRT else {}
    method = Watching(model, fails_at=1, error=error)
    with pytest.raises(error, match="on purpose"):
        metric(model, method, seed=0, **options)(explained(IMAGES, IMAGES))
    assert any(seen.tobytes() != then for seen, then in zip(method.seen[-1], before, strict=True))
    assert [variable.numpy().tobytes() for variable in model.variables] == before


def test_edges_stay_as_complex_and_constants_have_no_complexity(model):
    edges = Edges(model)
    assert EfficientMPRT(model, edges)(edges(IMAGES)).tolist() == [0, 0, 0]
    assert np.isnan(EfficientMPRT(model, edges)(explained(IMAGES, np.ones_like(IMAGES)))).all()
    tiny = explained(IMAGES, edges(IMAGES).values.astype("float64") * 1e-300)
    np.testing.assert_allclose(EfficientMPRT(model, edges)(tiny), 0, atol=0.05)


# Bad input


@pytest.mark.parametrize("metric", [metrics.PointingGame, metrics.RelevanceMass, metrics.RelevanceRank, TopKIntersection])
def test_masks_are_needed_before_any_work(model, metric):
    with pytest.raises(
        ValueError, match=rf"{metric.__name__} compares explanations with objects and needs `masks`.*masks=None"
    ):
        metric(None)
    method = Watching(model)
    with pytest.raises(ValueError, match="needs `masks`"):
        compare_methods(model, IMAGES, [method], {"objects": lambda method: metric(None)}, target=0)
    assert method.seen == []


def test_bad_options(model):
    method = Saliency(model)
    for make, message in (
        (lambda: ROAD(model, order="MoRF"), r"`order` to be one of \['morf', 'lerf'\]. Received: order='MoRF'"),
        (lambda: ROAD(model, noise=-1), "`noise` to be a number of at least 0.*noise=-1"),
        (lambda: ROAD(model, steps=0), "steps=0"),
        (lambda: FaithfulnessCorrelation(model, num_perturbations=1), "`num_perturbations`.*at least 2"),
        (lambda: FaithfulnessCorrelation(model, subset_size=0), "subset_size=0"),
        (lambda: Monotonicity(model, steps=1), "`steps`.*at least 2"),
        (lambda: Sufficiency(model, threshold=2), "`threshold` to be a number from 0 to 1"),
        (lambda: IROF(model, segments="many"), "`segments`.*'many'"),
        (lambda: TopKIntersection(np.ones((1, 2), bool), k=0), "`k`.*k=0"),
        (lambda: TopKIntersection(np.ones((1, 2), bool), concept_influence=2), "`concept_influence`"),
        (lambda: EfficientMPRT(model, method, num_bins=1), "`num_bins`.*at least 2"),
        (lambda: SmoothMPRT(model, method, noise=-0.1), "noise=-0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    for metric in (EfficientMPRT, SmoothMPRT):
        with pytest.raises(TypeError, match=f"{metric.__name__} recomputes explanations"):
            metric(model, model)
        with pytest.raises(ValueError, match="of another model"):
            metric(convolutional(), method)


def test_what_cannot_be_rated(model, explanation):
    table = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    one, row = explained(np.ones((1, 3), "float32"), np.ones((1, 3))), explained(np.ones((2, 3), "float32"), np.ones((2, 3)))
    single = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    alone = explained(np.ones((2, 1), "float32"), np.ones((2, 1)))
    for metric, rated, message in (
        (ROAD(table), row, r"layouts \['NF'\], features \(F\) or tokens \(L\), which have no neighbors. Use `Deletion`"),
        (FaithfulnessCorrelation(table, subset_size=3), row, "subsets of 3 of 3 positions"),
        (FaithfulnessCorrelation(single), alone, "subsets of 1 of 1 positions"),
        (Monotonicity(single), alone, "at least two positions.*samples of 1 position"),
        (Sufficiency(table), one, "at least two samples.*Received: 1 sample"),
        (Sufficiency(table), row, r"a model that predicts classes.*of shape \(None, 1\)"),
        (IROF(model), Saliency(model)(IMAGES, lambda scores: scores[:, 0]), "explanation of a callable target"),
        (TopKIntersection(np.ones((2, 3), bool), k=4), row, "`k` to be at most the number of positions, 3"),
    ):
        with pytest.raises(ValueError, match=message):
            metric(rated)
