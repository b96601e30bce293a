"""`Maximized`: inputs made to excite units."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted, listed, unit_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Maximized(Rows):
    """Inputs that excite units, see `maximize_activation`.

    Attributes:
        images: `(units, *input_shape)`: an input for each unit, within the range of values.
        values: `(units,)`: the response of each unit to its input.
        history: `(steps, units)`: the responses on the way, to the input as it was moved, turned and zoomed before each step.
        units: The units, each a tuple `(channel,)` or `(*position, channel)`.
        layer: The layer's path, `"score"` for the model's scores.
        value_range: The least and the largest value, arrays that broadcast to `images`.
    """

    images: np.ndarray
    values: np.ndarray
    history: np.ndarray
    units: list[tuple[int, ...]]
    layer: str
    value_range: tuple[np.ndarray, np.ndarray]

    _row_axes: ClassVar[Mapping[str, int]] = {"images": 0, "values": 0, "history": 1}
    _row_lists: ClassVar[tuple[str, ...]] = ("units",)

    def plot(self, **options: Any) -> "Figure":
        """Draws the inputs, see `keras_xai.report.maximized_plot`.

        Args:
            **options: Of `maximized_plot`.

        Returns:
            A matplotlib figure.
        """
        return drawn("maximized_plot", self, **options)

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'input')} of shape {self.images.shape[1:]}"

    def _facts(self) -> dict[str, Any]:
        return {"units": listed(map(unit_text, self.units)), "responses": self.values, "steps": len(self.history)}

    def _picture(self) -> "Figure":
        return self[:12].plot()
