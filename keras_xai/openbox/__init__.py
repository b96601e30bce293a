"""OpenBox: exact linear pieces of piecewise-linear networks."""

import importlib
from typing import TYPE_CHECKING

from keras_xai.kinds.kind import UnsupportedLayerError
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.geometry import Polytope
from keras_xai.openbox.grouping import Flattened, RegionGroups, fidelity_curve, flatten_regions, merge_regions, prune_regions
from keras_xai.openbox.partition import Line, Plane
from keras_xai.openbox.pieces import LinearPieces
from keras_xai.results.counterfactuals import Counterfactuals
from keras_xai.results.exact_integrated_gradients import ExactIntegratedGradients
from keras_xai.results.facets import Facets
from keras_xai.results.fidelity import Fidelity
from keras_xai.results.walls import Walls

if TYPE_CHECKING:
    from keras_xai.openbox.regions.classifier import RegionClassifier

__all__ = [
    "Counterfactuals",
    "ExactIntegratedGradients",
    "Facets",
    "Fidelity",
    "Flattened",
    "Line",
    "LinearPieces",
    "OpenBox",
    "Plane",
    "Polytope",
    "RegionClassifier",
    "RegionGroups",
    "UnsupportedLayerError",
    "Walls",
    "fidelity_curve",
    "flatten_regions",
    "merge_regions",
    "prune_regions",
]


def __getattr__(name):
    # Imported lazily: this needs scikit-learn, which takes seconds to load and which pieces and polytopes do not use.
    if name == "RegionClassifier":
        return importlib.import_module("keras_xai.openbox.regions.classifier").RegionClassifier
    raise AttributeError(f"module 'keras_xai.openbox' has no attribute {name!r}")
