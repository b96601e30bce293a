"""Tiling of the unit square of a plane by regions: samples the centers of uncovered parts until none are left."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_xai.openbox.partition.polygon import UNIT_SQUARE, WIDTH, intersect, is_sliver, side, subtract
from keras_xai.openbox.partition.section import Section


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """A region in the unit square.

    Attributes:
        name: Name of the region.
        polygon: Vertices `(v, 2)`, counter-clockwise.
        walls: For each edge, the index of its wall in the flat list of walls, -1 for a side of the square.
        scores: `(C,)`, the scores of its linear piece at the origin.
        slopes: `(C, 2)`, derivatives of the scores.
    """

    name: str
    polygon: np.ndarray
    walls: list[int]
    scores: np.ndarray
    slopes: np.ndarray


def tiles(section: Section) -> Iterator[list[Tile]]:
    """All regions in the unit square of a plane, batch by batch.

    Args:
        section: The plane.
    """
    width = max(WIDTH, section.resolution)
    uncovered = _Uncovered(width)
    known: set[str] = set()
    while len(uncovered):
        batch = uncovered.first(section.batch_size)
        centers = np.stack([polygon.mean(axis=0) for polygon in batch.values()])
        views = section.views(centers)
        found = []
        for i, (key, center) in enumerate(zip(batch, centers, strict=True)):
            if key not in uncovered:  # covered by another region of the same batch
                continue
            lengths = np.linalg.norm(views.wall_slopes[i], axis=1)
            moving = np.flatnonzero(lengths)
            normals = views.wall_slopes[i, moving] / lengths[moving, np.newaxis]
            distances = views.walls[i, moving] / lengths[moving]
            offsets = distances - normals @ center
            polygon, labels = intersect(normals, offsets, distances)
            edges = sorted({label for label in labels if label >= 0})
            if not is_sliver(polygon, width):
                uncovered.remove(polygon, normals[edges], offsets[edges])
                # A known region is found again where rounding error left a part of it uncovered.
                if views.names[i] not in known:
                    known.add(views.names[i])
                    at_zero = views.scores[i] - views.slopes[i] @ center
                    walls = [int(moving[label]) if label >= 0 else -1 for label in labels]
                    found.append(Tile(views.names[i], polygon, walls, at_zero, views.slopes[i]))
            if key in uncovered:
                # The center is on several walls at once, and its region is flat or touches this part in one point.
                uncovered.split(key, normals[distances.argmin()])
        yield found


class _Uncovered:
    """The uncovered part of the unit square, as convex polygons."""

    def __init__(self, width: float):
        self._width = width  # narrower slivers are discarded
        self._polygons = {0: UNIT_SQUARE}
        self._count = 1
        self._keys = np.array([0])
        self._limits = np.array([[0.0, 0.0, 1.0, 1.0]])  # minimum and maximum coordinates of each

    def __len__(self) -> int:
        return len(self._polygons)

    def __contains__(self, key: int) -> bool:
        return key in self._polygons

    def first(self, count: int) -> dict[int, np.ndarray]:
        """The oldest polygons, by key."""
        return {int(key): self._polygons[int(key)] for key in self._keys[:count]}

    def remove(self, polygon: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> None:
        """Removes a convex polygon whose edges are the lines `normals . p + offsets = 0`."""
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        near = ((self._limits[:, :2] <= high) & (self._limits[:, 2:] >= low)).all(axis=1)
        replaced = {}
        for key in self._keys[near].tolist():
            parts = subtract(self._polygons[key], normals, offsets, self._width)
            if parts is not None:
                replaced[key] = parts
        self._replace(replaced)

    def split(self, key: int, normal: np.ndarray) -> None:
        """Splits one of the polygons through its center, along a line orthogonal to `normal`."""
        polygon = self._polygons[key]
        values = (polygon - polygon.mean(axis=0)) @ normal
        parts = [side(polygon, sign * values) for sign in (1, -1)]
        self._replace({key: [part for part in parts if not is_sliver(part, self._width)]})

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
