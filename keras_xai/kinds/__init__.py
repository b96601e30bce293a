"""What each Keras layer means. A new layer is one `register` call; nothing else changes."""

from keras_xai.kinds import affine, composite, gate, merge, select, shape, smooth  # noqa: F401  they fill the registry
from keras_xai.kinds.activated import activated
from keras_xai.kinds.affine import Affine, AffineWithActivation, TimesConstant
from keras_xai.kinds.composite import Composite
from keras_xai.kinds.expansion import expand, kind_of, refusals
from keras_xai.kinds.gate import Gate, Pieces
from keras_xai.kinds.kind import Entry, Example, Kind, OnePiece, Problem, UnsupportedLayerError, register, registry
from keras_xai.kinds.merge import Merge
from keras_xai.kinds.select import Select
from keras_xai.kinds.shape import Shape
from keras_xai.kinds.smooth import Curved, Smooth

__all__ = [
    "Affine",
    "AffineWithActivation",
    "Composite",
    "Curved",
    "Entry",
    "Example",
    "Gate",
    "Kind",
    "Merge",
    "OnePiece",
    "Pieces",
    "Problem",
    "Select",
    "Shape",
    "Smooth",
    "TimesConstant",
    "UnsupportedLayerError",
    "activated",
    "expand",
    "kind_of",
    "refusals",
    "register",
    "registry",
]
