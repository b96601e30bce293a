"""Metrics of explanations: faithfulness, robustness, localization, complexity, randomization."""

from keras_xai.metrics.comparison import compare_methods
from keras_xai.metrics.complexity import Complexity
from keras_xai.metrics.curves import Deletion, Insertion
from keras_xai.metrics.efficient_mprt import EfficientMPRT
from keras_xai.metrics.faithfulness_correlation import FaithfulnessCorrelation
from keras_xai.metrics.infidelity import Infidelity
from keras_xai.metrics.irof import IROF
from keras_xai.metrics.local_lipschitz_estimate import LocalLipschitzEstimate
from keras_xai.metrics.localization import PointingGame, RelevanceMass, RelevanceRank, TopKIntersection
from keras_xai.metrics.max_sensitivity import MaxSensitivity
from keras_xai.metrics.metric import Metric
from keras_xai.metrics.monotonicity import Monotonicity
from keras_xai.metrics.neighbor_similarity import NeighborSimilarity
from keras_xai.metrics.pixel_flipping import PixelFlipping
from keras_xai.metrics.random_logit import RandomLogit
from keras_xai.metrics.randomization import ModelParameterRandomization
from keras_xai.metrics.road import ROAD
from keras_xai.metrics.smooth_mprt import SmoothMPRT
from keras_xai.metrics.sparseness import Sparseness
from keras_xai.metrics.sufficiency import Sufficiency
from keras_xai.results.comparison import Comparison

__all__ = [
    "IROF",
    "ROAD",
    "Comparison",
    "Complexity",
    "Deletion",
    "EfficientMPRT",
    "FaithfulnessCorrelation",
    "Infidelity",
    "Insertion",
    "LocalLipschitzEstimate",
    "MaxSensitivity",
    "Metric",
    "ModelParameterRandomization",
    "Monotonicity",
    "NeighborSimilarity",
    "PixelFlipping",
    "PointingGame",
    "RandomLogit",
    "RelevanceMass",
    "RelevanceRank",
    "SmoothMPRT",
    "Sparseness",
    "Sufficiency",
    "TopKIntersection",
    "compare_methods",
]
