"""`Maximized`: inputs that maximize the activation of units."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
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
    """Inputs that maximize the activation of units, see `maximize_activation`.

    Attributes:
        images: `(units, *input_shape)`: an input for each unit, within the value range.
        values: `(units,)`: the response of each unit to its input.
        history: `(steps, units)`: the response before each step, to the transformed input.
        units: The units, each a tuple `(channel,)` or `(*position, channel)`.
        layer: The layer's path, `"score"` for the model's scores.
        value_range: The minimum and maximum, arrays that broadcast to `images`.
        layout: The layout of `images`, such as `"NHWC"`; channels last if `None`.
    """

    images: np.ndarray
    values: np.ndarray
    history: np.ndarray
    units: list[tuple[int, ...]]
    layer: str
    value_range: tuple[np.ndarray, np.ndarray]
    layout: str | None = None

    _row_axes: ClassVar[Mapping[str, int]] = {"images": 0, "values": 0, "history": 1}
    _row_lists: ClassVar[tuple[str, ...]] = ("units",)

    def plot(
        self,
        *,
        show: Callable[[Any], Any] | None = None,
        class_names: Sequence[str] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the inputs with the responses of their units.

        Args:
            show: Maps an input from the model's preprocessing to a displayable image, `(height, width)` or `(height, width, 3)`, for
                example by reordering channels. By default the value range is mapped to the range from 0 to 1.
            class_names: Names of the classes.
            title: A title; the layer by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with six inputs per row.

        Example:

        >>> import keras
        >>> from keras_xai.features import Ascent, maximize_activation
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> figure = maximize_activation(model, [0, 2], ascent=Ascent(steps=2), seed=0).plot(class_names=["cat", "dog", "bird"])
        >>> [axes.get_title().splitlines()[0] for axes in figure.axes]
        ['cat', 'bird']
        """
        return drawn("maximized", "maximized_plot", self, show=show, class_names=class_names, title=title, path=path)

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'input')} of shape {self.images.shape[1:]}"

    def _facts(self) -> dict[str, Any]:
        return {"units": listed(map(unit_text, self.units)), "responses": self.values, "steps": len(self.history)}

    def _picture(self) -> "Figure":
        return self[:12].plot()
