"""Models that wrap another model for training."""

from keras_xai.models.fbi import FBIModel

__all__ = ["FBIModel"]
