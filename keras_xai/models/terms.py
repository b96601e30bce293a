"""Running means of the penalty of each layer."""

from collections.abc import Sequence
from typing import Any, final

import keras
from keras import ops


@final
class Terms(keras.metrics.Metric):
    """Averages the terms of the penalty over batches; the result is the mean over terms.

    Args:
        paths: The layers of the terms.
    """

    def __init__(self, paths: Sequence[str]):
        super().__init__(name="fbi_penalty", dtype="float32")
        self._paths = tuple(paths)
        self._total = self.add_variable(shape=(len(paths),), initializer="zeros", name="total")
        self._count = self.add_variable(shape=(), initializer="zeros", name="count")

    def update_state(self, values: Sequence, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            values: A tensor `(n,)` for each term.
            sample_weight: Tensor `(n,)` or `(n, 1)`.
        """
        terms = ops.stack([ops.cast(each, self.dtype) for each in values], axis=-1)
        if sample_weight is not None:
            terms = terms * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        self._total.assign(self._total + ops.sum(terms, axis=0))
        self._count.assign(self._count + ops.cast(ops.shape(terms)[0], self.dtype))

    def result(self):
        return ops.mean(self._means())

    def of_each(self) -> dict[str, float]:
        """The mean of each term, by path."""
        return dict(zip(self._paths, map(float, ops.convert_to_numpy(self._means())), strict=True))

    def _means(self):
        return self._total / ops.maximum(self._count, 1.0)
