"""For every metric a perfect and the worst explanation, on models so simple that both are known.

Each function takes the metric's class and returns two pairs, of the metric and an explanation: the perfect and the worst.
"""

import keras
import numpy as np
from keras import layers

from keras_xai import metrics
from keras_xai.attribution import GradientTimesInput, Saliency
from tests.metrics.examples import Edges, convolutional, explained, linear

_RNG = np.random.default_rng(0)
SHAPE = (8, 8, 1)
# The score is a sum over the upper half of an image, which is bright there and dark below.
_TOP = np.zeros((3, *SHAPE), bool)
_TOP[:, :4] = True
_X = np.where(_TOP, _RNG.uniform(1.5, 2, _TOP.shape), _RNG.uniform(0, 0.1, _TOP.shape)).astype("float32")
_WEIGHTS = np.where(_TOP[0], _RNG.uniform(0.02, 0.06, SHAPE), 0).astype("float32")


def contributions(metric):
    """The contributions to a linear score, and places in the opposite order."""
    model = linear(_WEIGHTS)
    options = {"seed": 0} if metric in _DRAWING else {}
    made = metric(model, **options)
    perfect = GradientTimesInput(model)(_X)
    return (made, perfect), (made, explained(_X, perfect.values.max() - perfect.values, perfect.target))


_DRAWING = (metrics.PixelFlipping, metrics.Infidelity, metrics.FaithfulnessCorrelation, metrics.Monotonicity, metrics.ROAD)


def object_or_background(metric):
    """The object alone, and all but the object."""
    made = metric(_TOP[..., 0])
    return (made, explained(_X, _TOP.astype("float64"))), (made, explained(_X, 1.0 - _TOP))


def one_or_all(metric):
    """One place, and all alike."""
    one = np.zeros((3, *SHAPE))
    one[:, 2, 3] = -2.0
    return (metric(), explained(_X, one)), (metric(), explained(_X, np.ones_like(one)))


def constant_or_edges(metric):
    """The gradient of a linear score, which is the same everywhere, and an edge detector."""
    model = linear(_WEIGHTS)
    methods = Saliency(model), Edges(model)
    return tuple((metric(method, seed=0), method(_X)) for method in methods)


def gradient_or_edges(metric):
    """The gradient of a network, and an edge detector, which no weight and no class changes."""
    model = convolutional()
    x = _RNG.normal(size=(3, 6, 5, 2)).astype("float32")
    options = {"num_samples": 3} if metric is metrics.SmoothMPRT else {}
    return tuple((metric(model, method, seed=0, **options), method(x)) for method in (Saliency(model), Edges(model)))


def few_or_edges(metric):
    """The gradient of a network whose weights look at two of 64 features, and an edge detector."""
    model = keras.Sequential([keras.Input((64,)), layers.Dense(16, use_bias=False), layers.Dense(1, use_bias=False)])
    first = np.zeros((64, 16))
    first[:2] = _RNG.normal(size=(2, 16))
    model.set_weights([first, _RNG.normal(size=(16, 1))])
    x = _X.reshape(3, 64)
    return tuple((metric(model, method, seed=0), method(x)) for method in (Saliency(model), Edges(model)))


def like_or_unlike(metric):
    """Neighbors with the same and with opposite explanations."""
    x = np.array([[0.0], [0.1], [5.0], [5.2]], "float32")
    return (metric(), explained(x, np.ones((4, 1)))), (metric(), explained(x, np.array([[1.0], [-1.0], [1.0], [-1.0]])))


def told_or_not(metric):
    """Explanations that tell the class, and such that are shared with samples of the other one."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, use_bias=False, kernel_initializer="identity")])
    x = np.array([[2.0, 0.0], [3.0, 1.0], [0.0, 2.0], [1.0, 3.0]], "float32")
    told, shared = np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[0, 1, 0, 1]]
    return (metric(model), explained(x, told)), (metric(model), explained(x, shared))


EXTREMES = {
    metrics.Deletion: contributions,
    metrics.Insertion: contributions,
    metrics.PixelFlipping: contributions,
    metrics.ROAD: contributions,
    metrics.IROF: contributions,
    metrics.Infidelity: contributions,
    metrics.FaithfulnessCorrelation: contributions,
    metrics.Monotonicity: contributions,
    metrics.Sufficiency: told_or_not,
    metrics.PointingGame: object_or_background,
    metrics.RelevanceMass: object_or_background,
    metrics.RelevanceRank: object_or_background,
    metrics.TopKIntersection: object_or_background,
    metrics.Sparseness: one_or_all,
    metrics.Complexity: one_or_all,
    metrics.MaxSensitivity: constant_or_edges,
    metrics.LocalLipschitzEstimate: constant_or_edges,
    metrics.ModelParameterRandomization: gradient_or_edges,
    metrics.SmoothMPRT: gradient_or_edges,
    metrics.EfficientMPRT: few_or_edges,
    metrics.RandomLogit: gradient_or_edges,
    metrics.NeighborSimilarity: like_or_unlike,
}
