"""`Dreamed`: images changed by deep dream."""

import dataclasses
from collections.abc import Mapping
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
        images: `(n, height, width, channels)`, within the range of values.
        originals: What they were made from.
        history: `(octaves, steps, n)`: before each step, what is raised: for each pixel of the image half the mean square of the
            activations over it, all layers added up.
        layers: The layers' paths.
        value_range: The least and the largest value, arrays that broadcast to `images`.
    """

    images: np.ndarray
    originals: np.ndarray
    history: np.ndarray
    layers: list[str]
    value_range: tuple[np.ndarray, np.ndarray]

    _row_axes: ClassVar[Mapping[str, int]] = {"images": 0, "originals": 0, "history": 2}

    def plot(self, **options: Any) -> "Figure":
        """Draws the images beneath the originals, see `keras_xai.report.dream_plot`.

        Args:
            **options: Of `dream_plot`.

        Returns:
            A matplotlib figure.
        """
        return drawn("dream_plot", self, **options)

    def _summary(self) -> str:
        return f"by {', '.join(self.layers)}: {counted(len(self), 'image')} of shape {self.images.shape[1:]}"

    def _facts(self) -> dict[str, Any]:
        octaves, steps = self.history.shape[:2]
        return {"octaves": octaves, "steps": steps, "half the mean square of activations": self.history}

    def _picture(self) -> "Figure":
        return self.plot(samples=2)
