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
from keras_xai.backend.tensorflow.distribution import is_distributed, scope_of
from keras_xai.backend.tensorflow.eager import check_batch
from keras_xai.backend.tensorflow.layouts import lacks_layout
from keras_xai.backend.tensorflow.noise import normal
from keras_xai.backend.tensorflow.optimizers import FusedSGD
from keras_xai.backend.tensorflow.programs import compiled, eagerly, folded, stacked, traced
from keras_xai.backend.tensorflow.scopes import scopes_kept
from keras_xai.backend.tensorflow.strings import join_words
from keras_xai.backend.tensorflow.summaries import SummaryWriter

__all__ = [
    "FusedSGD",
    "SummaryWriter",
    "check_batch",
    "compiled",
    "eagerly",
    "element_spec",
    "folded",
    "has_values",
    "is_dense",
    "is_distributed",
    "is_endless",
    "is_native_dataset",
    "join_words",
    "lacks_layout",
    "linearize",
    "normal",
    "num_batches",
    "record",
    "scope_of",
    "scopes_kept",
    "stacked",
    "traced",
]
