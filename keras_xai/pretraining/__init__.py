"""Unsupervised pretraining of dense layers as restricted Boltzmann machines."""

from keras_xai.pretraining.contrastive_divergence import ContrastiveDivergence
from keras_xai.pretraining.hybrid import Hybrid
from keras_xai.pretraining.persistent import PersistentContrastiveDivergence
from keras_xai.pretraining.pretrain import pretrain
from keras_xai.pretraining.reconstruction_error import ReconstructionError
from keras_xai.pretraining.rule import Rule

__all__ = [
    "ContrastiveDivergence",
    "Hybrid",
    "PersistentContrastiveDivergence",
    "ReconstructionError",
    "Rule",
    "pretrain",
]
