"""Counterfactuals: the nearest input of another class within a linear region."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from keras_xai.openbox.geometry.nearest import DUAL
from keras_xai.openbox.geometry.projection import Constraints, nearest_step
from keras_xai.openbox.programs import Programs
from keras_xai.openbox.space import Box, Space

_WORST = 32  # violated constraints added at a time


@dataclasses.dataclass(frozen=True, eq=False)
class CompetingClasses:
    """The competing classes of one linear piece, and their margins.

    Attributes:
        labels: `(r,)` class indices.
        margins: `(r,)`, the score margin of the winner over each at the sample.
        normals: `(r, d)`, the gradients of each class's score minus the winner's.
    """

    labels: np.ndarray
    margins: np.ndarray
    normals: np.ndarray

    def distances(self, dual_norm: float) -> np.ndarray:
        """Distance to the plane on which each class's score equals the winner's; `inf` if there is none."""
        lengths = np.linalg.norm(self.normals, ord=dual_norm, axis=1)
        return np.divide(self.margins, lengths, out=np.full(len(lengths), np.inf), where=lengths > 0)


def competing_classes(scores: np.ndarray, coef: np.ndarray, outputs: np.ndarray) -> CompetingClasses:
    """The classes that compete with the predicted one.

    Args:
        scores: `(k,)`; a single score stands for two classes, the second of which wins if it is positive.
        coef: `(k, d)`.
        outputs: `(k,)` class indices.
    """
    if len(scores) == 1:
        scores, coef, outputs = np.append(0.0, scores), np.vstack([np.zeros_like(coef), coef]), np.arange(2)
    winner = int(np.argmax(scores))
    others = np.delete(np.arange(len(scores)), winner)
    return CompetingClasses(outputs[others], scores[winner] - scores[others], coef[others] - coef[winner])


def checked_targets(target: Any, competing: list[CompetingClasses]) -> list[int] | list[None]:
    """Checks the targets and returns one for each sample."""
    if target is None:
        return [None] * len(competing)
    targets = np.asarray(target)
    if targets.dtype.kind not in "iu" or targets.shape not in ((), (len(competing),)):
        raise ValueError(
            f"Expected `target` to be None, a class index, or one for each of {len(competing)} samples. Received: target={target!r}"
        )
    targets = np.broadcast_to(targets, (len(competing),))
    for i, (label, each) in enumerate(zip(targets, competing, strict=True)):
        if label not in each.labels:
            raise ValueError(
                f"Expected `target` of each sample to differ from the predicted class, one of {np.sort(each.labels)} for "
                f"sample {i}. Received: {label}"
            )
    return targets.tolist()


class CounterfactualSearch:
    """Finds the nearest input of another class within one region and box.

    Args:
        geometry: The programs.
        space: The input space.
        box: Limits of the inputs.
        norm: 1, 2 or infinity.
        margin: Score margin by which the other class wins.
        within: Maximum distance of the search.
    """

    def __init__(self, geometry: Programs, space: Space, box: Box, *, norm: float, margin: float, within: float):
        self._geometry = geometry
        self._space = space
        self._box = box
        self._norm = norm
        self._margin = margin
        self._within = within

    def find(self, x: np.ndarray, competing: CompetingClasses, target: int | None) -> tuple[np.ndarray | None, int]:
        """The counterfactual `(d,)` of a sample `(d,)` and its class; `(None, -1)` if there is none."""
        distances = competing.distances(DUAL[self._norm])
        region = _Region(self._geometry, self._space, self._box, x)
        best, label, length = None, -1, self._within
        for other in np.argsort(distances) if target is None else np.flatnonzero(competing.labels == target):
            if not distances[other] < length:  # the plane's distance is a lower bound, in ascending order
                break
            step = self._towards(competing, other, region, length, ahead_of_all=target is not None)
            if step is not None and np.linalg.norm(step, ord=self._norm) < length:
                best, label, length = step, int(competing.labels[other]), float(np.linalg.norm(step, ord=self._norm))
        return None if best is None else np.clip(x + best, self._box.lower, self._box.upper), label

    def winner(self, point: np.ndarray, outputs: np.ndarray) -> int:
        """The class, among `outputs`, that the network predicts for a point `(d,)`."""
        scores = ops.convert_to_numpy(self._geometry.identify(self._space.arrays(point[np.newaxis]))[0])[0]
        return int(scores[0] > 0) if len(scores) == 1 else int(outputs[scores[outputs].argmax()])

    def _towards(self, competing, other, region, within, *, ahead_of_all):
        normals, margins = competing.normals[[other]], competing.margins[[other]]
        if ahead_of_all:  # without a target, the nearest tie with any class suffices
            others = np.arange(len(competing.labels)) != other
            normals = np.vstack([normals, normals - competing.normals[others]])
            margins = np.append(margins, margins - competing.margins[others])
        real = normals.any(axis=1)
        if (margins[~real] + self._margin > 0).any():
            return None
        rows = np.vstack([normals[real], region.rows])
        values = np.append(-margins[real] - self._margin, region.values)
        return nearest_step(Constraints(rows, values, region.more), self._norm, within)


class _Region:
    """The constraints of a region and a box that were violated so far."""

    def __init__(self, geometry, space, box, x):
        self._geometry, self._space, self._box, self._x = geometry, space, box, x
        self._sample = space.arrays(x[np.newaxis])
        self._at_sample = self._values(x)
        self.rows, self.values = np.zeros((0, len(x))), np.zeros(0)

    def more(self, step):
        """Rows and values of the constraints that a step violates most."""
        point = self._x + step
        values = self._values(point)
        walls = np.flatnonzero(values < 0)
        depth = values[walls] / np.maximum(self._at_sample[walls], np.finfo(float).tiny)
        walls = walls[np.argsort(depth)[:_WORST]]
        below, above = (np.flatnonzero(outside) for outside in (point < self._box.lower, point > self._box.upper))
        sides = np.zeros((len(below) + len(above), len(point)))
        sides[np.arange(len(sides)), np.concatenate([below, above])] = np.repeat([1, -1], [len(below), len(above)])
        rows = np.vstack([self._normals(walls), sides])
        limits = [self._at_sample[walls], (self._x - self._box.lower)[below], (self._box.upper - self._x)[above]]
        real = rows.any(axis=1)
        rows, values = rows[real], np.concatenate(limits)[real]
        self.rows, self.values = np.vstack([self.rows, rows]), np.append(self.values, values)
        return rows, values

    def _values(self, point):
        others = self._space.arrays(point[np.newaxis])
        return ops.convert_to_numpy(self._geometry.values(self._sample, others))[0]

    def _normals(self, walls):
        if not len(walls):
            return np.zeros((0, len(self._x)))
        # Padded to a fixed number, so that a single compiled program is enough.
        padded = np.resize(walls, _WORST).astype("int32")
        repeated = [np.repeat(array, _WORST, axis=0) for array in self._sample]
        normals = [ops.convert_to_numpy(a) for a in self._geometry.normals(repeated, padded)]
        return self._space.vectors(normals)[: len(walls)]
