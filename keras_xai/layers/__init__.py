"""Drop-in layers: `RBMDense`, `DeclaredLayout`."""

from keras_xai.layers.layout import DeclaredLayout, with_layout
from keras_xai.layers.rbm_dense import RBMDense, to_dense

__all__ = ["DeclaredLayout", "RBMDense", "to_dense", "with_layout"]
