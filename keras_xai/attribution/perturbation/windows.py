"""Sliding windows over an input."""

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.data.checks import check_count
from keras_xai.data.layout import Layout

# Windows per axis by default.
_PART = 8


@final
class Windows:
    """Sliding windows of one size, `stride` apart, that cover every entry of an input.

    The first window begins at the first entry. The last one is moved inward if it would extend past the edge.

    Args:
        spec: Spec of the input.
        window: Size along each spatial axis: one number for all, one per axis, or `None`. If there is one for every axis of the input, none
            is taken as the channel axis.
        stride: Distance between windows along each axis: one number for all, one per axis, or `None`.
        layout: Layout of the input.

    Raises:
        ValueError: If a size is not an integer of at least 1, is too large, or their number does not match the axes.

    Attributes:
        axes: The spatial axes, in the order of the channels-last form.
    """

    def __init__(self, spec: keras.KerasTensor, window: Any, stride: Any, layout: Layout):
        rank = self._rank = len(spec.shape)
        self._name = spec.name
        # The features of a table, and tokens, are hidden one at a time.
        self._single = layout.is_apart
        whole = isinstance(window, Sequence) and len(window) == rank - 1
        self._layout = layout.without_channels if whole else layout
        self.axes = list(self._layout.places)
        self._windows = self._numbers("window", window)
        self._strides = self._numbers("stride", stride)
        for position, axis in enumerate(self.axes):
            if spec.shape[axis] is not None:
                self._along(position, spec.shape[axis])

    def covers(self, shape: Sequence[int]) -> list[np.ndarray]:
        """The entries that each window hides, along each spatial axis: a boolean array `(windows, size)`.

        Args:
            shape: Shape of the input, samples first.

        Raises:
            ValueError: If a window is larger than an input whose size was unknown at construction.
        """
        found = []
        for position, size in enumerate(shape[axis] for axis in self.axes):
            window, stride = self._along(position, size)
            starts = np.unique([*range(0, size - window, stride), size - window])
            offsets = np.arange(size) - starts[:, np.newaxis]
            found.append((offsets >= 0) & (offsets < window))
        return found

    def any(self, entries: np.ndarray, covers: Sequence[np.ndarray]) -> np.ndarray:
        """Whether a window has a true entry.

        Args:
            entries: Boolean array `(n, *input_shape)`.
            covers: The return value of `covers`.

        Returns:
            A boolean array `(n, *windows)`, with the windows along each spatial axis.
        """
        counts = self._layout.channels_last(entries.astype("float32"))
        if not self._layout.is_apart:
            counts = counts.max(axis=-1)
        for axis, cover in enumerate(covers, start=1):
            counts = np.moveaxis(np.moveaxis(counts, axis, -1) @ cover.T.astype("float32"), -1, axis)
        return counts > 0

    def hidden(self, numbers: Any, covers: Sequence) -> Any:
        """The entries that windows hide; call it, like `means`, within a compiled program.

        Args:
            numbers: Integer tensor `(rows,)`: window numbers, with the last axis varying fastest.
            covers: The return value of `covers`.

        Returns:
            A boolean tensor `(rows, ...)` that broadcasts with inputs.
        """
        everywhere = None
        for axis, cover in reversed(list(zip(self.axes, covers, strict=True))):
            line = ops.take(cover, numbers % ops.shape(cover)[0], axis=0)
            numbers = numbers // ops.shape(cover)[0]
            line = ops.expand_dims(line, [other for other in range(1, self._rank) if other != axis])
            everywhere = line if everywhere is None else ops.logical_and(everywhere, line)
        return everywhere

    def means(self, values: Any, covers: Sequence) -> Any:
        """The mean over the windows that hide an entry, for each entry.

        Args:
            values: Tensor `(n, *windows)`, with the windows along each spatial axis.
            covers: The return value of `covers`.

        Returns:
            A tensor `(n, *input_shape)` with a channel axis of length 1.
        """
        for axis, cover in enumerate(covers, start=1):
            weights = ops.cast(cover, values.dtype)
            weights = weights / ops.sum(weights, axis=0)
            values = ops.moveaxis(ops.tensordot(values, weights, axes=[[axis], [0]]), -1, axis)
        return values if self._layout.is_apart else self._layout.restored(ops.expand_dims(values, -1))

    def _along(self, position, size):
        """Window and stride along a spatial axis."""
        window, stride = self._windows[position], self._strides[position]
        if window is None:
            window = 1 if self._single else max(1, size // _PART)
        if window > size:
            raise ValueError(
                f"Expected windows no larger than input '{self._name}', which has {size} positions along axis {self.axes[position]}. "
                f"Received: a window of {window}. For a model of several inputs, give a dict of windows by input name."
            )
        stride = max(1, window // 2) if stride is None else stride
        if stride > window:
            raise ValueError(
                f"Expected a stride no larger than the window, {window} along axis {self.axes[position]} of input '{self._name}', "
                f"so that each entry is hidden at least once. Received: a stride of {stride}."
            )
        return window, stride

    def _numbers(self, name, given):
        """One number, or `None`, for each spatial axis."""
        numbers = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given] * len(self.axes)
        if len(numbers) != len(self.axes):
            raise ValueError(
                f"Expected `{name}` to be one integer, or one for each of the {len(self.axes)} spatial axes of input '{self._name}'. "
                f"Received: {name}={given!r}. For a model of several inputs, give a dict by input name."
            )
        for number in numbers:
            if number is not None:
                check_count(name, number)
        return numbers
