"""Layer diagnosis: how far each hidden layer of a network has told the classes apart, and where another network is ahead."""

from keras_xai.diagnosis.blocks import block_ends
from keras_xai.diagnosis.comparison import LayerPair, NetworkComparison, compare
from keras_xai.diagnosis.diagnose import diagnose
from keras_xai.diagnosis.neighborhood import chance_hit, neighborhood_hit
from keras_xai.diagnosis.protocol import Protocol
from keras_xai.diagnosis.result import Diagnosis, LayerDiagnosis

__all__ = [
    "Diagnosis",
    "LayerDiagnosis",
    "LayerPair",
    "NetworkComparison",
    "Protocol",
    "block_ends",
    "chance_hit",
    "compare",
    "diagnose",
    "neighborhood_hit",
]
