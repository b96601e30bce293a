"""`ExactIntegratedGradients`: exact integrated gradients of one score along a line."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.results.base import Result
from keras_xai.results.pictures import drawn
from keras_xai.results.text import shapes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExactIntegratedGradients(Result):
    """Integrated gradients of one score along a line.

    Attributes:
        attribution: Attributions of one input's shape, in the structure of the model's inputs.
        target: Index of the explained score.
        difference: The score at the end of the line minus that at its start, computed by the network itself.
        convergence_delta: The difference between the sum of the attributions and `difference`; rounding error alone.
        start: The input at the start of the line, in the structure of the model's inputs.
        end: The input at the end of the line, which is explained with the start as the baseline.
        num_outputs: Number of the model's scores.
    """

    attribution: Any
    target: int
    difference: float
    convergence_delta: float
    start: Any
    end: Any
    num_outputs: int

    def plot(
        self,
        *,
        images: Sequence[np.ndarray] | None = None,
        class_names: Sequence[str] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the attributions of an image as a heatmap, next to the images at both ends of the line.

        Args:
            images: The two images, if the inputs themselves are not displayable.
            class_names: Names of all classes of the model; their indices by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure. Red entries raise the score from the start to the end, blue ones lower it; channels are summed.

        Raises:
            ValueError: If the inputs are not images of shape `(height, width)` or `(height, width, channels)`, or the number of names is
                not the number of classes.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox
        >>> model = keras.Sequential([
        ...     keras.Input((6, 6, 1)),
        ...     keras.layers.Conv2D(4, 3, activation="relu"),
        ...     keras.layers.Flatten(),
        ...     keras.layers.Dense(3, activation="softmax"),
        ... ])
        >>> image = np.random.default_rng(0).random((6, 6, 1))
        >>> line = OpenBox(model).line(np.zeros_like(image), image, verbose=0)
        >>> figure = line.integrated_gradients(1, verbose=0).plot(class_names=["cat", "dog", "bird"])
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['start', 'end', 'attribution to the score dog']
        """
        return drawn("partition", "gradients_plot", self, images=images, class_names=class_names, path=path)

    def _summary(self) -> str:
        shape = shapes(self.attribution, skip=0)
        return f"of score {self.target}, of shape {shape}: sum {self.difference:+.4g}, convergence delta {self.convergence_delta:.1e}"

    def _facts(self) -> dict[str, Any]:
        return {"attribution": self.attribution}

    def _picture(self) -> "Figure":
        return self.plot()
