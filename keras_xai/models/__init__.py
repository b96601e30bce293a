"""Models that train other models."""

from keras_xai.models.fbi import FBIModel

__all__ = ["FBIModel"]
