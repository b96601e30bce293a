"""The places of samples that metrics rank, replace and point at: pixels, time steps, features, tokens."""

import math
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation
from keras_xai.data.checks import real_array

# The order in which positions or regions are removed: most or least relevant first.
Order = Literal["morf", "lerf"]


@final
class Places:
    """The positions of the inputs of a model, in one row.

    Images and series have a position for each pixel or time step, whatever the layout of the model; tables and texts have one for each
    entry. The positions of several inputs are concatenated. All arrays here are channels last, see `keras_xai.data.layout.Layout`.

    Args:
        explanation: The explanation, with its values and inputs.

    Attributes:
        inputs: The samples, an array for each input, channels last.
        layouts: The layout of each input of the model.
        shapes: The spatial shape of each input: `(height, width)`, `(time,)`, `(features,)`; `(0,)` for one that was held fixed.

    Raises:
        ValueError: If the values do not belong to the inputs, or are NaN or infinite.
    """

    def __init__(self, explanation: Explanation):
        inputs = [np.asarray(x) for x in tree.flatten(explanation.inputs)]
        given = tree.flatten(explanation.values)
        self._explained = [values is not None for values in given]
        self.layouts = explanation.layouts
        layouts = self._of_explained(self.layouts)
        values = [np.asarray(values, dtype="float64") for values in given if values is not None]
        shapes = [x.shape for x in self._of_explained(inputs)]
        if [_of_places(*each) for each in zip(values, layouts, strict=True)] != [
            _of_places(*each) for each in zip(self._of_explained(inputs), layouts, strict=True)
        ]:
            raise ValueError(
                "Expected an explanation whose values have the shapes of its inputs, up to the channels. Received: values of shape "
                f"{[each.shape for each in values]} for inputs of shape {shapes}."
            )
        if not all(np.isfinite(each).all() for each in values):
            raise ValueError("Expected an explanation of finite values. Received: NaN or infinity.")
        self.inputs: list[np.ndarray] = self.channels_last(inputs)
        self._values = [layout.channels_last(array) for layout, array in zip(layouts, values, strict=True)]
        # An input that was held fixed has no positions.
        self.shapes = [
            layout.sizes(x.shape) if explained else (0,)
            for layout, x, explained in zip(self.layouts, inputs, self._explained, strict=True)
        ]

    def channels_last(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays in the layouts of the model, one for each input, in their channels-last form."""
        return [layout.channels_last(array) for layout, array in zip(self.layouts, arrays, strict=True)]

    def restored(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Undoes `channels_last`."""
        return [layout.restored(array) for layout, array in zip(self.layouts, arrays, strict=True)]

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
        """The values times changes, channels last, an array for each input, summed over channels: `(n, places)`."""
        return self._summed(
            [values * change for values, change in zip(self._values, self._of_explained(changes), strict=True)]
        )

    def added(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays, channels last, one for each input, as one row of positions `(n, places)`, summed over channels."""
        return self._summed(self._of_explained(arrays))

    def _summed(self, arrays):
        layouts = self._of_explained(self.layouts)
        return self.joined(
            [array if layout.is_apart else array.sum(axis=-1) for array, layout in zip(arrays, layouts, strict=True)]
        )

    def joined(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays `(n, *place_shape)`, one for each input, as one row `(n, places)`."""
        return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)

    def apart(self, row: np.ndarray) -> list[np.ndarray]:
        """Rows `(b, places)` as arrays that fit the inputs, channels last, their channels of length 1."""
        parts = np.split(row, np.cumsum([math.prod(shape) for shape in self.shapes])[:-1], axis=1)
        return [
            part.reshape(len(row), *shape, *[1] * (not layout.is_apart))
            if explained
            else np.zeros((len(row), *layout.sizes(x.shape), *[1] * (not layout.is_apart)), row.dtype)
            for part, shape, x, layout, explained in zip(
                parts, self.shapes, self.inputs, self.layouts, self._explained, strict=True
            )
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
        masks: Booleans `(n, *place_shape)`, or in the layout of the inputs with a channel axis of length 1; for several inputs in their
            structure.
        places: The positions of the samples.
    """
    given = tree.flatten(masks) if len(places.shapes) > 1 else [masks]
    expected = [(len(x), *shape) for x, shape in zip(places.inputs, places.shapes, strict=True)]
    arrays = [real_array("masks", mask, "boolean masks") for mask in given]
    arrays = [_without_channels(*each) for each in zip(arrays, places.layouts, strict=True)]
    if [array.shape for array in arrays] != expected or any(array.dtype != bool for array in arrays):
        received = [(np.shape(mask), np.asarray(mask).dtype.name) for mask in given]
        raise ValueError(f"Expected `masks` to be booleans of the shapes {expected}. Received: shapes and dtypes {received}.")
    row = places.joined(arrays)
    empty = np.flatnonzero(~row.any(axis=1))
    if empty.size:
        raise ValueError(
            f"Expected each of `masks` to mark at least one position. Received: an empty mask for sample {empty[0]}."
        )
    return row


def _without_channels(mask, layout):
    """A mask without its axis of channels of length 1, at the end or where the samples have theirs."""
    if layout.is_apart or mask.ndim != len(layout.places) + 2:
        return mask
    if layout.channel is not None and mask.shape[layout.channel] == 1:
        return layout.channels_last(mask)[..., 0]
    return mask[..., 0] if mask.shape[-1] == 1 else mask


def _of_places(array, layout):
    """The samples and the sizes of places of an array, or its shape if it has another number of axes."""
    return (len(array), *layout.sizes(array.shape)) if array.ndim == layout.rank else array.shape
