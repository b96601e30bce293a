"""Reads samples batch by batch, so that memory does not follow their number."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_xai.graph.inputs import Samples
from keras_xai.graph.trace import Graph, in_order


class Stream:
    """The inputs of a model, checked before any work and read batch by batch, without a copy of all of them in float64.

    Args:
        x: As for `Samples`.
        graph: The model's graph.
        batch_size: Samples in a batch; a dataset keeps its own batches.

    Raises:
        ValueError: As `Samples`.
    """

    def __init__(self, x: Any, graph: Graph, batch_size: int):
        self._graph = graph
        self._batch_size = batch_size
        self._dataset = Samples(x, graph, batch_size) if is_dataset(x) else None
        self._elements = x
        self._arrays: list[np.ndarray] = []
        if self._dataset is None:
            self._arrays = [np.asarray(value) for value in in_order(x, graph.input_structure, graph.input_specs)]
            self._check()

    @property
    def num_samples(self) -> int | None:
        """Number of samples, `None` for a dataset."""
        return None if self._dataset is not None else len(self._arrays[0])

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` for a dataset that does not know."""
        return self._dataset.num_batches if self._dataset is not None else -(-len(self._arrays[0]) // self._batch_size)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        if self._dataset is None:
            for start in range(0, len(self._arrays[0]), self._batch_size):
                yield self._batch(start).arrays
            return
        empty = True
        for element in self._elements:
            empty = False
            yield self._dataset.check(element[0] if isinstance(element, tuple) else element)
        if empty:
            raise ValueError("Expected at least one batch. Received: a dataset without elements.")

    def _check(self):
        try:
            lengths = {len(array) for array in self._arrays}
            if len(lengths) > 1 or 0 in lengths:
                raise ValueError
            for start in range(0, len(self._arrays[0]), self._batch_size):
                self._batch(start)
        except (TypeError, ValueError):
            # All at once costs memory, and only here: the message counts the samples from the first of all.
            Samples(self._whole(self._arrays), self._graph, self._batch_size)
            raise

    def _batch(self, start):
        arrays = [array[start : start + self._batch_size] for array in self._arrays]
        return Samples(self._whole(arrays), self._graph, self._batch_size)

    @staticmethod
    def _whole(arrays):
        return arrays if len(arrays) > 1 else arrays[0]


def is_dataset(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`, told without TensorFlow, which only `keras_xai.graph` may import."""
    return hasattr(x, "cardinality") and hasattr(x, "element_spec")
