"""The reader of samples: any supported form in, checked arrays out, batch by batch."""

from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
from keras import tree

from keras_xai.data import streams, tables
from keras_xai.data.arrays import checked, unchecked
from keras_xai.data.batches import joined, rows
from keras_xai.data.checks import check_count
from keras_xai.data.structure import Inputs


@final
class Samples:
    """The inputs of a model, checked and read batch by batch.

    Samples that are there at once are checked at once, whole and before any work. Those that come in batches of their own (a
    `tf.data.Dataset`, a `keras.utils.PyDataset`, a `DataLoader` of PyTorch, a generator) keep them, are checked as they are read, and
    one batch at a time is in memory. Labels and weights in them are left out.

    Args:
        x: The samples: arrays, tensors, nested lists, a `DataFrame` or `Series`, in the structure of the model's inputs; or
            batches of them, alone, as `(x, y)` or as `(x, y, sample_weight)`.
        inputs: Of the model.
        batch_size: Samples in a batch, where there are no batches yet.

    Attributes:
        inputs: As given.
        batch_size: As given.
        feature_names: Names of the columns of a `DataFrame` for a model of one input, or `None`.

    Raises:
        ValueError: If structure, shape or dtype are not the model's, if there are no samples, if a value is NaN or infinite, or
            if a dataset has no end. For samples in batches, all but the last when a batch is read.
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
        """Number of samples, `None` where they come in batches."""
        return None if self._arrays is None else len(self._arrays[0])

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` where it is not known."""
        if self._arrays is None:
            return streams.num_batches(self._x)
        return -(-len(self._arrays[0]) // self.batch_size)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields a list of arrays for each batch, one for each input, in the dtypes in which they were given."""
        if self._arrays is not None:
            for part in rows(len(self._arrays[0]), self.batch_size):
                yield [array[part] for array in self._arrays]
            return
        for element in streams.elements(self._x):
            if self.feature_names is None:
                self.feature_names = tables.feature_names(element.x, self.inputs)
            yield checked(element.x, self.inputs)

    def arrays(self) -> list[np.ndarray]:
        """All samples, one array for each input; samples in batches are read for it."""
        if self._arrays is not None:
            return self._arrays
        return [joined(parts) for parts in zip(*self, strict=True)]


def read_all(x: Any, inputs: Inputs) -> list[np.ndarray]:
    """All samples as a flat list of checked arrays, one for each input; see `Samples`."""
    return Samples(x, inputs, 1).arrays()


def read_unchecked(x: Any, inputs: Inputs) -> list[np.ndarray]:
    """All samples as a flat list of arrays of any shape and dtype, for callers that take other sizes than the model's."""
    if not streams.is_stream(x):
        return unchecked(x, inputs)
    return [joined(parts) for parts in zip(*(unchecked(each.x, inputs) for each in streams.elements(x)), strict=True)]


def count_of(x: Any) -> int | None:
    """Number of samples if known without reading, else `None`."""
    if streams.is_stream(x):
        return None
    shape = getattr((tree.flatten(x) or [x])[0], "shape", None)
    return shape[0] if shape else None


def in_float64(batches: Iterable[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    """Batches, with all arrays in float64."""
    for batch in batches:
        yield [array.astype("float64", copy=False) for array in batch]
