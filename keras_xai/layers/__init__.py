"""Layers that take the place of a Keras layer and can do more."""

from keras_xai.layers.rbm_dense import RBMDense, to_dense

__all__ = ["RBMDense", "to_dense"]
