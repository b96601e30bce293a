"""`ExtremeExamples`: the samples to which units respond most, and least."""

import dataclasses
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
    """The samples at one end of the responses of units.

    Attributes:
        values: `(units, k)`: the response of each, the most extreme first. Of equal ones the earlier sample comes first;
            equal samples of different batches may differ in the last digit.
        indices: Integer array `(units, k)`, the place of each sample among all, from 0.
        positions: Integer array `(units, k, axes)`: where in the layer's output the response is; no axes for classes and dense
            units.
        crops: For each unit a list of `k` crops: the receptive field of the response, cut out of the sample, so that those at the
            border are smaller; the whole sample for classes and dense units. In the structure of the model's inputs.
        boxes: For each unit a list of `k` receptive fields: slices, one for each axis of a sample, that cut out the crop.
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
    """What `extreme_examples` found.

    Attributes:
        highest: The samples of the largest responses.
        lowest: The samples of the smallest ones.
        units: The units, each a tuple `(channel,)` or `(*position, channel)`.
        layer: The layer's path, `"score"` for the model's scores.
        num_samples: How many samples were looked at.
    """

    highest: Examples
    lowest: Examples
    units: list[tuple[int, ...]]
    layer: str
    num_samples: int

    _row_lists: ClassVar[tuple[str, ...]] = ("units",)

    def __len__(self) -> int:
        """The number of units."""
        return len(self.highest)

    def _taken(self, rows: np.ndarray) -> Self:
        return dataclasses.replace(super()._taken(rows), highest=self.highest[rows], lowest=self.lowest[rows])

    def to_fields(self) -> dict[str, Any]:
        """All that it holds, as dicts, lists and tuples of arrays, texts and numbers."""
        return super().to_fields() | {"highest": self.highest.to_fields(), "lowest": self.lowest.to_fields()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The result of which `to_fields` has given the fields."""
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
    ) -> "Figure":
        """Draws the most extreme samples of each unit in a row: what the unit sees of them, and how strongly it responds.

        Args:
            ends: `"highest"`, `"lowest"`, or both: a row for each.
            max_units: Number of units to draw at most: the first.
            show: Maps a crop as the model takes it to what can be drawn: an image `(height, width)` or `(height, width, 3)`, a series
                `(time, channels)`, features, or a text. By default crops are drawn as they are, each moved into the range of colors.
            class_names: Names of the classes.
            title: A title; the layer by default.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If `ends` names none of them, `max_units` is not positive, or a crop is none of what can be drawn.

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
            "examples", "examples_plot", self, ends=ends, max_units=max_units, show=show, class_names=class_names, title=title
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
