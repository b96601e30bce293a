"""Feature visualization: activations, attention, maximization, Deep Dream, extreme examples, reconstructions, t-SNE maps."""

from keras_xai.features.activations import activations
from keras_xai.features.ascent import Ascent
from keras_xai.features.attention_maps import attention_maps
from keras_xai.features.deep_dream import Dream, deep_dream
from keras_xai.features.embedding import tsne_map
from keras_xai.features.extreme_examples import extreme_examples
from keras_xai.features.maximize_activation import maximize_activation
from keras_xai.features.receptive_field import receptive_field
from keras_xai.features.reconstruct import reconstruct
from keras_xai.results.attention_maps import AttentionMaps
from keras_xai.results.dreamed import Dreamed
from keras_xai.results.embedding_map import EmbeddingMap
from keras_xai.results.extreme_examples import ExtremeExamples
from keras_xai.results.maximized import Maximized
from keras_xai.results.reconstructions import Reconstructions
from keras_xai.statistics.tsne import TSNE

__all__ = [
    "TSNE",
    "Ascent",
    "AttentionMaps",
    "Dream",
    "Dreamed",
    "EmbeddingMap",
    "ExtremeExamples",
    "Maximized",
    "Reconstructions",
    "activations",
    "attention_maps",
    "deep_dream",
    "extreme_examples",
    "maximize_activation",
    "receptive_field",
    "reconstruct",
    "tsne_map",
]
