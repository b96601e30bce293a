"""The polytope of a sample: its half-spaces, facets and nearest wall."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import Verbose, is_integer, real_array
from keras_xai.data.progress import Bar
from keras_xai.kinds.expansion import kind_of
from keras_xai.openbox.geometry.redundancy import facets, largest_ball
from keras_xai.openbox.programs import Layout
from keras_xai.openbox.space import Box, Space
from keras_xai.results.facets import Facets


@dataclasses.dataclass(frozen=True, eq=False)
class Label:
    """The origin of a half-space.

    Attributes:
        layer: Path of the layer; `"input"` for a side of the input box.
        unit: Index of the unit in that layer, without the batch dimension. For a choice among candidates (max pooling), the index of the
            competing candidate in the array of shape `(*windows, candidates, channels)`.
        reason: Description of the half-space's constraint.
    """

    layer: str
    unit: tuple[int, ...]
    reason: str


def labels_of(layout: Layout, patterns: Sequence[np.ndarray]) -> Callable[[int], Label]:
    """Returns a function from a wall's index in the flat list of all walls to its `Label`.

    Args:
        layout: The order of the walls.
        patterns: The patterns of one sample, without the batch dimension.
    """

    def label(index):
        group, unit = layout.locate(index)
        reason = kind_of(group.step).reason(group.step, patterns[group.pattern], group.number, unit)
        return Label(group.step.path, unit, reason)

    return label


def describe(normals: np.ndarray, values: np.ndarray, labels: Sequence[Label], space: Space) -> Facets:
    """`Facets` of rows `(k, d)`, nearest first."""
    distances = values / np.linalg.norm(normals, axis=1) if len(normals) else np.zeros(0)
    order = np.argsort(distances, kind="stable")
    chosen = [labels[i] for i in order]
    return Facets(
        normal=space.packed(normals[order]),
        value=values[order],
        distance=distances[order],
        layer=tuple(label.layer for label in chosen),
        unit=tuple(label.unit for label in chosen),
        reason=tuple(label.reason for label in chosen),
        layout=space.pack(list(space.layouts)) if space.layouts else None,
    )


class Polytope:
    """The polytope of one sample, returned by `LinearPieces.polytope`: all constraints, redundant ones included.

    It contains arrays only, no model. Constraint j is `normals[j] . (x' - x) + values[j] >= 0`.

    Attributes:
        x: The sample, `(*input_shape,)`.
        normals: `(m, *input_shape)`.
        values: `(m,)`, the constraints' nonnegative values at the sample.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> hidden = keras.layers.Dense(3, "relu", name="hidden")
    >>> model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(2)])
    >>> hidden.set_weights([np.array([[1, 0, 1], [0, 1, 1]]), np.array([1, 1, 9])])  # 1 + x0, 1 + x1, 9 + x0 + x1
    >>> local = OpenBox(model, dtype="float64")(np.zeros((1, 2)), verbose=0)
    >>> facets = local.polytope(0, bounds=(-5, 5)).facets()
    >>> for reason, distance in zip(facets.reason[:2], facets.distance[:2]):
    ...     print(reason, "at a distance of", distance)
    the input of unit (0,) of hidden.relu stays above 0 at a distance of 1.0
    the input of unit (1,) of hidden.relu stays above 0 at a distance of 1.0
    >>> facets.reason[2:]  # what keeps 9 + x0 + x1 above 0 is implied
    ('entry (0,) of the input stays below 5', 'entry (1,) of the input stays below 5')

    Reference:

    - [Chu et al., 2018](https://doi.org/10.1145/3219819.3220063), where the normals are called boundary features.
    """

    def __init__(
        self, *, x: np.ndarray, normals: np.ndarray, values: np.ndarray, label: Callable[[int], Label], space: Space, box: Box
    ):
        """See `LinearPieces.polytope`.

        Args:
            x: `(d,)`.
            normals: `(m, d)`, zero for constant walls.
            values: `(m,)`.
            label: Maps a row's index to its `Label`.
            space: The input space.
            box: Limits of the inputs, whose sides are appended to the rows.
        """
        walls = np.flatnonzero(np.isfinite(values) & normals.any(axis=1))
        below, above = np.flatnonzero(np.isfinite(box.lower)), np.flatnonzero(np.isfinite(box.upper))
        unit = np.eye(len(x))
        self._rows = np.vstack([normals[walls], unit[below], -unit[above]])
        self.values = np.concatenate([values[walls], (x - box.lower)[below], (box.upper - x)[above]])
        self._walls, self._sides = walls, [*((i, True) for i in below), *((i, False) for i in above)]
        self._label, self._space, self._box, self._x = label, space, box, x
        self.x = space.packed(x)
        self.normals = space.packed(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        # Labels are found by a function of the network's steps.
        walls = (int(wall) for wall in self._walls)
        return self.__dict__ | {"_label": {wall: self._label(wall) for wall in walls}.__getitem__}

    def __len__(self) -> int:
        return len(self.values)

    def label(self, index: int) -> Label:
        """Returns the layer, unit and meaning of a constraint.

        Args:
            index: Index of the constraint.
        """
        if not is_integer(index) or not 0 <= index < len(self):
            raise IndexError(
                f"Expected `index` to be that of a constraint, from 0 to {len(self) - 1}. Received: index={index!r}"
            )
        if index < len(self._walls):
            return self._label(int(self._walls[index]))
        dimension, lower = self._sides[index - len(self._walls)]
        limit = self._box.lower[dimension] if lower else self._box.upper[dimension]
        number, unit = self._space.unit(int(dimension))
        name = f"entry {unit} of the input" + (f" {number}" if len(self._space.shapes) > 1 else "")
        return Label("input", unit, f"{name} stays {'above' if lower else 'below'} {limit:g}")

    def facets(self, *, verbose: Verbose = "auto") -> Facets:
        """Returns the minimal description: the constraints that no others imply, nearest first.

        Rays and nonnegative least-squares problems decide nearly all constraints; linear programs (SciPy's HiGHS) decide the rest and give
        the initial interior point. This takes seconds for hundreds of constraints in tens of dimensions and is infeasible for images, for
        which `LinearPieces.nearest_facets` finds some facets.

        Args:
            verbose: `"auto"` for a progress bar over the constraints after two seconds, 1 to show it at once, 2 for one line at the end, 0
                for none.

        Returns:
            `Facets`. The first of several constraints of the same half-space stands for all.

        Raises:
            RuntimeError: If the polytope has no interior, which happens at ties, or a linear program fails.
        """
        with Bar(len(self), verbose) as bar:
            found = facets(self._rows, self.values, bar.update)
        return describe(self._rows[found], self.values[found], [self.label(int(i)) for i in found], self._space)

    def center(self) -> tuple[Any, float]:
        """Returns the center and radius of a largest inscribed Euclidean ball: a typical input of the region.

        Returns:
            `(center, radius)`, with the center in the sample's shape.

        Raises:
            RuntimeError: If the polytope is unbounded and contains balls of any radius, as most do without `bounds`.
        """
        if not len(self):
            raise RuntimeError("The polytope is the whole space: give `bounds` to make it bounded.")
        step, radius = largest_ball(self._rows, self.values)
        return self._space.packed(self._x + step), radius

    def contains(self, x: Any) -> np.ndarray:
        """Returns whether points are in the polytope, including the input box.

        Args:
            x: `(n, *input_shape)`, arrays in the structure of the model's inputs.

        Returns:
            `(n,)` booleans, computed from the constraints without a tolerance.
        """
        arrays = [real_array("x", each, "points").astype("float64") for each in keras.tree.flatten(x)]
        shapes = [array.shape[1:] for array in arrays]
        if shapes != list(self._space.shapes):
            raise ValueError(
                f"Expected `x` to be points of shape {list(self._space.shapes)} along the first axis. Received: {shapes}"
            )
        if not all(np.isfinite(array).all() and len(array) for array in arrays):
            raise ValueError("Expected `x` to be at least one finite point. Received: none, NaN or infinity.")
        steps = self._space.vectors(arrays) - self._x
        return (steps @ self._rows.T + self.values >= 0).all(axis=1)
