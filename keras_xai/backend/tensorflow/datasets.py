"""`tf.data` datasets: size, element specs and symbolic values."""

from typing import Any

import tensorflow as tf


def is_native_dataset(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`."""
    return isinstance(x, tf.data.Dataset)


def num_batches(dataset: Any) -> int | None:
    """Number of elements of a `tf.data.Dataset`, `None` if it is unknown or infinite."""
    known = int(dataset.cardinality())
    return known if known >= 0 else None


def is_endless(dataset: Any) -> bool:
    """Whether a `tf.data.Dataset` is known to have no end."""
    return int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY


def element_spec(dataset: Any) -> Any:
    """The element spec of a `tf.data.Dataset`, a nest of `tf.TensorSpec`, without reading it."""
    return dataset.element_spec


def has_values(x: Any) -> bool:
    """Whether an array or tensor has concrete values, rather than being symbolic."""
    return hasattr(x, "numpy") if tf.is_tensor(x) else not isinstance(x, tf.TensorSpec)


def is_dense(x: Any) -> bool:
    """Whether `x` is a dense tensor, neither ragged nor sparse."""
    return not isinstance(x, (tf.RaggedTensor, tf.SparseTensor, tf.IndexedSlices))
