"""The polytopes of linear pieces: their facets, and the decision boundaries inside them."""

from keras_xai.openbox.geometry.counterfactuals import Counterfactuals
from keras_xai.openbox.geometry.polytope import Facets, Polytope, Walls

__all__ = ["Counterfactuals", "Facets", "Polytope", "Walls"]
