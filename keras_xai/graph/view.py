"""Layers borrowed from a user's model: the same weights, another activation or arithmetic."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import keras
from keras.src.backend import AutocastScope


def borrow(layer: keras.layers.Layer, *, dtype: str | None = None, activation: Callable | None = None) -> keras.layers.Layer:
    """A layer that shares all variables with `layer` but computes in `dtype`, with `activation`.

    The user's layer is not touched. A plain copy would not do: `copy.copy` of a Keras layer saves and reloads it, which
    doubles its weights and cuts their tie to training.

    Args:
        layer: A built layer.
        dtype: Floating-point type to compute in; the layer's own if `None`. Takes effect inside `arithmetic(dtype)`.
        activation: Replaces the attribute `activation` of the layer.

    Returns:
        A layer of the same class, fit to be called inside `arithmetic`; never to be trained, saved or built.
    """
    view = object.__new__(type(layer))
    # Written past `Layer.__setattr__`, which would record the changes in the trackers that both layers share.
    view.__dict__.update(layer.__dict__)
    if dtype is not None:
        view.__dict__["_dtype_policy"] = keras.DTypePolicy(dtype)
    if activation is not None:
        view.__dict__["activation"] = activation
    return view


def unchanged(values: Sequence[tuple] = ()) -> AbstractContextManager:
    """Within it, no variable, loss or random seed of any layer is changed by calls.

    Args:
        values: Pairs of a variable and the tensor that is read in its place.
    """
    return keras.StatelessScope(state_mapping=values)


@contextmanager
def arithmetic(dtype: str) -> Iterator[None]:
    """Within it, variables are read in `dtype` and no variable, loss or random seed of any layer is changed."""
    with unchanged(), AutocastScope(dtype):
        yield
