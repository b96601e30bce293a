"""What the units of a network respond to."""

from keras_xai.features.activations import activations
from keras_xai.features.ascent import Ascent
from keras_xai.features.deep_dream import Dream, Dreamed, deep_dream
from keras_xai.features.embedding import EmbeddingMap, tsne_map
from keras_xai.features.extreme_examples import Examples, ExtremeExamples, extreme_examples
from keras_xai.features.maximize import Maximized, maximize
from keras_xai.features.receptive_field import receptive_field

__all__ = [
    "Ascent",
    "Dream",
    "Dreamed",
    "EmbeddingMap",
    "Examples",
    "ExtremeExamples",
    "Maximized",
    "activations",
    "deep_dream",
    "extreme_examples",
    "maximize",
    "receptive_field",
    "tsne_map",
]
