"""`Dreamed`: images changed by deep dream."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dreamed(Rows):
    """Images changed by `deep_dream`.

    Attributes:
        images: `(n, height, width, channels)`, or in the layout of the model, within the value range.
        originals: The original images.
        history: `(octaves, steps, n)`: the objective before each step: half the mean square of the activations per image pixel, summed over
            the layers.
        layers: The layers' paths.
        value_range: The minimum and maximum, arrays that broadcast to `images`.
        layout: The layout of `images`, such as `"NHWC"`; channels last if `None`.
    """

    images: np.ndarray
    originals: np.ndarray
    history: np.ndarray
    layers: list[str]
    value_range: tuple[np.ndarray, np.ndarray]
    layout: str | None = None

    _row_axes: ClassVar[Mapping[str, int]] = {"images": 0, "originals": 0, "history": 2}

    def plot(
        self,
        *,
        samples: int = 4,
        show: Callable[[Any], Any] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the original images next to the changed ones.

        Args:
            samples: Number of first images to draw.
            show: Maps an image from the model's preprocessing to a displayable image, `(height, width)` or `(height, width, 3)`, for
                example by reordering channels. By default the value range is mapped to the range from 0 to 1.
            title: A title; the layers by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with a row per image.

        Raises:
            ValueError: If `samples` is not positive.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.features import Dream, deep_dream
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu", name="conv")])
        >>> images = np.random.default_rng(0).uniform(size=(2, 12, 16, 3))
        >>> len(deep_dream(model, images, layers="conv", dream=Dream(octaves=1, steps=1)).plot().axes)
        4
        """
        return drawn("maximized", "dream_plot", self, samples=samples, show=show, title=title, path=path)

    def _summary(self) -> str:
        return f"by {', '.join(self.layers)}: {counted(len(self), 'image')} of shape {self.images.shape[1:]}"

    def _facts(self) -> dict[str, Any]:
        octaves, steps = self.history.shape[:2]
        return {"octaves": octaves, "steps": steps, "half the mean square of activations": self.history}

    def _picture(self) -> "Figure":
        return self.plot(samples=2)
