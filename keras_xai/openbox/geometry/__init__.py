"""The polytopes of linear pieces: their facets, and the decision boundaries inside them."""

from keras_xai.openbox.geometry.polytope import Polytope

__all__ = ["Polytope"]
