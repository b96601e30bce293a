"""Drop-in layers: `RBMDense`."""

from keras_xai.layers.machine import Machine
from keras_xai.layers.rbm_dense import RBMDense, to_dense
from keras_xai.layers.units import Unit

__all__ = ["Machine", "RBMDense", "Unit", "to_dense"]
