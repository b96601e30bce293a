"""Convex polygons in the unit square: vertices `(v, 2)`, counter-clockwise, and a label for each edge to the next vertex."""

import math
from collections.abc import Sequence

import numpy as np

# Narrower polygons in the unit square may result from rounding of the cuts alone.
WIDTH = 1e-13
# A line that cuts less deep leaves a polygon unchanged.
_DEPTH = 1e-14

UNIT_SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def area(polygon: np.ndarray) -> float:
    """The area, positive."""
    if len(polygon) < 3:
        return 0.0
    x, y = (polygon - polygon[0]).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def is_sliver(polygon: np.ndarray, width: float = WIDTH) -> bool:
    """Whether a polygon is so narrow that it may be due to rounding error."""
    if len(polygon) < 3:
        return True
    twice_area, perimeter = 0.0, 0.0
    points = polygon.tolist()  # faster than arrays for few vertices
    x, y = points[0]
    for (px, py), (qx, qy) in zip(points, [*points[1:], *points[:1]], strict=True):
        twice_area += (px - x) * (qy - y) - (qx - x) * (py - y)
        perimeter += math.hypot(qx - px, qy - py)
    return twice_area <= width * perimeter


def clip(polygon: np.ndarray, labels: Sequence[int], values: np.ndarray, label: int) -> tuple[np.ndarray, list[int]]:
    """The part of a polygon where an affine function is not negative.

    Args:
        polygon: Vertices `(v, 2)`.
        labels: `(v,)`.
        values: `(v,)`, the function at the vertices.
        label: Label of the edge along which the polygon is cut.

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
        distances: `(m,)`, distances of the lines from a point in all half-planes: the nearest are processed first.

    Returns:
        Vertices, and for each edge the index of its half-plane, or -1 for a side of the square.
    """
    polygon, labels = UNIT_SQUARE, [-1] * 4
    waiting = np.argsort(distances, kind="stable")
    while len(polygon):
        # All at once: most lines do not cut the polygon left by the first few.
        depths = (normals[waiting] @ polygon.T).min(axis=1) + offsets[waiting]
        waiting = waiting[depths < -_DEPTH]
        if not len(waiting):
            break
        first, waiting = waiting[0], waiting[1:]
        polygon, labels = clip(polygon, labels, polygon @ normals[first] + offsets[first], int(first))
    return polygon, labels


def subtract(polygon: np.ndarray, normals: np.ndarray, offsets: np.ndarray, width: float) -> list[np.ndarray] | None:
    """The remainder of a polygon without the points where `normals . p + offsets >= 0`.

    Args:
        polygon: Vertices `(v, 2)`.
        normals: `(k, 2)`, of length 1.
        offsets: `(k,)`.
        width: Width of slivers.

    Returns:
        Convex polygons without slivers; `None` if only slivers would be removed.
    """
    parts = []
    for normal, offset in zip(normals, offsets, strict=True):
        values = polygon @ normal + offset
        if values.min() >= -_DEPTH:
            continue
        parts.append(side(polygon, -values))
        polygon = side(polygon, values)
        if is_sliver(polygon, width):
            return None
    return [part for part in parts if not is_sliver(part, width)]


def side(polygon: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`clip` without labels."""
    return clip(polygon, [0] * len(polygon), values, 0)[0]
