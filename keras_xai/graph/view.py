"""Views of a user's layers: the same weights with another activation, dtype or data format."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree
from keras.src.backend import AutocastScope

from keras_xai.graph.steps import Graph, Step, with_attributes


def borrow(
    layer: keras.layers.Layer, *, dtype: str | None = None, activation: Callable | None = None, data_format: str | None = None
) -> keras.layers.Layer:
    """A layer that shares all variables with `layer` but computes in `dtype`, with `activation`, in `data_format`.

    Args:
        layer: A built layer, which is not changed.
        dtype: Floating-point type of the computation; the layer's own if `None`. Takes effect inside `arithmetic(dtype)`.
        activation: Replaces the attribute `activation` of the layer.
        data_format: Replaces the attribute `data_format` of the layer. Its `call` takes tensors in this format; `__call__` still checks for
            the old one.

    Returns:
        A layer of the same class to be called inside `arithmetic`; never train, save or build it.
    """
    attributes = {
        "_dtype_policy": None if dtype is None else _policy(layer, dtype),
        "activation": activation,
        "data_format": data_format,
    }
    return with_attributes(layer, {name: value for name, value in attributes.items() if value is not None})


def _policy(layer, dtype):
    """The policy of a layer with all arithmetic in `dtype`; one that is quantized stays so, its kernel is of integers."""
    policy: Any = getattr(layer, "dtype_policy", None)
    if getattr(policy, "quantization_mode", None) is None:
        return keras.DTypePolicy(dtype)
    return type(policy).from_config(policy.get_config() | {"source_name": dtype})


def unchanged(values: Sequence[tuple] = ()) -> AbstractContextManager:
    """Context manager in which calls change no variable, loss or random seed of any layer.

    Args:
        values: Pairs of a variable and its replacement tensor.
    """
    return keras.StatelessScope(state_mapping=values)


@contextmanager
def arithmetic(dtype: str) -> Iterator[None]:
    """Context manager in which variables are read in `dtype` and not changed."""
    with unchanged(), AutocastScope(dtype):
        yield


def widest_dtype(graph: Graph, variables: Iterable) -> str:
    """The widest type among variables and a graph's inputs; half precision is computed in float32."""
    dtypes = {variable.dtype for variable in variables} | {spec.dtype for spec in graph.input_specs}
    return "float64" if "float64" in dtypes else "float32"


def in_dtype(graph: Graph, dtype: str) -> Graph:
    """The graph with its layers, and floating-point constants of their calls, in `dtype`; run it inside `arithmetic`."""
    return dataclasses.replace(graph, steps=tuple(_step_in_dtype(step, dtype) for step in graph.steps))


def _step_in_dtype(step: Step, dtype: str) -> Step:
    operation: Any = step.operation
    if isinstance(operation, keras.Layer):
        step = dataclasses.replace(step, operation=borrow(operation, dtype=dtype))
    elif isinstance(cast_to := getattr(operation, "dtype", None), str) and keras.backend.is_float_dtype(cast_to):
        step = dataclasses.replace(step, operation=with_attributes(operation, {"dtype": dtype}))
    arguments = tree.map_structure(lambda leaf: _constant_in_dtype(leaf, dtype), step.arguments)
    return dataclasses.replace(step, arguments=arguments)


def _constant_in_dtype(leaf, dtype):
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
        return leaf.astype(dtype)
    # `keras.ops` treats variables as tensors, which are read in `dtype` anyway.
    if ops.is_tensor(leaf) and not isinstance(leaf, keras.Variable) and keras.backend.is_float_dtype(leaf.dtype):
        return ops.cast(leaf, dtype)
    return leaf
