"""Networks as the exact linear pieces that they consist of."""

import importlib

from keras_xai.kinds import UnsupportedLayerError
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.counterfactuals import Counterfactuals
from keras_xai.openbox.pieces import LinearPieces, Walls
from keras_xai.openbox.polytope import Facets, Polytope

__all__ = [
    "Counterfactuals",
    "Facets",
    "LinearPieces",
    "OpenBox",
    "Polytope",
    "RegionClassifier",
    "UnsupportedLayerError",
    "Walls",
]


def __getattr__(name):
    # Needs scikit-learn, which takes seconds to load and of which pieces and polytopes have no use.
    if name == "RegionClassifier":
        return importlib.import_module("keras_xai.openbox.classifier").RegionClassifier
    raise AttributeError(f"module 'keras_xai.openbox' has no attribute {name!r}")
