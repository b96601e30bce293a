"""Streaming reader of a box's inputs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_xai.data.reader import Samples, in_float64
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
        self._samples = Samples(x, box.sample_graph, box.batch_size)

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
        return map(self._box.features, self.samples())

    def samples(self) -> Iterator[list[np.ndarray]]:
        """Yields the samples in float64."""
        return in_float64(self._samples)
