"""The nearest facets of polytopes, certified without a linear program."""

import numpy as np
from keras import ops

from keras_xai.data.checks import is_number
from keras_xai.openbox.programs import Programs
from keras_xai.openbox.space import Space

# A constraint counts as reached if its value falls below this fraction of its value at the sample.
_REACHED = 1e-9

DUAL = {1: np.inf, 2: 2, np.inf: 1}


def check_norm(norm) -> None:
    """Raises a `ValueError` if `norm` is not supported."""
    if not is_number(norm) or norm not in list(DUAL):
        raise ValueError(f"Expected `norm` to be 1, 2 or numpy.inf. Received: norm={norm!r}")


def towards(normals: np.ndarray, norm: float) -> np.ndarray:
    """The steps of length 1 in `norm` that minimize `normals . step`; normals `(n, d)`."""
    if norm == 2:
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return -normals / np.where(length > 0, length, 1)
    if norm == np.inf:
        return -np.sign(normals)
    largest = np.abs(normals).argmax(axis=1)[:, None]
    step = np.zeros_like(normals)
    np.put_along_axis(step, largest, -np.sign(np.take_along_axis(normals, largest, axis=1)), axis=1)
    return step


class NearestFacets:
    """Finds facets of the polytopes of a batch of samples, nearest first.

    A wall is a facet if the projection of the sample onto its plane satisfies all other constraints: it is then part of the polytope's
    surface. The network is evaluated at the projection with the activation pattern held fixed.

    Args:
        geometry: The programs.
        space: The input space.
        batch_size: Points per forward pass.
        norm: 1, 2 or infinity.
    """

    def __init__(self, geometry: Programs, space: Space, batch_size: int, norm: float):
        self._geometry = geometry
        self._space = space
        self._batch_size = batch_size
        self._norm = norm

    def find(self, batch: list[np.ndarray], k: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each sample `(indices, distances, normals)` of its k nearest certified facets, or fewer if it does not have k."""
        n = len(batch[0])
        num_walls = self._geometry.layout(batch).num_walls
        values = ops.convert_to_numpy(self._geometry.values(batch, batch))
        width = max(1, self._batch_size // n)
        found: list[list] = [[] for _ in range(n)]
        judged = np.zeros(n, int)
        count = 0
        while count < num_walls and any(len(each) < k for each in found):
            count = min(num_walls, max(2 * count, 4 * k, 16))
            distances, indices = (
                ops.convert_to_numpy(each) for each in self._geometry.nearest(batch, DUAL[self._norm], count, width)
            )
            available = np.isfinite(distances).sum(axis=1)
            while True:
                # Only as many as needed: most of the nearest walls are facets.
                more = np.minimum([k - len(each) for each in found], available - judged)
                samples = np.repeat(np.arange(n), more)
                if not len(samples):
                    break
                places = np.concatenate([np.arange(first, first + number) for first, number in zip(judged, more, strict=True)])
                judged += more
                walls, reach = indices[samples, places], distances[samples, places]
                for sample, wall, distance, normal in self._judged(batch, values, samples, walls, reach):
                    if normal is not None:
                        found[sample].append((wall, distance, normal))
        return [_stacked(each, self._space.num_dims) for each in found]

    def _judged(self, batch, values, samples, walls, distances):
        """Yields each candidate with its normal, `None` if it is not certified."""
        for start in range(0, len(samples), self._batch_size):
            part = slice(start, start + self._batch_size)
            candidates = samples[part], walls[part], distances[part]
            yield from zip(*candidates, self._judge(batch, values, *candidates), strict=True)

    def _judge(self, batch, values, samples, walls, distances):
        """The normal of each candidate, or `None` if it is not certified."""
        x = [array[samples] for array in batch]
        normals = self._normals(x, walls)
        steps = distances[:, np.newaxis] * towards(normals, self._norm)
        projections = [array + step for array, step in zip(x, self._space.arrays(steps), strict=True)]
        at_projections = ops.convert_to_numpy(self._geometry.values(x, projections))
        at_samples = values[samples]
        rounding = 1e-14 * np.max(at_samples, axis=1, where=np.isfinite(at_samples), initial=0)[:, np.newaxis]
        moved = at_projections < at_samples - rounding
        reached = moved & (at_projections <= _REACHED * at_samples + rounding)
        reached[np.arange(len(walls)), walls] = False
        crossed = moved & (at_projections < -_REACHED * at_samples - rounding)
        crossed[np.arange(len(walls)), walls] = False
        judgement = []
        for c, (wall, normal) in enumerate(zip(walls, normals, strict=True)):
            ties = np.flatnonzero(reached[c])
            alone = not crossed[c].any() and (not len(ties) or (ties.min() > wall and self._same(x, c, ties, normal)))
            judgement.append(normal if alone else None)
        return judgement

    def _same(self, x, candidate, ties, normal):
        """Whether other walls reached at the projection are the same plane, like the walls of dependent units."""
        others = self._normals([np.repeat(array[[candidate]], len(ties), axis=0) for array in x], ties)
        cosine = others @ normal / (np.linalg.norm(others, axis=1) * np.linalg.norm(normal))
        return bool((cosine > 1 - 1e-12).all())

    def _normals(self, x, walls):
        return self._space.vectors([ops.convert_to_numpy(a) for a in self._geometry.normals(x, walls.astype("int32"))])


def _stacked(facets, num_dims):
    """A list of `(index, distance, normal)` as three arrays."""
    indices, distances, normals = zip(*facets, strict=True) if facets else ((), (), ())
    return np.array(indices, int), np.array(distances, float), np.array(normals, float).reshape(-1, num_dims)
