"""`Walls`: the nearest wall of the polytope of each sample."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.text import counted, shapes


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Walls(Rows):
    """The nearest wall of the polytope of each of n samples.

    Attributes:
        distance: `(n,)`, in the chosen norm; `inf` if the polytope is the whole space.
        direction: A step of length 1 in that norm, in the samples' shape; `x + distance * direction` is on the wall.
        layer: Paths of the layers whose unit changes its piece at the wall, `None` if there is no wall.
        unit: Index of that unit in its layer, without the batch dimension. For a choice among candidates (max pooling), the index of the
            competing candidate in the array of shape `(*windows, candidates, channels)`.
    """

    distance: np.ndarray
    direction: Any
    layer: tuple[str | None, ...]
    unit: tuple[tuple[int, ...] | None, ...]

    _row_axes: ClassVar[Mapping[str, int]] = {"distance": 0, "direction": 0}
    _row_lists: ClassVar[tuple[str, ...]] = ("layer", "unit")

    def _summary(self) -> str:
        return f"of {counted(len(self), 'sample')} of shape {shapes(self.direction)}"

    def _facts(self) -> dict[str, Any]:
        found = collections.Counter(layer for layer in self.layer if layer is not None)
        return {
            "distances": self.distance,
            "median distance": float(np.median(self.distance)) if len(self) else None,
            "layers": ", ".join(f"{layer} ({count})" for layer, count in found.most_common(5)) or None,
        }
