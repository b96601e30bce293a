"""Interpretability regularizers."""

from keras_xai.losses.fbi import FBILoss, fbi_penalty

__all__ = ["FBILoss", "fbi_penalty"]
