"""Callbacks for `keras.Model.fit` and `keras_xai.pretraining.pretrain`."""

from keras_xai.callbacks.activation_statistics import ActivationStatistics
from keras_xai.callbacks.explanation_logger import ExplanationLogger
from keras_xai.callbacks.fbi_warm_up import FBIWarmUp
from keras_xai.callbacks.neighborhood_hit import NeighborhoodHit
from keras_xai.pretraining.monitors import FreeEnergyGap, PseudoLikelihood

__all__ = [
    "ActivationStatistics",
    "ExplanationLogger",
    "FBIWarmUp",
    "FreeEnergyGap",
    "NeighborhoodHit",
    "PseudoLikelihood",
]
