"""The places of samples that metrics rank, replace and point at: pixels, time steps, features, tokens."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation


@final
class Places:
    """The positions of the inputs of a model, in one row.

    An input `(n, ..., channels)` with three or more axes has a position for each entry of the axes in between: a pixel, a time step. An
    input `(n, features)` has a position for each entry. The positions of several inputs are concatenated.

    Args:
        explanation: The explanation, with its values and inputs.

    Attributes:
        inputs: The samples, an array for each input.
        shapes: The spatial shape of each input: `(height, width)`, `(time,)`, `(features,)`; `(0,)` for one that was held fixed.

    Raises:
        ValueError: If the values do not belong to the inputs, or are NaN or infinite.
    """

    def __init__(self, explanation: Explanation):
        self.inputs: list[np.ndarray] = [np.asarray(x) for x in tree.flatten(explanation.inputs)]
        # An input that was held fixed has no positions.
        given = tree.flatten(explanation.values)
        self._explained = [values is not None for values in given]
        self._values = [np.asarray(values, dtype="float64") for values in given if values is not None]
        shapes = [x.shape for x in self._of_explained(self.inputs)]
        if [_without_channels(values.shape) for values in self._values] != [_without_channels(shape) for shape in shapes]:
            raise ValueError(
                "Expected an explanation whose values have the shapes of its inputs, up to the channels. Received: values of shape "
                f"{[values.shape for values in self._values]} for inputs of shape {shapes}."
            )
        if not all(np.isfinite(values).all() for values in self._values):
            raise ValueError("Expected an explanation of finite values. Received: NaN or infinity.")
        self.shapes = [
            _without_channels(x.shape)[1:] if explained else (0,)
            for x, explained in zip(self.inputs, self._explained, strict=True)
        ]

    def _of_explained(self, arrays):
        """Those of some arrays, one for each input, that belong to explained inputs."""
        if len(self._explained) != len(arrays):
            raise ValueError(
                f"Expected an explanation with values for each of {len(arrays)} inputs. Received: {len(self._explained)} arrays of values."
            )
        return [array for array, explained in zip(arrays, self._explained, strict=True) if explained]

    @property
    def relevance(self) -> np.ndarray:
        """The value of each position `(n, places)`, summed over its channels."""
        return self._summed(self._values)

    @property
    def values(self) -> np.ndarray:
        """All values `(n, entries)`, with each channel separate."""
        return np.concatenate([values.reshape(len(values), -1) for values in self._values], axis=1)

    def times(self, changes: Sequence[np.ndarray]) -> np.ndarray:
        """The values times changes `(n, *input_shape)`, an array for each input, summed over channels: `(n, places)`."""
        return self._summed(
            [values * change for values, change in zip(self._values, self._of_explained(changes), strict=True)]
        )

    def added(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays `(n, *input_shape)`, one for each input, as one row of positions `(n, places)`, summed over channels."""
        return self._summed(self._of_explained(arrays))

    def _summed(self, arrays):
        return self.joined([array.sum(axis=-1) if array.ndim > 2 else array for array in arrays])

    def joined(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays `(n, *place_shape)`, one for each input, as one row `(n, places)`."""
        return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)

    def apart(self, row: np.ndarray) -> list[np.ndarray]:
        """Rows `(b, places)` as arrays that fit the inputs, their channels of length 1."""
        parts = np.split(row, np.cumsum([math.prod(shape) for shape in self.shapes])[:-1], axis=1)
        return [
            part.reshape(len(row), *shape, *[1] * (x.ndim > 2))
            if explained
            else np.zeros((len(row), *_without_channels(x.shape)[1:], *[1] * (x.ndim > 2)), row.dtype)
            for part, shape, x, explained in zip(parts, self.shapes, self.inputs, self._explained, strict=True)
        ]


def ranks(relevance: np.ndarray) -> np.ndarray:
    """The rank of each position of each sample, 0 for the largest value; both `(n, places)`.

    Ties are broken in a random order drawn once for all samples: in index order, a constant map would remove an image from the top down.
    """
    shuffled = np.broadcast_to(np.random.default_rng(0).permutation(relevance.shape[1]), relevance.shape)
    order = np.lexsort((shuffled, -relevance), axis=-1)
    found = np.empty(order.shape, "int32")
    np.put_along_axis(found, order, np.arange(order.shape[1], dtype="int32")[None], axis=1)
    return found


def checked_masks(masks: Any, places: Places) -> np.ndarray:
    """Object masks as rows `(n, places)`; raises if they do not fit the samples.

    Args:
        masks: Booleans `(n, *place_shape)`, optionally with a trailing axis of length 1; for several inputs in their structure.
        places: The positions of the samples.
    """
    given = tree.flatten(masks) if len(places.shapes) > 1 else [masks]
    expected = [(len(x), *shape) for x, shape in zip(places.inputs, places.shapes, strict=True)]
    arrays = [np.asarray(mask) for mask in given]
    arrays = [array[..., 0] if array.shape[-1:] == (1,) and array.ndim > 2 else array for array in arrays]
    if [array.shape for array in arrays] != expected or any(array.dtype != bool for array in arrays):
        received = [(np.shape(mask), np.asarray(mask).dtype.name) for mask in given]
        raise ValueError(f"Expected boolean masks of the shapes {expected}. Received: shapes and dtypes {received}.")
    row = places.joined(arrays)
    empty = np.flatnonzero(~row.any(axis=1))
    if empty.size:
        raise ValueError(f"Expected each mask to mark at least one position. Received: an empty mask for sample {empty[0]}.")
    return row


def _without_channels(shape):
    return shape[:-1] if len(shape) > 2 else shape
