"""NaN and infinity: the range of half-precision numbers in models that are computed in float32, and scores that are not finite."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.graph.steps import Graph

_LARGEST_HALF = float(np.finfo("float16").max)


def narrowest(graph: Graph, identifier: int, spec: keras.KerasTensor) -> str:
    """The floating-point type with the smallest range to which the model casts an input: float16, or its own.

    Args:
        graph: The model.
        identifier: Identifier of the input.
        spec: Its shape and dtype.
    """
    computed = [getattr(step.operation, "compute_dtype", None) for step in graph.steps if identifier in step.inputs]
    return "float16" if "float16" in (spec.dtype, *computed) and keras.backend.is_float_dtype(spec.dtype) else spec.dtype


def rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """An array with infinity where `dtype` overflows, and unchanged elsewhere."""
    if dtype != "float16" or array.dtype.kind not in "fiu":
        return array
    large = np.abs(array.astype("float64")) > _LARGEST_HALF
    return np.where(large, np.inf, array) if large.any() else array


def in_range(tensor: Any, dtype: str) -> Any:
    """A tensor that is infinite where it is beyond the range of `dtype`."""
    if dtype != "float16":
        return tensor
    return ops.where(ops.abs(tensor) > _LARGEST_HALF, ops.sign(tensor) * float("inf"), tensor)


def undefined_where_not_finite(score: Any, tensors: Sequence) -> list:
    """Tensors `(n, ...)`, NaN for the samples whose score is NaN or infinite: rectifiers turn a NaN into a derivative of zero.

    Args:
        score: Tensor `(n,)`.
        tensors: The tensors; those of layers inside `TimeDistributed` have several rows per sample.
    """
    finite = ops.isfinite(score)[:, None]
    flat = [ops.reshape(x, (ops.shape(score)[0], -1)) for x in tensors]
    return [ops.reshape(ops.where(finite, each, float("nan")), ops.shape(x)) for each, x in zip(flat, tensors, strict=True)]
