"""The partition into linear pieces along a line and in a plane."""

from keras_xai.openbox.partition.line import Line, line
from keras_xai.openbox.partition.plane import Plane, plane

__all__ = ["Line", "Plane", "line", "plane"]
