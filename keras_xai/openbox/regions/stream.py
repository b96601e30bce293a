"""The inputs of the pieces of a box, read batch by batch from samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_xai.data.reader import Samples, in_float64
from keras_xai.graph.steps import Graph
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
        self._samples = Samples(x, graph_of_samples(box), box.batch_size)

    @property
    def num_samples(self) -> int | None:
        """Number of samples, `None` for a dataset."""
        return self._samples.num_samples

    @property
    def num_batches(self) -> int | None:
        """Number of batches, `None` for a dataset that does not know."""
        return self._samples.num_batches

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields the inputs of the pieces in float64: the samples or, for a box of a hidden layer, its output."""
        return map(self.features, self.samples())

    def samples(self) -> Iterator[list[np.ndarray]]:
        """Yields the samples in float64."""
        return in_float64(self._samples)

    def features(self, batch: list[np.ndarray]) -> list[np.ndarray]:
        """The inputs of the pieces for a batch of samples."""
        if self._box._network.front is None:
            return batch
        features = self._box._pieces.features([array.astype(self._box.dtype) for array in batch])
        return [ops.convert_to_numpy(each).astype("float64") for each in features]


def graph_of_samples(box: Engine) -> Graph:
    """The graph whose inputs are what is handed to a box: for a box of a hidden layer, that of the layers before."""
    return box._network.graph if box._network.front is None else box._network.front
