"""Automatic batch sizes."""

import math
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import check_count
from keras_xai.graph.steps import Graph

# Memory for all tensors of a batch, as a gradient may keep them. On CPUs larger batches gain little: in a deep network one sample uses all
# cores, and in a small one the call overhead is negligible from a few hundred samples on.
_BUDGET = 2**31
_MOST = 256
_UNKNOWN = 32  # for models with inputs of variable size


def batch_size_for(graph: Graph, batch_size: Any = None, *, dtype: str = "float32", copies: int = 0) -> int:
    """The number of samples per batch: the user's, or the largest power of two whose tensors fit into two gibibytes.

    Args:
        graph: The graph to run.
        batch_size: The user's value, `None` for an automatic choice.
        dtype: Floating-point type of the computation.
        copies: Additional tensors of the inputs' shapes per sample, such as gradients.

    Returns:
        An integer from 1 to 256, or the user's.

    Raises:
        ValueError: If `batch_size` is neither `None` nor an integer of at least 1.
    """
    if batch_size is not None:
        return check_count("batch_size", batch_size)
    specs = [*graph.input_specs * (1 + copies), *(spec for step in graph.steps for spec in step.output_specs)]
    if any(None in spec.shape[1:] for spec in specs):
        return _UNKNOWN
    bytes_per_sample = sum(math.prod(spec.shape[1:]) * _size(spec.dtype, dtype) for spec in specs)
    fitting = max(1, min(_MOST, _BUDGET // max(1, bytes_per_sample)))
    return 1 << (fitting.bit_length() - 1)


def _size(dtype, floating):
    """Bytes per entry: those of the compute dtype for real numbers; strings count as 8."""
    if keras.backend.is_float_dtype(dtype):
        dtype = floating
    return 8 if dtype == "string" else np.dtype(dtype).itemsize
