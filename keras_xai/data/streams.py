"""Streams of batches: `tf.data`, `keras.utils.PyDataset`, PyTorch loaders, generators."""

import operator
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import tree

from keras_xai import backend

_EMPTY = "Expected at least one batch. Received: a dataset without elements."


class Element(NamedTuple):
    """A batch of a stream: samples with optional labels and weights."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def is_stream(x: Any) -> bool:
    """Whether `x` is batched already: a `tf.data.Dataset`, `PyDataset`, PyTorch `DataLoader` or iterator."""
    return backend.is_native_dataset(x) or isinstance(x, (keras.utils.PyDataset, Iterator)) or _is_loader(x)


def is_once(x: Any) -> bool:
    """Whether `x` can only be read once, like a generator."""
    return isinstance(x, Iterator)


def is_endless(x: Any) -> bool:
    """Whether a stream is known to have no end; unknown for generators."""
    if backend.is_native_dataset(x):
        return backend.is_endless(x)
    return isinstance(x, keras.utils.PyDataset) and x.num_batches is None


def check_ends(x: Any) -> None:
    """Raises a `ValueError` if a stream is known to have no end, before reading it."""
    if is_endless(x):
        raise ValueError(
            f"Expected a finite dataset, since it is read completely. Received: an infinite one ({type(x).__name__}). Use "
            "`dataset.take(n)` instead of `dataset.repeat()`; a `PyDataset` must have a length."
        )


def num_batches(x: Any) -> int | None:
    """Number of batches of a stream, `None` if unknown."""
    if backend.is_native_dataset(x):
        return backend.num_batches(x)
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches
    try:
        count = operator.length_hint(x, -1)
    except TypeError:  # a PyTorch loader of an iterable dataset
        return None
    return count if count >= 0 else None


def elements(x: Any) -> Iterator[Element]:
    """Yields the batches of a stream once, with one in memory at a time.

    Raises:
        ValueError: If it has no end or, at the end, if there were no batches.
    """
    check_ends(x)
    empty = True
    for element in map(x.__getitem__, range(x.num_batches)) if isinstance(x, keras.utils.PyDataset) else x:
        empty = False
        yield _split(element, x)
    if empty:
        raise ValueError(_EMPTY)


def first_batch(x: Any) -> Any:
    """The samples in the first batch of a stream, `None` for an iterator, which cannot be rewound."""
    if is_once(x):
        return None
    element = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x), None)
    if element is None:
        raise ValueError(_EMPTY)
    return _split(element, x).x


def labels_of(x: Any) -> list | None:
    """The labels of a stream, one for each output; `None` if reading them might change what is read next.

    For a `tf.data.Dataset` their specification, which needs no reading; for a `PyDataset` those of its first batch.
    """
    if backend.is_native_dataset(x):
        labels = _split(backend.element_spec(x), x).y
    elif isinstance(x, keras.utils.PyDataset):
        labels = _split(x[0], x).y
    else:
        return None
    return [] if labels is None else tree.flatten(labels)


def _split(element, stream):
    """An element `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; further items are ignored."""
    # For these two a list is treated as a tuple, by Keras' own contract and by the default of PyTorch's loaders.
    if isinstance(element, list) and (isinstance(stream, keras.utils.PyDataset) or _is_loader(stream)):
        element = tuple(element)
    return Element(*element[:3]) if isinstance(element, tuple) and not hasattr(element, "_fields") else Element(element)


def _is_loader(x):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.utils.data.DataLoader)
