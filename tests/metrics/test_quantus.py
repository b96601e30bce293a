"""Values of Quantus 0.6.0, with the inputs that produced them; its `evaluate_batch` and functions, called with NumPy arrays."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import Saliency
from keras_xai.metrics import (
    IROF,
    Complexity,
    EfficientMPRT,
    FaithfulnessCorrelation,
    Sufficiency,
    TopKIntersection,
)
from keras_xai.metrics.imputation import imputed
from tests.metrics.examples import explained, linear

ROW = np.array([[1.0, -2.0, 3.0, 0.5]])
X = np.zeros((1, 4), "float32")


def test_noisy_linear_imputation():
    """`noisy_linear_imputation(x, indices, noise=0)`."""
    x = np.arange(20.0).reshape(4, 5) ** 2 % 7
    removed = np.zeros(20, bool)
    removed[[0, 1, 6, 7, 8, 13, 19]] = True
    expected = [3.713249, 3.643994, 3.278259, 3.168933, 2.749453, 2.327783, 1.265557]
    np.testing.assert_allclose(imputed(x[..., None], removed.reshape(4, 5))[:, 0], expected, atol=1e-6)


def test_complexity():
    assert Complexity()(explained(X, ROW)) == pytest.approx(1.2047933096907844)


def test_entropy_of_a_histogram():
    """`discrete_entropy(a, n_bins=5)`."""
    model = linear(np.ones(4))
    metric = EfficientMPRT(model, Saliency(model), num_bins=5)
    assert metric._entropy(np.arange(20.0)[None] ** 2 % 7) == pytest.approx(1.3535252706084164)


def test_top_k_intersection():
    masks = np.array([[True, False, True, False]])
    assert TopKIntersection(masks, k=3)(explained(X, ROW)) == pytest.approx(0.66666667)
    assert TopKIntersection(masks, k=3, concept_influence=True)(explained(X, ROW)) == pytest.approx(1.33333333)


def test_faithfulness_correlation(monkeypatch):
    """`FaithfulnessCorrelation(nr_runs=6, subset_size=3)` with "black", the minimum of the sample, drew these subsets."""
    subsets = [[5, 2, 1], [1, 2, 3], [5, 2, 3], [2, 5, 1], [4, 1, 5], [4, 1, 0]]
    x, weights = np.array([[1.0, 2.0, -1.0, 3.0, 0.5, 2.0]], "float32"), np.array([1.0, -1.0, 2.0, 0.5, 1.0, 0.0])
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(1, "tanh", use_bias=False)(inputs))
    model.set_weights([weights[:, None]])
    metric = FaithfulnessCorrelation(model, num_perturbations=6, subset_size=3, baseline=-1.0)
    monkeypatch.setattr(metric, "_subset", lambda sample, number, total, size: subsets[number])
    assert metric(explained(x, x * weights)) == pytest.approx(0.910588873288473, abs=1e-5)


def test_irof():
    """`IROF(perturb_baseline="black")`: the area over L values, those after each removal, is not divided by L."""
    segments = np.array([[0, 0, 1, 1], [2, 2, 3, 3]])
    x, weights = np.arange(1.0, 9).reshape(1, 2, 4, 1) % 3, np.arange(8.0) / 4
    model = keras.Sequential([keras.Input((2, 4, 1)), layers.Flatten(), layers.Dense(2, "softmax", use_bias=False)])
    model.set_weights([np.stack([weights, np.zeros(8)], axis=1)])
    contributions = x * weights.reshape(1, 2, 4, 1)
    sums = np.bincount(segments.ravel(), contributions.ravel())
    first, second = 1 / (1 + np.exp(-np.array([sums.sum(), sums.sum() - sums.max()])))
    found = IROF(model, segments=segments, baseline=0.0)(explained(x.astype("float32"), contributions))
    # Here the area begins with the sample itself.
    assert 4 * found == pytest.approx(1.86834748 - (1 + second / first) / 2, abs=1e-5)


def test_sufficiency():
    """`Sufficiency(threshold=0.6)` with the Euclidean distance of rows of length one."""
    values = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.6, 0.4], [0.1, 0.9]])
    x = np.eye(2, dtype="float32")[[0, 1, 1, 0, 1]]  # the predicted classes
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Softmax()(ops.multiply(inputs, 1.0)))
    found = Sufficiency(model, threshold=0.6)(explained(x, values))
    np.testing.assert_allclose(found, [0.5, 0, 1, 1 / 3, 0.5])
