"""`Facets`: the facets of a sample's polytope."""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import shapes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Facets(Rows):
    """Facets of the polytope of one sample: the constraints that define its region.

    Attributes:
        normal: `(k, *input_shape)`, the boundary features: the gradient of each constraint, which points into the polytope.
        value: `(k,)`, the constraints' values at the sample. Constraint j is `normal[j] . (x' - x) + value[j] >= 0`.
        distance: `(k,)`, the Euclidean distance from the sample to the plane of each facet, increasing.
        layer: Paths of the layers of the facets, `"input"` for the sides of an input box.
        unit: Index of the unit in its layer, as in `Walls`.
        reason: Description of each facet's constraint.
        layout: The layout of the inputs, such as `"NHWC"`, in the structure of the model's inputs; channels last if `None`.
    """

    normal: Any
    value: np.ndarray
    distance: np.ndarray
    layer: tuple[str, ...]
    unit: tuple[tuple[int, ...], ...]
    reason: tuple[str, ...]
    layout: Any = None

    _row_axes: ClassVar[Mapping[str, int]] = {"normal": 0, "value": 0, "distance": 0}
    _row_lists: ClassVar[tuple[str, ...]] = ("layer", "unit", "reason")

    def plot(self, image: np.ndarray, *, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Plots the boundary features of an image: a heatmap for each facet, with a description of its constraint.

        Each heatmap is the gradient of a constraint, in units of its largest entry: increasing red pixels moves the input away from that
        facet, increasing blue pixels moves it toward the facet.

        Args:
            image: The sample, `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, or in the layout of the model.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure: the image, and a heatmap for each facet.

        Raises:
            ValueError: If the facets do not belong to an image of this shape, or there are none.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox
        >>> layers = [keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
        >>> x = np.random.default_rng(0).random((1, 6, 6, 1))
        >>> (facets,) = OpenBox(keras.Sequential(layers))(x, verbose=0).nearest_facets(3, verbose=0)
        >>> len(facets.plot(x[0]).axes)
        5
        """
        return drawn("features", "boundary_plot", self, image, path=path)

    def _summary(self) -> str:
        nearest = f", the nearest at a distance of {self.distance.min():.3g}" if len(self) else ""
        return f"of a polytope: {len(self):,} of shape {shapes(self.normal)}{nearest}"

    def _facts(self) -> dict[str, Any]:
        few = zip(self.distance[:10], self.reason, strict=False)
        return {f"{number}. at a distance of {distance:.3g}": reason for number, (distance, reason) in enumerate(few, 1)}
