"""Drop-in layers: `RBMDense`."""

from keras_xai.layers.rbm_dense import RBMDense, to_dense

__all__ = ["RBMDense", "to_dense"]
