"""What the units of a network respond to."""

from keras_xai.features.activations import activations
from keras_xai.features.ascent import Ascent
from keras_xai.features.deep_dream import Dream, Dreamed, deep_dream
from keras_xai.features.embedding import EmbeddingMap, tsne_map
from keras_xai.features.extreme_examples import Examples, ExtremeExamples, extreme_examples
from keras_xai.features.maximize import Maximized, maximize
from keras_xai.features.receptive_field import receptive_field
from keras_xai.features.reconstruct import Reconstructions, reconstruct
from keras_xai.features.tsne import TSNE

__all__ = [
    "TSNE",
    "Ascent",
    "Dream",
    "Dreamed",
    "EmbeddingMap",
    "Examples",
    "ExtremeExamples",
    "Maximized",
    "Reconstructions",
    "activations",
    "deep_dream",
    "extreme_examples",
    "maximize",
    "receptive_field",
    "reconstruct",
    "tsne_map",
]
