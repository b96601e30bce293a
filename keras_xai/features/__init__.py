"""What the units of a network respond to."""

from keras_xai.features.activations import activations

__all__ = ["activations"]
