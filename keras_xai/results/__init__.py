"""Results: frozen data without a model, with repr, slicing, equality, plotting, saving and loading."""

from keras_xai.results.attention_maps import AttentionMaps
from keras_xai.results.base import Result, Rows
from keras_xai.results.comparison import Comparison
from keras_xai.results.counterfactuals import Counterfactuals
from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.dreamed import Dreamed
from keras_xai.results.embedding_map import EmbeddingMap
from keras_xai.results.exact_integrated_gradients import ExactIntegratedGradients
from keras_xai.results.explanation import Explanation
from keras_xai.results.extreme_examples import Examples, ExtremeExamples
from keras_xai.results.facets import Facets
from keras_xai.results.feature_importance import FeatureImportance
from keras_xai.results.fidelity import Fidelity
from keras_xai.results.generation import Generation
from keras_xai.results.layer_diagnosis import LayerDiagnosis
from keras_xai.results.maximized import Maximized
from keras_xai.results.network_comparison import LayerPair, NetworkComparison
from keras_xai.results.protocol import Protocol
from keras_xai.results.reconstructions import Reconstructions
from keras_xai.results.walls import Walls

__all__ = [
    "AttentionMaps",
    "Comparison",
    "Counterfactuals",
    "Diagnosis",
    "Dreamed",
    "EmbeddingMap",
    "ExactIntegratedGradients",
    "Examples",
    "Explanation",
    "ExtremeExamples",
    "Facets",
    "FeatureImportance",
    "Fidelity",
    "Generation",
    "LayerDiagnosis",
    "LayerPair",
    "Maximized",
    "NetworkComparison",
    "Protocol",
    "Reconstructions",
    "Result",
    "Rows",
    "Walls",
]
