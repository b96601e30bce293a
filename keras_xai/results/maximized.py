"""`Maximized`: inputs made to excite units."""

import dataclasses
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

    def plot(
        self, *, show: Callable[[Any], Any] | None = None, class_names: Sequence[str] | None = None, title: str = ""
    ) -> "Figure":
        """Draws the inputs that excite units, and how strongly they do.

        Args:
            show: Maps an input as the model takes it to an image that can be seen, `(height, width)` or `(height, width, 3)`, to undo what
                preprocessing has done, such as the order of colors. By default the range of values is mapped to that from 0 to 1.
            class_names: Names of the classes.
            title: A title; the layer by default.

        Returns:
            A matplotlib figure, six inputs in a row.

        Example:

        >>> import keras
        >>> from keras_xai.features import Ascent, maximize_activation
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> figure = maximize_activation(model, [0, 2], ascent=Ascent(steps=2), seed=0).plot(class_names=["cat", "dog", "bird"])
        >>> [axes.get_title().splitlines()[0] for axes in figure.axes]
        ['cat', 'bird']
        """
        return drawn("maximized", "maximized_plot", self, show=show, class_names=class_names, title=title)

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'input')} of shape {self.images.shape[1:]}"

    def _facts(self) -> dict[str, Any]:
        return {"units": listed(map(unit_text, self.units)), "responses": self.values, "steps": len(self.history)}

    def _picture(self) -> "Figure":
        return self[:12].plot()
