"""Automatic batch sizes, and batched evaluation inside compiled programs."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.backend import folded
from keras_xai.config import memory_budget
from keras_xai.data.checks import check_count
from keras_xai.graph.steps import Graph

# On CPUs larger batches gain little: in a deep network one sample uses all cores, and in a small one the call overhead is negligible from
# a few hundred samples on.
_MOST = 256
_UNKNOWN = 32  # for models with inputs of variable size


def batch_size_for(graph: Graph, batch_size: Any = None, *, dtype: str = "float32", copies: int = 0) -> int:
    """The number of samples per batch: the user's, or the largest power of two whose tensors fit into the memory budget.

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
    fitting = max(1, min(_MOST, memory_budget() // max(1, bytes_per_sample)))
    return 1 << (fitting.bit_length() - 1)


def _size(dtype, floating):
    """Bytes per entry: those of the compute dtype for real numbers; strings count as 8."""
    if keras.backend.is_float_dtype(dtype):
        dtype = floating
    return 8 if dtype == "string" else np.dtype(dtype).itemsize


def in_chunks(function: Callable, count: Any, batch_size: int, dtype: str) -> Any:
    """Evaluates a function at 0, ..., `count - 1` in batches, inside a compiled program.

    Args:
        function: Maps an integer tensor `(rows,)` to a tensor `(rows,)`.
        count: Integer or integer scalar tensor.
        batch_size: Rows at a time.
        dtype: Dtype of the values.

    Returns:
        A tensor `(count,)`.
    """
    steps = (count + batch_size - 1) // batch_size
    # No more rows than needed, so that little work is wasted on padding.
    per = (count + steps - 1) // ops.maximum(steps, 1)

    def add(step, found):
        numbers = ops.minimum(step * per + ops.arange(per, dtype="int32"), count - 1)
        return [ops.scatter_update(found[0], numbers[:, None], function(numbers))]

    return folded(add, steps, [ops.zeros((count,), dtype)])[0]
