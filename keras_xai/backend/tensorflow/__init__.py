"""The backend interface on TensorFlow."""

from keras_xai.backend.tensorflow.datasets import (
    element_spec,
    has_values,
    is_dense,
    is_endless,
    is_native_dataset,
    num_batches,
)
from keras_xai.backend.tensorflow.derivatives import linearize, record
from keras_xai.backend.tensorflow.distribution import scope_of
from keras_xai.backend.tensorflow.layouts import lacks_layout
from keras_xai.backend.tensorflow.noise import normal
from keras_xai.backend.tensorflow.programs import compiled, eagerly, folded, stacked, traced
from keras_xai.backend.tensorflow.registry import as_written, gradients_restored, primitives
from keras_xai.backend.tensorflow.strings import join_words
from keras_xai.backend.tensorflow.summaries import SummaryWriter

__all__ = [
    "SummaryWriter",
    "as_written",
    "compiled",
    "eagerly",
    "element_spec",
    "folded",
    "gradients_restored",
    "has_values",
    "is_dense",
    "is_endless",
    "is_native_dataset",
    "join_words",
    "lacks_layout",
    "linearize",
    "normal",
    "num_batches",
    "primitives",
    "record",
    "scope_of",
    "stacked",
    "traced",
]
