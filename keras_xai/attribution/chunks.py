"""Chunks of samples in memory: all samples of an array, or one batch of a dataset at a time."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import final

import numpy as np

from keras_xai.data.batches import joined, rows
from keras_xai.data.texts import widened
from keras_xai.graph.target import Target


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Samples held in memory together, with their target and baseline.

    Attributes:
        start: Index of the first sample within the whole dataset.
        inputs: An array for each input of the model, in its compute dtype.
        goal: The target of the samples.
        baseline: The baseline, an array for each input; `None` if the method takes none.
    """

    start: int
    inputs: list[np.ndarray]
    goal: Target
    baseline: list[np.ndarray] | None


@final
class Seen:
    """Collects the inputs and baselines of explained chunks for the result."""

    def __init__(self):
        self._chunks: list[Chunk] = []

    @property
    def latest(self) -> Chunk:
        """The most recent chunk."""
        return self._chunks[-1]

    def add(self, chunk: Chunk) -> bool:
        """Adds a chunk, unless it was added before; returns whether it is new."""
        new = not self._chunks or self.latest is not chunk
        if new:
            self._chunks.append(chunk)
        return new

    def inputs(self) -> list[np.ndarray]:
        """All samples; arrays are not copied."""
        return _together([chunk.inputs for chunk in self._chunks])

    def baseline(self, *, shared: bool) -> list[np.ndarray] | None:
        """The baseline of all samples."""
        given = [chunk.baseline for chunk in self._chunks if chunk.baseline is not None]
        return _together(given[:1] if shared else given) if given else None


def in_parts(chunks: Iterable[Chunk], batch_size: int) -> Iterator[tuple[Chunk, slice]]:
    """Yields pairs of a chunk and a slice of at most `batch_size` of its samples."""
    for chunk in chunks:
        for part in rows(len(chunk.inputs[0]), batch_size):
            yield chunk, part


def _together(several):
    if len(several) == 1:
        return several[0]
    # Texts of several batches differ in their number of words.
    together = zip(*several, strict=True)
    return [
        joined(widened(arrays, "") if arrays[0].dtype.kind == "U" and arrays[0].ndim == 2 else arrays) for arrays in together
    ]
