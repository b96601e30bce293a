"""`ExtremeExamples`: the samples to which units respond most, and least."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted, listed, unit_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Examples(Rows):
    """The samples with the highest, or the lowest, responses of units.

    Attributes:
        values: `(units, k)`: the responses, the most extreme first. Ties are in the order of the samples; equal samples in different
            batches may differ in the last digit.
        indices: Integer array `(units, k)`, the index of each sample in the whole dataset.
        positions: Integer array `(units, k, axes)`: position of the response in the layer's output; no axes for classes and dense units.
        crops: For each unit a list of `k` crops: the part of the sample in the receptive field of the response, smaller at the border; the
            whole sample for classes and dense units. In the structure of the model's inputs.
        boxes: For each unit a list of `k` receptive fields: the slices of the crop, one for each axis of a sample.
    """

    values: np.ndarray
    indices: np.ndarray
    positions: np.ndarray
    crops: list[list[Any]]
    boxes: list[list[Any]]

    _row_axes: ClassVar[Mapping[str, int]] = {"values": 0, "indices": 0, "positions": 0}
    _row_lists: ClassVar[tuple[str, ...]] = ("crops", "boxes")

    def _summary(self) -> str:
        units, count = self.values.shape
        return f"of {counted(units, 'unit')}: {counted(count, 'sample')} each"

    def _facts(self) -> dict[str, Any]:
        return {"responses": self.values, "samples": self.indices}


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExtremeExamples(Rows):
    """The result of `extreme_examples`.

    Attributes:
        highest: The samples with the highest responses.
        lowest: The samples with the lowest responses.
        units: The units, each a tuple `(channel,)` or `(*position, channel)`.
        layer: The layer's path, `"score"` for the model's scores.
        num_samples: Total number of samples.
        layout: The layout of the samples, such as `"NHWC"`, in the structure of the model's inputs; channels last if `None`.
    """

    highest: Examples
    lowest: Examples
    units: list[tuple[int, ...]]
    layer: str
    num_samples: int
    layout: Any = None

    _row_lists: ClassVar[tuple[str, ...]] = ("units",)

    def __len__(self) -> int:
        """The number of units."""
        return len(self.highest)

    def _taken(self, rows: np.ndarray) -> Self:
        return dataclasses.replace(super()._taken(rows), highest=self.highest[rows], lowest=self.lowest[rows])

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        return super().to_fields() | {"highest": self.highest.to_fields(), "lowest": self.lowest.to_fields()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a result from the fields returned by `to_fields`."""
        ends = {name: Examples.from_fields(fields[name]) for name in ("highest", "lowest")}
        return cls(**{**fields, **ends})

    def plot(
        self,
        *,
        ends: str | Sequence[str] = ("highest", "lowest"),
        max_units: int = 8,
        show: Callable[[Any], Any] | None = None,
        class_names: Sequence[str] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the most extreme samples of each unit in a row: their crops and responses.

        Args:
            ends: `"highest"`, `"lowest"`, or both, each in its own row.
            max_units: Maximum number of units to draw, from the first.
            show: Maps a crop from the model's preprocessing to a displayable form: an image `(height, width)` or `(height, width, 3)`, a
                series `(time, channels)`, features, or a text. By default crops are shown unchanged, each scaled to the color range.
            class_names: Names of the classes.
            title: A title; the layer by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If `ends` is invalid, `max_units` is not positive, or a crop cannot be drawn.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.features import extreme_examples
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="conv")])
        >>> x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        >>> found = extreme_examples(model, x, layer="conv", units=[0, 3], k=5)
        >>> len(found.plot().axes), len(found.plot(ends="highest").axes)
        (20, 10)
        """
        return drawn(
            "examples",
            "examples_plot",
            self,
            ends=ends,
            max_units=max_units,
            show=show,
            class_names=class_names,
            title=title,
            path=path,
        )

    def _summary(self) -> str:
        return (
            f"of '{self.layer}': {counted(len(self), 'unit')}, {self.highest.values.shape[1]} of {counted(self.num_samples, 'sample')} "
            "at each end"
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "units": listed(map(unit_text, self.units)),
            "highest responses": self.highest.values,
            "lowest responses": self.lowest.values,
        }

    def _picture(self) -> "Figure":
        return self.plot(max_units=3)
