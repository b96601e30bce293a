"""Checks and batches what users hand in: arrays, tensors, datasets."""

import operator
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_xai import backend
from keras_xai.graph.steps import Graph
from keras_xai.graph.trace import in_order

_EMPTY = "Expected at least one batch. Received: a dataset without elements."


class Samples:
    """The inputs of a model, checked, to be read batch by batch in float64.

    Args:
        x: One array or tensor for each input of the model, in its structure (an array; or a list, tuple or dict of
            them), or a `tf.data.Dataset` whose elements are batches `x` or `(x, y, ...)`; `y` is not used.
        graph: The model's graph.
        batch_size: Samples in a batch; a dataset keeps its own batches.

    Attributes:
        batch_size: As given.

    Raises:
        ValueError: If structure, shape or dtype are not the model's, if there are no samples, or if a value is NaN or
            infinite. For a dataset, when the batch is read.
    """

    def __init__(self, x: Any, graph: Graph, batch_size: int):
        self._graph = graph
        self.batch_size = batch_size
        self._dataset = x
        self._arrays = None if backend.is_native_dataset(x) else self.check(x)
        self._read: list[list[np.ndarray]] = []  # a dataset's batches

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` for a dataset that does not know."""
        if self._arrays is not None:
            return -(-len(self._arrays[0]) // self.batch_size)
        return backend.num_batches(self._dataset)

    @property
    def num_samples(self) -> int | None:
        """Number of samples, `None` for a dataset."""
        return None if self._arrays is None else len(self._arrays[0])

    @property
    def arrays(self) -> list[np.ndarray]:
        """All samples, one array for each input; of a dataset, those that have been read."""
        if self._arrays is not None:
            return self._arrays
        return [np.concatenate(batches) for batches in zip(*self._read, strict=True)]

    def pack(self, arrays: list) -> Any:
        """Arrays, one for each input, in the structure of the model's inputs: alone where there is one input."""
        return packed(arrays, self._graph)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        if self._arrays is not None:
            for part in rows(len(self._arrays[0]), self.batch_size):
                yield [array[part] for array in self._arrays]
            return
        self._read.clear()
        for batch in _read(self._dataset, self._graph):
            self._read.append(_in_float64(batch))
            yield self._read[-1]

    def check(self, x: Any) -> list[np.ndarray]:
        """The inputs as a flat list of arrays of the right type, or an error that says what is wrong with them."""
        return _in_float64(checked(x, self._graph))


def _in_float64(arrays):
    return [array.astype("float64", copy=False) for array in arrays]


def _read(dataset, graph):
    """The batches of a dataset, checked; it is not kept."""
    for element in elements(dataset):
        yield checked(_inputs_in(element), graph)


def elements(dataset: Any) -> Iterator:
    """The elements of a dataset, once.

    Raises:
        ValueError: If there are none, at the end.
    """
    empty = True
    for element in map(dataset.__getitem__, range(len(dataset))) if isinstance(dataset, keras.utils.PyDataset) else dataset:
        empty = False
        yield element
    if empty:
        raise ValueError(_EMPTY)


def batches(x: Any, graph: Graph, batch_size: int) -> tuple[int | None, Iterator[list[np.ndarray]]]:
    """Samples batch by batch, as lists of arrays in the dtypes of the model's inputs.

    Args:
        x: Arrays in the structure of the model's inputs, or a dataset of batches.
        graph: The model's graph.
        batch_size: Samples in a batch, where there are arrays.

    Returns:
        The number of batches, `None` for a dataset that does not know, and an iterator over them.

    Raises:
        ValueError: If `batch_size` is not a whole number of at least 1, or the samples do not fit the model. For a dataset,
            when the batch is read.
    """

    def typed(arrays):
        return [array.astype(spec.dtype, copy=False) for array, spec in zip(arrays, graph.input_specs, strict=True)]

    check_count("batch_size", batch_size)
    if is_dataset(x):
        count = operator.length_hint(x, -1)
        return (count if count >= 0 else None), map(typed, _read(x, graph))
    arrays = typed(checked(x, graph))
    parts = rows(len(arrays[0]), batch_size)
    return len(parts), ([array[part] for array in arrays] for part in parts)


def checked(x: Any, graph: Graph) -> list[np.ndarray]:
    """The inputs of a model as a flat list of arrays of real, finite numbers, not copied where they are arrays already.

    Args:
        x: One array or tensor for each input of the model, in its structure.
        graph: The model's graph.

    Raises:
        ValueError: If structure, shape or dtype are not the model's, if there are no samples, or if a value is NaN or
            infinite.
    """
    values = in_order(x, graph.input_structure, graph.input_specs)
    arrays = [_checked_array(np.asarray(value), spec) for value, spec in zip(values, graph.input_specs, strict=True)]
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        raise ValueError(f"Expected as many samples in every input. Received: {sorted(counts)} samples.")
    return arrays


def _checked_array(array, spec):
    expected = tuple(spec.shape)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers as input '{spec.name}'. Received: an array of dtype {array.dtype}.")
    fits = array.ndim == len(expected) and all(
        want is None or want == got for want, got in zip(expected[1:], array.shape[1:], strict=True)
    )
    if not fits:
        hint = " For a single sample, add the batch dimension: x[np.newaxis]." if array.ndim == len(expected) - 1 else ""
        raise ValueError(
            f"Expected an array of shape {expected} as input '{spec.name}', samples along the first axis. "
            f"Received: an array of shape {array.shape}.{hint}"
        )
    if array.size == 0:
        raise ValueError(f"Expected at least one sample. Received: an empty array of shape {array.shape}.")
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise ValueError(
            f"Expected finite numbers as input '{spec.name}'. Received: NaN or infinity in {len(bad)} of {len(array)} samples, "
            f"first in sample {bad[0]}."
        )
    return array


def first_batch(x: Any) -> Any:
    """The inputs in the first batch of a dataset, `None` for an iterator, which could not be wound back."""
    if backend.is_native_dataset(x):
        element = next(iter(x), None)
    elif isinstance(x, keras.utils.PyDataset):
        element = x[0]
    else:
        return None
    if element is None:
        raise ValueError(_EMPTY)
    return _inputs_in(element)


def labels_of(data: Any) -> list | None:
    """The labels of a dataset, one for each output; `None` for an iterator, which could not be wound back.

    Of a `tf.data.Dataset` their `tf.TensorSpec`, which takes no reading; of a `keras.utils.PyDataset` those of its first batch.
    """
    if backend.is_native_dataset(data):
        element = backend.element_spec(data)
    elif isinstance(data, keras.utils.PyDataset):
        element = data[0]
    else:
        return None
    return tree.flatten(element[1]) if isinstance(element, tuple) and len(element) > 1 else []


def _inputs_in(element):
    """The inputs in an element of a dataset, `x` or `(x, y, ...)`."""
    return element[0] if isinstance(element, tuple) else element


def is_dataset(x: Any) -> bool:
    """Whether `x` comes in batches of its own: a `tf.data.Dataset`, a `keras.utils.PyDataset` or an iterator."""
    return backend.is_native_dataset(x) or isinstance(x, (keras.utils.PyDataset, Iterator))


def packed(arrays: list, graph: Graph) -> Any:
    """Arrays, one for each input of a graph, in the structure of its inputs: alone where there is one input."""
    return arrays[0] if len(arrays) == 1 else tree.pack_sequence_as(graph.input_structure, arrays)


def rows(count: int, batch_size: int) -> list[slice]:
    """Slices of at most `batch_size` that make up `count` rows."""
    return [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]


def check_count(name: str, value: Any) -> None:
    """Refuses what is not a whole number of at least 1.

    Args:
        name: The argument.
        value: Its value.
    """
    if not (isinstance(value, int) and value >= 1):
        raise ValueError(f"Expected `{name}` to be a whole number of at least 1. Received: {name}={value!r}")


def check_verbose(verbose: Any) -> None:
    """Refuses what `keras.Model.predict` would not take either."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"Expected `verbose` to be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")


def progress(batches, num_batches: int | None, verbose: Any, unit: str = "batch") -> Iterator:
    """Passes `batches` on under a progress bar.

    Args:
        batches: What to iterate over.
        num_batches: How many there are, `None` if not known.
        verbose: 0 for silence, 1 or `"auto"` for a bar, 2 for one line at the end, as in `keras.Model.predict`.
        unit: What one of them is called.
    """
    check_verbose(verbose)
    if verbose == 0:
        yield from batches
        return
    bar = keras.utils.Progbar(num_batches, verbose=1 if verbose == "auto" else verbose, unit_name=unit)
    done = 0
    for batch in batches:
        yield batch
        done += 1
        bar.update(done, finalize=False)
    bar.update(done, finalize=True)
