"""Views of a user's layers: the same weights with another activation, dtype or data format."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree
from keras.src.backend import AutocastScope

from keras_xai.backend import scopes_kept
from keras_xai.graph.steps import Graph, Step, with_attributes


def borrow(
    layer: keras.layers.Layer, *, dtype: str | None = None, activation: Callable | None = None, data_format: str | None = None
) -> keras.layers.Layer:
    """A layer that shares all variables with `layer` but computes in `dtype`, with `activation`, in `data_format`.

    The layers inside it, such as the cell of a recurrent layer, compute in `dtype` as well, except for those of a model inside it. The view
    keeps losses of its own.

    Args:
        layer: A built layer, which is not changed.
        dtype: Floating-point type of the computation; the layer's own if `None`. Takes effect inside `arithmetic(dtype)`.
        activation: Replaces the attribute `activation` of the layer.
        data_format: Replaces the attribute `data_format` of the layer. Its `call` takes tensors in this format; `__call__` still checks for
            the old one.

    Returns:
        A layer of the same class to be called inside `arithmetic`; never train, save or build it.
    """
    view = _view(layer, dtype, {})
    given = {"activation": activation, "data_format": data_format}
    view.__dict__.update({name: value for name, value in given.items() if value is not None})
    return view


def _view(layer, dtype, views):
    """A view of a layer and of the layers inside it; `views` holds those made so far by the identity of their layers."""
    if id(layer) in views:
        return views[id(layer)]
    view = views[id(layer)] = object.__new__(type(layer))
    # Bypasses `Layer.__setattr__`, which would record the changes in trackers that both layers share.
    attributes = view.__dict__
    attributes.update(layer.__dict__)
    attributes.update(_losses=[], _loss_ids=set())  # a call clears them
    if dtype is not None:
        attributes["_dtype_policy"] = _policy(layer, dtype)
        if layer._layers:
            attributes.update({name: _views(value, dtype, views) for name, value in attributes.items() if name not in _LINKS})
    return view


_LINKS = {"_inbound_nodes", "_outbound_nodes", "_tracker", "_parent_path"}


def _views(value, dtype, views):
    """An attribute with views in place of layers. A model inside keeps its own: its graph refers to them."""
    if isinstance(value, keras.Layer):
        return value if isinstance(value, keras.Model) else _view(value, dtype, views)
    if isinstance(value, list) and any(isinstance(each, (keras.Layer, list)) for each in value):
        return [_views(each, dtype, views) for each in value]
    if type(value) is tuple and any(isinstance(each, keras.Layer) for each in value):
        return tuple(_views(each, dtype, views) for each in value)
    if isinstance(value, dict) and any(isinstance(each, keras.Layer) for each in value.values()):
        return {key: _views(each, dtype, views) for key, each in value.items()}
    return value


@contextmanager
def losses_kept(operation: keras.Operation | None) -> Iterator[None]:
    """Context manager in which calls leave the losses of a layer, and of those inside it, as they are."""
    layers = operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
    kept = [(each, list(each._losses), set(each._loss_ids)) for each in layers]
    try:
        yield
    finally:
        for each, losses, identities in kept:
            each._losses[:] = losses
            each._loss_ids.clear()
            each._loss_ids.update(identities)


def _policy(layer, dtype):
    """The policy of a layer with all arithmetic in `dtype`; one that is quantized stays so, its kernel is of integers."""
    policy: Any = getattr(layer, "dtype_policy", None)
    if getattr(policy, "quantization_mode", None) is None:
        return keras.DTypePolicy(dtype)
    return type(policy).from_config(policy.get_config() | {"source_name": dtype})


@contextmanager
def unchanged(values: Sequence[tuple] = ()) -> Iterator[keras.StatelessScope]:
    """Context manager in which calls change no variable, loss or random seed of any layer.

    Args:
        values: Pairs of a variable and its replacement tensor.
    """
    with scopes_kept(), keras.StatelessScope(state_mapping=values) as scope:
        yield scope


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
    """The graph with its layers, casts, and floating-point constants of calls, in `dtype`; run it inside `arithmetic`."""
    return dataclasses.replace(graph, steps=tuple(_step_in_dtype(step, dtype) for step in graph.steps))


def _step_in_dtype(step: Step, dtype: str) -> Step:
    operation: Any = step.operation
    if isinstance(operation, keras.Layer):
        step = dataclasses.replace(step, operation=borrow(operation, dtype=dtype))
    elif _is_float(vars(operation).get("dtype")):  # as of `ops.cast(x, "float16")`
        step = dataclasses.replace(step, operation=with_attributes(operation, {"dtype": dtype}))
    arguments = tree.map_structure(lambda leaf: _constant_in_dtype(leaf, dtype), step.arguments)
    return dataclasses.replace(step, arguments=arguments)


def _is_float(dtype):
    return isinstance(dtype, str) and keras.backend.is_float_dtype(dtype)


def _constant_in_dtype(leaf, dtype):
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
        return leaf.astype(dtype)
    # `keras.ops` treats variables as tensors, which are read in `dtype` anyway.
    if ops.is_tensor(leaf) and not isinstance(leaf, keras.Variable) and keras.backend.is_float_dtype(leaf.dtype):
        return ops.cast(leaf, dtype)
    return leaf
