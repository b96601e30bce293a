"""`Counterfactuals`: the nearest input of each sample's region in another class."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.text import counted, shapes


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Counterfactuals(Rows):
    """For each of n samples, the nearest input within its region and box that the network assigns to another class.

    Attributes:
        x: `(n, *input_shape)`; NaN if the region has no such input.
        label: `(n,)` index of the winning class, -1 if there is none.
        distance: `(n,)`, distance from the sample in the chosen norm; `inf` if there is none.
        plane_distance: `(n,)`, the distance to the nearest decision boundary of the linear piece, extended beyond the region: a lower bound
            for `distance`.
        verified: `(n,)` booleans: whether the network, run on `x` in float64, predicts class `label`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    >>> model.layers[0].set_weights([np.array([[3.0], [4.0]]), np.array([-5.0])])
    >>> found = OpenBox(model, dtype="float64")(np.zeros((1, 2)), verbose=0).counterfactuals(verbose=0)
    >>> found.x.round(3).tolist(), found.label.tolist(), found.verified.tolist()
    ([[0.6, 0.8]], [1], [True])
    """

    x: Any
    label: np.ndarray
    distance: np.ndarray
    plane_distance: np.ndarray
    verified: np.ndarray

    _row_axes: ClassVar[Mapping[str, int]] = {"x": 0, "label": 0, "distance": 0, "plane_distance": 0, "verified": 0}

    def _summary(self) -> str:
        return f"of {counted(len(self), 'sample')} of shape {shapes(self.x)}: {int((self.label >= 0).sum()):,} found"

    def _facts(self) -> dict[str, Any]:
        return {
            "verified by the network": f"{int(self.verified.sum()):,} of {int((self.label >= 0).sum()):,}",
            "distances": self.distance,
            "distances to the nearest plane": self.plane_distance,
        }
