"""The reader of samples, which converts all supported forms to batches of checked arrays."""

from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
from keras import tree

from keras_xai.data import streams, tables
from keras_xai.data.arrays import checked, unchecked
from keras_xai.data.batches import joined, rows
from keras_xai.data.checks import check_count, real_array
from keras_xai.data.structure import Inputs


@final
class Samples:
    """The inputs of a model, checked and read batch by batch.

    In-memory samples are checked completely before any work. Batched samples (a `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch
    `DataLoader`, a generator) keep their batches and are checked as they are read, with one batch in memory at a time. Labels and weights
    in them are ignored.

    Args:
        x: The samples: arrays, tensors, nested lists, a `DataFrame` or `Series`, in the structure of the model's inputs; or batches of
            them, alone, as `(x, y)` or as `(x, y, sample_weight)`.
        inputs: Inputs of the model.
        batch_size: Samples per batch for samples that are not batched.

    Attributes:
        inputs: As passed.
        batch_size: As passed.
        feature_names: Names of the columns of a `DataFrame` for a model of one input, or `None`.

    Raises:
        ValueError: If structure, shape or dtype do not fit the model, if there are no samples, if a value is NaN or infinite, or if a
            dataset has no end. For batched samples, all but the last are raised when a batch is read.
    """

    def __init__(self, x: Any, inputs: Inputs, batch_size: int):
        self.batch_size = check_count("batch_size", batch_size)
        self.inputs = inputs
        self._x = x
        self._arrays: list[np.ndarray] | None = None
        self.feature_names = tables.feature_names(x, inputs)
        if streams.is_stream(x):
            streams.check_ends(x)
        else:
            self._arrays = checked(x, inputs)

    @property
    def num_samples(self) -> int | None:
        """Number of samples, `None` for batched samples."""
        return None if self._arrays is None else len(self._arrays[0])

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` if unknown."""
        if self._arrays is None:
            return streams.num_batches(self._x)
        return -(-len(self._arrays[0]) // self.batch_size)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields a list of arrays for each batch, one for each input, in their original dtypes."""
        if self._arrays is not None:
            for part in rows(len(self._arrays[0]), self.batch_size):
                yield [array[part] for array in self._arrays]
            return
        for element in streams.elements(self._x):
            if self.feature_names is None:
                self.feature_names = tables.feature_names(element.x, self.inputs)
            yield checked(element.x, self.inputs)

    def arrays(self) -> list[np.ndarray]:
        """All samples, one array for each input; batched samples are read for this."""
        if self._arrays is not None:
            return self._arrays
        return [joined(parts) for parts in zip(*self, strict=True)]


def read_all(x: Any, inputs: Inputs) -> list[np.ndarray]:
    """All samples as a flat list of checked arrays, one for each input; see `Samples`."""
    return Samples(x, inputs, 1).arrays()


def read_labeled(x: Any, y: Any, inputs: Inputs) -> tuple[list[np.ndarray], np.ndarray, list[str] | None]:
    """All samples with their labels.

    Args:
        x: The samples; or batches `(x, y)` or `(x, y, sample_weight)`, whose weights are ignored.
        y: The labels; `None` for batches with labels.
        inputs: Inputs of the model.

    Returns:
        An array for each input, the labels `(n, ...)`, and the names of the columns of a `DataFrame` for a model of one input, or `None`.

    Raises:
        ValueError: If samples or labels do not fit.
    """
    if not streams.is_stream(x):
        if y is None:
            raise ValueError("Expected labels `y`, one for each sample. Received: y=None.")
        arrays, names = checked(x, inputs), tables.feature_names(x, inputs)
        return arrays, _labels(y, len(arrays[0])), names
    if y is not None:
        raise ValueError(
            "Expected y=None with batched samples, whose batches are `(x, y, ...)`. Received: batches and labels."
        )
    batches, labels, names = [], [], None
    for element in streams.elements(x):
        if element.y is None:
            raise ValueError("Expected batches `(x, y, ...)` with labels. Received: batches without labels.")
        names = tables.feature_names(element.x, inputs) if names is None else names
        batches.append(checked(element.x, inputs))
        labels.append(_labels(element.y, len(batches[-1][0])))
    return [joined(parts) for parts in zip(*batches, strict=True)], joined(labels), names


def _labels(y, count):
    """Finite numbers, a row for each sample."""
    labels = real_array("y", y, "labels, an array of numbers")
    if labels.shape[:1] != (count,) or not np.isfinite(labels.astype("float64")).all():
        raise ValueError(
            f"Expected finite labels `y`, one for each of {count} samples. Received: an array of shape {labels.shape}."
        )
    return labels


def read_unchecked(x: Any, inputs: Inputs) -> list[np.ndarray]:
    """All samples as a flat list of arrays of any shape and dtype, for callers that support other sizes than the model's."""
    if not streams.is_stream(x):
        return unchecked(x, inputs)
    return [joined(parts) for parts in zip(*(unchecked(each.x, inputs) for each in streams.elements(x)), strict=True)]


def count_of(x: Any) -> int | None:
    """Number of samples if known without reading, otherwise `None`."""
    if streams.is_stream(x):
        return None
    shape = getattr((tree.flatten(x) or [x])[0], "shape", None)
    return shape[0] if shape else None


def in_float64(batches: Iterable[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    """Batches, with all arrays in float64."""
    for batch in batches:
        yield [array.astype("float64", copy=False) for array in batch]
