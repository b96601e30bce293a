"""Networks as the exact linear pieces that they consist of."""

from keras_xai.kinds import UnsupportedLayerError
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.pieces import LinearPieces, Walls

__all__ = ["LinearPieces", "OpenBox", "UnsupportedLayerError", "Walls"]
