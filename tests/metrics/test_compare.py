"""Several methods by several metrics: the table, its intervals, its cost and its picture."""

import numpy as np
import pytest
from scipy import stats

from keras_xai.attribution import GradientTimesInput, IntegratedGradients, Saliency
from keras_xai.metrics import (
    Comparison,
    Deletion,
    MaxSensitivity,
    Metric,
    ModelParameterRandomization,
    PointingGame,
    RelevanceMass,
    Sparseness,
    compare_methods,
)
from tests.metrics.examples import convolutional

IMAGES = np.random.default_rng(0).normal(size=(7, 6, 5, 2))
MASKS = np.zeros((7, 6, 5), bool)
MASKS[:, 2:4, 1:3] = True


@pytest.fixture(scope="module")
def model():
    return convolutional()


@pytest.fixture(scope="module")
def comparison(model):
    methods = {"gradient": Saliency(model), "path": IntegratedGradients(model, steps=4)}
    metrics = {
        "deletion": Deletion(model, steps=5),
        "pointing": PointingGame(MASKS),
        "sensitivity": lambda method: MaxSensitivity(method, num_samples=2, seed=0),
        "weights": lambda method: ModelParameterRandomization(model, method, layers=["head"], seed=0),
    }
    return compare_methods(model, IMAGES, methods, metrics, baseline=0.5)


def test_the_table(comparison):
    assert isinstance(comparison, Comparison)
    assert comparison.table.index.tolist() == ["gradient", "path"]
    assert list(comparison.table.columns.levels[0].sort_values()) == ["cost", "deletion", "pointing", "sensitivity", "weights"]
    values = comparison.values["deletion"]["path"]
    row = comparison.table.loc["path", "deletion"]
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), [values.mean(), low, high])
    assert comparison.higher_is_better == {"deletion": False, "pointing": True, "sensitivity": False, "weights": False}
    assert comparison.table["cost"]["num_forward_passes"].tolist() == [
        each.num_forward_passes for each in comparison.explanations.values()
    ]
    assert comparison.table["cost"]["num_forward_passes"].tolist() == [2.0, 11.0]
    assert (comparison.table["cost"]["seconds"] > 0).all()


def test_metrics_are_those_of_the_explanations(model, comparison):
    for name, method in (("gradient", Saliency(model)), ("path", IntegratedGradients(model, steps=4))):
        baseline = 0.5 if name == "path" else None
        explanation = method(IMAGES, baseline=baseline)
        np.testing.assert_allclose(comparison.explanations[name].values, explanation.values, atol=1e-6)
        np.testing.assert_allclose(comparison.values["deletion"][name], Deletion(model, steps=5)(explanation), atol=1e-6)
        expected = MaxSensitivity(method, num_samples=2, seed=0)(explanation)
        np.testing.assert_allclose(comparison.values["sensitivity"][name], expected, rtol=1e-3)


def test_the_picture(comparison):
    figure = comparison.plot(samples=2)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["input", "gradient", "path"]
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"deletion ↓", "pointing ↑", "passes per sample", "11"} <= set(words)
    best = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_fontweight() == "bold"]
    means = comparison.table["sensitivity"]["mean"]
    assert any(word.startswith(f"{means.min():.3g} ±") for word in best)
    assert not any(word.startswith(f"{means.max():.3g} ±") for word in best)


def test_lists_are_named_by_what_is_in_them(model, capsys):
    target = np.array([0, 1, 2, 0, 1, 2, 0])
    methods = [Saliency(model), GradientTimesInput(model)]
    found = compare_methods(model, IMAGES, methods, [Sparseness(), MaxSensitivity], target=target, verbose=2)
    assert found.table.index.tolist() == ["Saliency", "GradientTimesInput"]
    assert [name for name, _ in found.table.columns][::3] == ["Sparseness", "MaxSensitivity", "cost"]
    np.testing.assert_array_equal(found.explanations["Saliency"].target, target)
    assert "6/6" in capsys.readouterr().out


class Hole(Metric):
    """A metric that does not know some samples."""

    higher_is_better = True

    def __init__(self, known):
        self._known = known

    def _rate(self, explanation):
        return np.where(np.arange(len(explanation)) < self._known, np.arange(len(explanation)), np.nan)


def test_samples_that_a_metric_does_not_know_are_left_out(model):
    metrics = {f"{known}": Hole(known) for known in (3, 1, 0)}
    found = compare_methods(model, IMAGES, [Saliency(model)], metrics)
    row = found.table.loc["Saliency"]
    np.testing.assert_allclose(row["3"].astype(float), [1, *stats.t.interval(0.95, 2, 1, 1 / np.sqrt(3))])
    assert row["1"]["mean"] == 0 and np.isnan(row["1"]["low"]) and np.isnan(row["0"]["mean"])
    assert "-" in [text.get_text() for axes in found.plot(1).axes for text in axes.texts]


def test_targets_and_baselines_of_each_sample(model):
    baseline = np.random.default_rng(1).normal(size=IMAGES.shape)
    method = IntegratedGradients(model, steps=2)
    for target in (None, 2, [0, 1, 2, 0, 1, 2, 0], lambda scores: scores[:, 0]):
        found = compare_methods(model, IMAGES, [method], [RelevanceMass(MASKS)], target=target, baseline=baseline)
        expected = method(IMAGES, target, baseline)
        np.testing.assert_allclose(found.explanations["IntegratedGradients"].values, expected.values, atol=1e-6)


def test_bad_input(model):
    method, metric = Saliency(model), Sparseness()
    with pytest.raises(ValueError, match="at least one of the `methods`. Received: 0"):
        compare_methods(model, IMAGES, [], [metric])
    with pytest.raises(ValueError, match="at least one of the `metrics`. Received: 0"):
        compare_methods(model, IMAGES, [method], {})
    with pytest.raises(ValueError, match="methods with distinct names. Received: 'Saliency' twice"):
        compare_methods(model, IMAGES, [method, Saliency(model)], [metric])
    with pytest.raises(TypeError, match="Expected attribution methods"):
        compare_methods(model, IMAGES, {"a": Saliency}, [metric])
    with pytest.raises(TypeError, match="Expected metrics.*Received: 'gini'"):
        compare_methods(model, IMAGES, [method], ["gini"])
    with pytest.raises(ValueError, match="Expected a method of the model"):
        compare_methods(convolutional(), IMAGES, [method], [metric])
    with pytest.raises(ValueError, match=r"shape \(None, 6, 5, 2\)"):
        compare_methods(model, IMAGES[0], [method], [metric])
    with pytest.raises(ValueError, match="from 0 to 2"):
        compare_methods(model, IMAGES, [method], [metric], target=5)
    with pytest.raises(ValueError, match="one target per sample, 7"):
        compare_methods(model, IMAGES, [method], [metric], target=[0, 1])
    with pytest.raises(ValueError, match="Expected `masks` to be booleans"):
        compare_methods(model, IMAGES, [method], [PointingGame(MASKS[:2])])
