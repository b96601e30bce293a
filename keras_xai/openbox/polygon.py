"""Convex polygons: vertices `(v, 2)`, counter-clockwise, and a label for each edge, that from a vertex to the next.

All functions are meant for polygons in the unit square: what is narrower than `WIDTH` is rounding error.
"""

from collections.abc import Sequence

import numpy as np

WIDTH = 1e-13
# A line that cuts no deeper leaves a polygon as it is.
_DEPTH = 1e-14

UNIT_SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def area(polygon: np.ndarray) -> float:
    """The area, positive."""
    if len(polygon) < 3:
        return 0.0
    x, y = (polygon - polygon[0]).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def is_sliver(polygon: np.ndarray) -> bool:
    """Whether a polygon is so narrow that rounding error may have made it."""
    if len(polygon) < 3:
        return True
    perimeter = np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T).sum()
    return 2 * area(polygon) <= WIDTH * perimeter


def clip(polygon: np.ndarray, labels: Sequence[int], values: np.ndarray, label: int) -> tuple[np.ndarray, list[int]]:
    """The part of a polygon where an affine function is not negative.

    Args:
        polygon: Vertices `(v, 2)`.
        labels: `(v,)`.
        values: `(v,)`, the function at the vertices.
        label: Of the edge along which the polygon is cut.

    Returns:
        Vertices and labels; no vertices if nothing is left.
    """
    points, heights = polygon.tolist(), values.tolist()
    kept, names = [], []
    for i, (a, b) in enumerate(zip(heights, [*heights[1:], *heights[:1]], strict=True)):
        if a >= 0:
            kept.append(points[i])
            names.append(label if a == 0 and b < 0 else labels[i])
        if (a > 0 and b < 0) or (a < 0 and b > 0):
            (px, py), (qx, qy) = points[i], points[(i + 1) % len(points)]
            share = a / (a - b)
            kept.append([px + share * (qx - px), py + share * (qy - py)])
            names.append(label if a > 0 else labels[i])
    return np.array(kept).reshape(-1, 2), names


def intersect(normals: np.ndarray, offsets: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The part of the unit square in which `normals . p + offsets >= 0`.

    Args:
        normals: `(m, 2)`, of length 1.
        offsets: `(m,)`.
        distances: `(m,)`, of a point in all half-planes from their lines: the nearest are taken first.

    Returns:
        Vertices, and for each edge the index of its half-plane, or -1 for a side of the square.
    """
    polygon, labels = UNIT_SQUARE, [-1] * 4
    waiting = np.argsort(distances, kind="stable")
    while len(polygon):
        # All at once: most lines do not cut what the first few have left.
        depths = (normals[waiting] @ polygon.T).min(axis=1) + offsets[waiting]
        waiting = waiting[depths < -_DEPTH]
        if not len(waiting):
            break
        first, waiting = waiting[0], waiting[1:]
        polygon, labels = clip(polygon, labels, polygon @ normals[first] + offsets[first], int(first))
    return polygon, labels


def subtract(polygon: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> list[np.ndarray] | None:
    """What is left of a polygon without the points where `normals . p + offsets >= 0`.

    Args:
        polygon: Vertices `(v, 2)`.
        normals: `(k, 2)`, of length 1.
        offsets: `(k,)`.

    Returns:
        Convex polygons, slivers left out; `None` if there is nothing to take away but slivers.
    """
    parts = []
    for normal, offset in zip(normals, offsets, strict=True):
        values = polygon @ normal + offset
        if values.min() >= -_DEPTH:
            continue
        parts.append(side(polygon, -values))
        polygon = side(polygon, values)
        if is_sliver(polygon):
            return None
    return [part for part in parts if not is_sliver(part)]


def side(polygon: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`clip` without labels."""
    return clip(polygon, [0] * len(polygon), values, 0)[0]


class Uncovered:
    """The part of the unit square that no region covers yet, as convex polygons."""

    def __init__(self):
        self._polygons = {0: UNIT_SQUARE}
        self._count = 1
        self._keys = np.array([0])
        self._limits = np.array([[0.0, 0.0, 1.0, 1.0]])  # least and greatest coordinates of each

    def __len__(self) -> int:
        return len(self._polygons)

    def __contains__(self, key: int) -> bool:
        return key in self._polygons

    def first(self, count: int) -> dict[int, np.ndarray]:
        """The polygons that have been there longest, by key."""
        return {int(key): self._polygons[int(key)] for key in self._keys[:count]}

    def remove(self, polygon: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> None:
        """Takes a convex polygon away, whose edges are the lines `normals . p + offsets = 0`."""
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        near = ((self._limits[:, :2] <= high) & (self._limits[:, 2:] >= low)).all(axis=1)
        replaced = {}
        for key in self._keys[near].tolist():
            parts = subtract(self._polygons[key], normals, offsets)
            if parts is not None:
                replaced[key] = parts
        self._replace(replaced)

    def split(self, key: int, normal: np.ndarray) -> None:
        """Cuts one of the polygons in two through its center, along a line across `normal`."""
        polygon = self._polygons[key]
        values = (polygon - polygon.mean(axis=0)) @ normal
        parts = [side(polygon, sign * values) for sign in (1, -1)]
        self._replace({key: [part for part in parts if not is_sliver(part)]})

    def _replace(self, replaced):
        if not replaced:
            return
        added = [part for parts in replaced.values() for part in parts]
        start, self._count = self._count, self._count + len(added)
        for key in replaced:
            del self._polygons[key]
        self._polygons.update(enumerate(added, start))
        stay = ~np.isin(self._keys, list(replaced))
        limits = [np.concatenate([part.min(axis=0), part.max(axis=0)]) for part in added]
        self._keys = np.concatenate([self._keys[stay], np.arange(start, self._count)])
        self._limits = np.concatenate([self._limits[stay], np.reshape(limits, (-1, 4))])
