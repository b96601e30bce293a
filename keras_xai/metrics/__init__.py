"""Metrics of explanations: faithfulness, robustness, localization, complexity, randomization."""

from keras_xai.metrics.comparison import compare_methods
from keras_xai.metrics.curves import Deletion, Insertion
from keras_xai.metrics.infidelity import Infidelity
from keras_xai.metrics.localization import PointingGame, RelevanceMass, RelevanceRank
from keras_xai.metrics.max_sensitivity import MaxSensitivity
from keras_xai.metrics.metric import Metric
from keras_xai.metrics.neighbor_similarity import NeighborSimilarity
from keras_xai.metrics.pixel_flipping import PixelFlipping
from keras_xai.metrics.random_logit import RandomLogit
from keras_xai.metrics.randomization import ModelParameterRandomization
from keras_xai.metrics.sparseness import Sparseness
from keras_xai.results.comparison import Comparison

__all__ = [
    "Comparison",
    "Deletion",
    "Infidelity",
    "Insertion",
    "MaxSensitivity",
    "Metric",
    "ModelParameterRandomization",
    "NeighborSimilarity",
    "PixelFlipping",
    "PointingGame",
    "RandomLogit",
    "RelevanceMass",
    "RelevanceRank",
    "Sparseness",
    "compare_methods",
]
