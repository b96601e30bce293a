"""Reads samples batch by batch, so that memory does not follow their number."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_xai.backend import is_native_dataset
from keras_xai.graph.inputs import Samples
from keras_xai.graph.steps import Graph
from keras_xai.graph.trace import in_order
from keras_xai.openbox.engine import Engine


class Stream:
    """What the pieces of a box are functions of, batch by batch; all samples are checked before, and never copied at once.

    Args:
        x: The samples, as for calling the box. A dataset keeps its own batches, and is checked as it is read.
        box: The box.

    Raises:
        ValueError: As `Samples`.
    """

    def __init__(self, x: Any, box: Engine):
        self._box = box
        self._graph = graph_of_samples(box)
        self._elements = x
        self._dataset = Samples(x, self._graph, box.batch_size) if is_native_dataset(x) else None
        self._arrays: list[np.ndarray] = []
        if self._dataset is None:
            self._arrays = [np.asarray(value) for value in in_order(x, self._graph.input_structure, self._graph.input_specs)]
            self._check()

    @property
    def num_samples(self) -> int | None:
        """Number of samples, `None` for a dataset."""
        return None if self._dataset is not None else len(self._arrays[0])

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` for a dataset that does not know."""
        return self._dataset.num_batches if self._dataset is not None else -(-len(self._arrays[0]) // self._box.batch_size)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields the inputs of the pieces in float64: the samples or, for a box of a hidden layer, its output."""
        return map(self.features, self.samples())

    def samples(self) -> Iterator[list[np.ndarray]]:
        """Yields the samples in float64."""
        if self._dataset is None:
            for start in range(0, len(self._arrays[0]), self._box.batch_size):
                yield self._batch(start)
            return
        empty = True
        for element in self._elements:
            empty = False
            yield self._dataset.check(element[0] if isinstance(element, tuple) else element)
        if empty:
            raise ValueError("Expected at least one batch. Received: a dataset without elements.")

    def features(self, batch: list[np.ndarray]) -> list[np.ndarray]:
        """The inputs of the pieces for a batch of samples."""
        if self._box._network.front is None:
            return batch
        features = self._box._pieces.features([array.astype(self._box.dtype) for array in batch])
        return [ops.convert_to_numpy(each).astype("float64") for each in features]

    def _check(self):
        try:
            lengths = {len(array) for array in self._arrays}
            if len(lengths) > 1 or 0 in lengths:
                raise ValueError
            for start in range(0, len(self._arrays[0]), self._box.batch_size):
                self._batch(start)
        except (TypeError, ValueError):
            # All at once costs memory, and only here: the message counts the samples from the first of all.
            Samples(_alone(self._arrays), self._graph, self._box.batch_size)
            raise

    def _batch(self, start):
        arrays = [array[start : start + self._box.batch_size] for array in self._arrays]
        return Samples(_alone(arrays), self._graph, self._box.batch_size).arrays


def graph_of_samples(box: Engine) -> Graph:
    """The graph whose inputs are what is handed to a box: for a box of a hidden layer, that of the layers before."""
    return box._network.graph if box._network.front is None else box._network.front


def _alone(arrays):
    return arrays if len(arrays) > 1 else arrays[0]
