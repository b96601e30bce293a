"""Streaming reader of a box's inputs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_xai.data.reader import Samples, in_float64
from keras_xai.openbox.engine import Engine


class Stream:
    """Reads the variables of a box's pieces batch by batch; all samples are checked first, and never copied at once.

    Args:
        x: The samples, as in calling the box. A dataset keeps its own batches and is checked while it is read.
        box: The box.

    Raises:
        ValueError: As in `Samples`.
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
        """Number of batches, `None` for a dataset of unknown length."""
        return self._samples.num_batches

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yields the inputs of the pieces in float64: the samples or, for a box of a hidden layer, its output."""
        return map(self._box.features, self.samples())

    def samples(self) -> Iterator[list[np.ndarray]]:
        """Yields the samples in float64."""
        return in_float64(self._samples)
