"""Kinds of layers: all facts about each Keras layer. A new layer is one kind and one `register` call."""

from keras_xai.kinds import (  # noqa: F401  they fill the registry
    affine,
    attention,
    averages,
    composite,
    convolution,
    gate,
    merge,
    normalization,
    product,
    recurrent,
    resizing,
    select,
    shape,
    smooth,
)
from keras_xai.kinds.affine import Affine, AffineWithActivation
from keras_xai.kinds.composite import Composite
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.gate import Gate, Pieces
from keras_xai.kinds.kind import Kind, OnePiece
from keras_xai.kinds.merge import Merge
from keras_xai.kinds.select import Select
from keras_xai.kinds.shape import Augmentation, Noise, Shape
from keras_xai.kinds.smooth import Curved, Smooth

__all__ = [
    "Affine",
    "AffineWithActivation",
    "Augmentation",
    "Composite",
    "Curved",
    "Example",
    "Gate",
    "Kind",
    "Merge",
    "Noise",
    "OnePiece",
    "Pieces",
    "Select",
    "Shape",
    "Smooth",
    "register",
]
