"""Exact two-dimensional slices of the partition of a network into its linear pieces."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import Verbose, check_flag, real_array, short
from keras_xai.data.progress import progress
from keras_xai.openbox.engine import Engine
from keras_xai.openbox.partition.decisions import Boundary, Cells, divide
from keras_xai.openbox.partition.polygon import area
from keras_xai.openbox.partition.section import Section, read_inputs
from keras_xai.openbox.partition.tiling import tiles
from keras_xai.openbox.scores import decisive
from keras_xai.results.base import Shown
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Margin of the default limits on each side, relative to the extent of the three inputs.
_MARGIN = 0.25
# Two directions at a smaller angle count as equal.
_PARALLEL = 1e-8


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Plane(Shown):
    """A rectangle in a plane of the input space, divided into the linear pieces of a network. Returned by `plane`.

    Points of the plane are pairs `(s, t)`. Polygons are convex, with counter-clockwise vertices.

    Attributes:
        polygons: The n linear pieces in the rectangle, each `(v, 2)`.
        region_id: `(n,)` strings, names of the regions, as in `LinearPieces`.
        areas: `(n,)`, the share of each polygon in the rectangle's area.
        coef: `(n, C, 2)`, the derivatives of the scores with respect to s and t on each polygon.
        intercept: `(n, C)`: the scores at a point p of polygon i are `coef[i] p + intercept[i]`.
        layers: Paths of the layers that have walls, in the order of the network's calls.
        edge_layers: For each polygon `(v,)`, the index in `layers` of the layer whose unit changes at each edge, which goes from a vertex
            to the next; -1 for a side of the rectangle.
        limits: `((lowest s, highest s), (lowest t, highest t))` of the rectangle.
        marks: `(3, 2)`, the coordinates of the three inputs.
    """

    polygons: list[np.ndarray]
    region_id: np.ndarray
    areas: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    layers: tuple[str, ...]
    edge_layers: list[np.ndarray]
    limits: tuple[tuple[float, float], tuple[float, float]]
    marks: np.ndarray
    _section: Section

    def __len__(self) -> int:
        return len(self.polygons)

    def plot(
        self,
        *,
        class_names: Sequence[str] | None = None,
        input_names: Sequence[str] | None = None,
        images: Sequence[np.ndarray] | None = None,
        by_layer: bool = False,
        mark_inputs: bool = True,
        x: Any = None,
        y: Any = None,
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the linear pieces and the decision boundary to scale: distances are those in the input space.

        Each linear piece has its own shade of the color of the predicted class. Walls are thin and white, the decision boundary is dark,
        and the three inputs are marked. The axes are the two entries of the inputs that change, if there are no more; else the distance
        from the first input toward the second, and from the line through both.

        Args:
            class_names: Names of all classes of the model; their indices by default.
            input_names: Names of the three inputs.
            images: Three images, `(height, width)` or `(height, width, 1 or 3)`, to show next to the marks of the inputs.
            by_layer: Whether to color the walls by the layer whose unit changes there, with pale pieces.
            mark_inputs: Whether to mark the three inputs.
            x: Samples in the form that the model takes, drawn at their nearest points of the plane, the paler the farther from it; of those
                within the rectangle up to 500, the nearest.
            y: Their class indices `(n,)`, shown as colors; by default the classes that the network predicts for the samples themselves,
                which may differ from those of the plane there.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If the number of names or images does not match the number of classes or inputs.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox
        >>> model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
        >>> through = OpenBox(model).plane(*np.random.default_rng(0).normal(size=(3, 5)), verbose=0)
        >>> figure = through.plot(class_names=["cat", "dog", "bird"], input_names=["a", "b", "c"])
        >>> len(figure.axes[0].collections[0].get_paths()) == len(through.cells.polygons)
        True
        """
        return drawn(
            "partition",
            "plane_plot",
            self,
            class_names=class_names,
            input_names=input_names,
            images=images,
            by_layer=by_layer,
            mark_inputs=mark_inputs,
            x=x,
            y=y,
            path=path,
        )

    def _summary(self) -> str:
        return f"of {counted(len(self), 'linear piece')}"

    def _facts(self) -> dict[str, Any]:
        return {"limits": self.limits, "classes": listed(np.unique(self.cells.classes)), "gap of the areas": self.gap}

    def _picture(self) -> "Figure":
        return self.plot()

    @property
    def gap(self) -> float:
        """The deviation of the sum of all areas from 1: area left uncovered or covered twice due to rounding."""
        return abs(float(self.areas.sum()) - 1)

    @property
    def cells(self) -> Cells:
        """The polygons, divided by the predicted class."""
        return self._divided[0]

    @property
    def boundary(self) -> Boundary:
        """The decision boundary. If two scores are equal on a whole polygon, the lower class wins without a boundary."""
        return self._divided[1]

    def inputs(self, points: Any) -> Any:
        """Returns the inputs at points of the plane.

        Args:
            points: `(n, 2)`.

        Returns:
            `(n, *input_shape)`, in the structure of the model's inputs.
        """
        return self._section.inputs(_points(points))

    def project(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the points of the plane that are nearest to samples.

        Args:
            x: Samples in the form that the model takes.

        Returns:
            The points `(n, 2)`; the Euclidean distances of the samples from the plane, `(n,)`; and the classes `(n,)` that the network
            predicts for the samples themselves.
        """
        points, distances, scores = self._section.project(x)
        return points, distances, decisive(scores).argmax(axis=1)

    def scores(self, points: Any) -> np.ndarray:
        """Returns the network's scores at points of the plane, from the linear pieces alone.

        Args:
            points: `(n, 2)`.

        Returns:
            `(n, C)`; NaN outside the rectangle.
        """
        points = _points(points)
        piece = self.find(points)
        scores = np.einsum("nck,nk->nc", self.coef[piece], points) + self.intercept[piece]
        return np.where((piece < 0)[:, np.newaxis], np.nan, scores)

    def find(self, points: Any) -> np.ndarray:
        """Returns the polygon that contains each point.

        Args:
            points: `(n, 2)`.

        Returns:
            `(n,)`, indices of polygons; either neighbor for a point on an edge, and -1 outside the rectangle.
        """
        unit = self._to_unit(_points(points))
        order = np.argsort(unit[:, 0], kind="stable")
        ordered = unit[order]
        found = np.full(len(unit), -1)
        best = np.full(len(unit), -1e-14)  # rounding error may put a point on an edge outside both polygons
        for i, polygon in enumerate(self._unit_polygons):
            low, high = np.searchsorted(ordered[:, 0], [polygon[:, 0].min() - 1e-13, polygon[:, 0].max() + 1e-13])
            near = order[low:high]
            to_point = unit[near][:, np.newaxis] - polygon
            edges = np.roll(polygon, -1, axis=0) - polygon
            inside = (edges[:, 0] * to_point[..., 1] - edges[:, 1] * to_point[..., 0]).min(axis=1)
            better = inside > best[near]
            best[near[better]] = inside[better]
            found[near[better]] = i
        return found

    def lengths(self, points: Any) -> np.ndarray:
        """Converts points to orthonormal coordinates, whose distances are Euclidean distances in the input space.

        Args:
            points: `(n, 2)`.

        Returns:
            `(n, 2)`. The origin and the direction of the first axis are those of `(s, t)`.
        """
        along, across = self._section.axes
        length = np.linalg.norm(along)
        shear = across @ along / length
        return _points(points) @ np.array([[length, 0.0], [shear, np.linalg.norm(across - shear * along / length)]])

    @property
    def entry_names(self) -> tuple[str, ...] | None:
        """Names of the two entries of the inputs that change in the plane, if there are no more; else `None`."""
        entries = self._section.entries
        return None if entries is None else tuple(self._section.entry_name(entry) for entry in entries)

    def places(self, points: Any) -> np.ndarray:
        """Converts points to the coordinates in which `plot` draws: the two entries of `entry_names`, or else `lengths`."""
        entries = self._section.entries
        return self.lengths(points) if entries is None else self._section.vectors(_points(points))[:, list(entries)]

    @functools.cached_property
    def _divided(self):
        cells, boundary = divide(self._unit_polygons, *(decisive(each) for each in self._unit_scores()))
        return (
            dataclasses.replace(cells, polygons=[self._from_unit(polygon) for polygon in cells.polygons]),
            dataclasses.replace(boundary, segments=self._from_unit(boundary.segments)),
        )

    @functools.cached_property
    def _unit_polygons(self):
        return [self._to_unit(polygon) for polygon in self.polygons]

    def _unit_scores(self):
        low, high = np.transpose(self.limits)
        return self.coef * (high - low), self.intercept + self.coef @ low

    def _to_unit(self, points):
        low, high = np.transpose(self.limits)
        return (points - low) / (high - low)

    def _from_unit(self, points):
        low, high = np.transpose(self.limits)
        return low + points * (high - low)


def plane(
    box: Engine,
    corner: Any,
    second: Any,
    third: Any,
    *,
    limits: Sequence[Sequence[float]] | None = None,
    orthonormal: bool = False,
    verbose: Verbose = "auto",
) -> Plane:
    """Divides a rectangle of the plane through three inputs into the linear pieces of a network, exactly.

    In the plane every constraint of a region is affine, so the region is a convex polygon whose edges follow exactly from one of its
    points. The centers of uncovered polygons are evaluated until none is left, without a step size or grid. The cost is about one forward
    pass and two directional derivatives per polygon, in batches of the box's size.

    Args:
        box: The box of the network.
        corner: One input, in the structure of the model's inputs, with or without a batch dimension of one.
        second: Another input.
        third: A third input, not on the line through the first two.
        limits: `((lowest s, highest s), (lowest t, highest t))` of the rectangle. By default the smallest rectangle that contains the three
            inputs, with a margin of a quarter of its extent on each side.
        orthonormal: The coordinates `(s, t)`. `False` for those of `corner + s (second - corner) + t (third - corner)`; `True` for
            Euclidean lengths from the corner along two orthogonal directions, the first from the corner to the second input, the other on
            the side of the third.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        `Plane`.

    Raises:
        ValueError: If the inputs do not fit the model or lie on one line, or if the limits are invalid.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((5,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> box = OpenBox(model, dtype="float64")
    >>> corner, second, third = np.random.default_rng(0).normal(size=(3, 5))
    >>> slice_ = box.plane(corner, second, third, verbose=0)
    >>> slice_.gap < 1e-9
    True
    >>> points = np.array([[0.1, 0.2], [0.5, 0.5]])
    >>> inside = box(slice_.inputs(points), verbose=0)
    >>> bool((slice_.region_id[slice_.find(points)] == inside.region_id).all())
    True
    >>> np.allclose(slice_.scores(points), inside.scores, atol=1e-12)
    True

    Reference:

    - [Humayun et al., 2023](https://arxiv.org/abs/2302.12828) compute such slices by traversing the layers.
    """
    check_flag("orthonormal", orthonormal)
    space, vectors = read_inputs(box, {"corner": corner, "second": second, "third": third})
    along, across, marks = _axes(vectors, orthonormal)
    rectangle = _limits(limits, marks)
    low, high = np.transpose(rectangle)
    axes = np.stack([along, across])
    size = high - low
    # The search runs in the unit square, where rounding error has a uniform scale.
    unit = Section(box, space, vectors[0] + low @ axes, size[:, np.newaxis] * axes)
    pieces = [piece for batch in progress(tiles(unit), None, verbose) for piece in batch]
    coef = np.stack([piece.slopes for piece in pieces]) / size
    groups = unit.geometry.layout(space.arrays(vectors)).groups
    layers = tuple(dict.fromkeys(group.step.path for group in groups))
    # Group 0 is for walls of index -1, the sides.
    starts = [group.start for group in groups]
    layer_of_group = np.array([-1, *(layers.index(group.step.path) for group in groups)])
    return Plane(
        polygons=[low + piece.polygon * size for piece in pieces],
        region_id=np.array([piece.name for piece in pieces]),
        areas=np.array([area(piece.polygon) for piece in pieces]),
        coef=coef,
        intercept=np.stack([piece.scores for piece in pieces]) - coef @ low,
        layers=layers,
        edge_layers=[layer_of_group[np.searchsorted(starts, piece.walls, side="right")] for piece in pieces],
        limits=rectangle,
        marks=marks,
        _section=Section(box, space, vectors[0], axes),
    )


def _axes(vectors, orthonormal):
    """The directions of s and t, and the coordinates of the three inputs."""
    along, across = vectors[1:] - vectors[0]
    length, width = np.linalg.norm([along, across], axis=1)
    if not min(length, width, np.linalg.norm(across - along)) > 0:
        raise ValueError("Expected three different inputs, which define a plane. Received: two equal inputs.")
    upright = across - along * (across @ along / length**2)
    height = np.linalg.norm(upright)
    if height < _PARALLEL * width:
        raise ValueError(
            "Expected three inputs that are not on one line. Received: inputs whose directions from `corner` differ by an angle of "
            f"{height / width:.1e}. Use `line` for the line through two inputs."
        )
    if not orthonormal:
        return along, across, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return along / length, upright / height, np.array([[0.0, 0.0], [length, 0.0], [across @ along / length, height]])


def _limits(limits, marks):
    if limits is None:
        low, high = marks.min(axis=0), marks.max(axis=0)
        limits = np.stack([low - _MARGIN * (high - low), high + _MARGIN * (high - low)], axis=1)
    try:
        array = real_array("limits", limits, "two pairs of numbers").astype("float64")
        given = array if array.shape == (2, 2) else None
    except ValueError:
        given = None
    if given is None or not np.isfinite(given).all() or not (given[:, 0] < given[:, 1]).all():
        raise ValueError(
            f"Expected `limits` to be two pairs (lowest, highest) of finite numbers, that of s and that of t. Received: limits={limits!r}"
        )
    (s_low, s_high), (t_low, t_high) = given.tolist()
    return (s_low, s_high), (t_low, t_high)


def _points(points):
    points = real_array("points", points, "points (s, t) of the plane").astype("float64")
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(
            f"Expected `points` (s, t) of the plane, finite and of shape (n, 2). Received: points={short(points)}"
        )
    return points
