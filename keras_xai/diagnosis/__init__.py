"""Layer diagnosis: class separation in hidden layers, and comparison of networks layer by layer."""

from keras_xai.diagnosis.blocks import block_ends
from keras_xai.diagnosis.comparison import compare_networks
from keras_xai.diagnosis.diagnose import diagnose
from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.layer_diagnosis import LayerDiagnosis
from keras_xai.results.network_comparison import LayerPair, NetworkComparison
from keras_xai.results.protocol import Protocol
from keras_xai.statistics.neighborhood import chance_hit, neighborhood_hit

__all__ = [
    "Diagnosis",
    "LayerDiagnosis",
    "LayerPair",
    "NetworkComparison",
    "Protocol",
    "block_ends",
    "chance_hit",
    "compare_networks",
    "diagnose",
    "neighborhood_hit",
]
