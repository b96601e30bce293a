"""Decision boundaries of piecewise-linear scores: points on a line, segments in a plane."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from keras_xai.openbox.partition.polygon import clip, is_sliver


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """Linear pieces of a plane, divided by the predicted class.

    Attributes:
        polygons: Convex polygons, each `(v, 2)`, counter-clockwise.
        piece: `(n,)`, index of the linear piece that each cell is a part of.
        classes: `(n,)`, the predicted class.
    """

    polygons: list[np.ndarray]
    piece: np.ndarray
    classes: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Boundary:
    """The decision boundary in a plane: where the two highest scores are equal.

    Attributes:
        segments: `(n, 2, 2)`, the ends of straight segments, each in one linear piece.
        piece: `(n,)`, index of that linear piece.
        classes: `(n, 2)`, the two classes, the lower first.
    """

    segments: np.ndarray
    piece: np.ndarray
    classes: np.ndarray


def crossings(t: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the changes of the highest score for scores that are linear between `t`.

    Args:
        t: `(k,)`, ascending.
        scores: `(k, C)`, at `t`. The first of equal scores wins.

    Returns:
        The crossings `(c,)`, ascending, and the classes before, between and after them, `(c + 1,)`.
    """
    winner = int(scores[0].argmax())
    found: list[float] = []
    classes = [winner]
    for (low, left), (high, right) in itertools.pairwise(zip(t, scores, strict=True)):
        while right[winner] < right.max():
            # The next winner is the class that overtakes the current one first among those ahead at the end; ties go to the steepest.
            ahead = np.flatnonzero(right > right[winner])
            margin, deficit = right[ahead] - right[winner], np.maximum(left[winner] - left[ahead], 0)
            share = deficit / (deficit + margin)
            winner = int(ahead[np.lexsort((-margin, share))[0]])
            place = float(max(low + share.min() * (high - low), found[-1] if found else low))
            if place == (found[-1] if found else t[0]):  # the previous class wins on an empty interval
                classes[-1] = winner
            else:
                found.append(place)
                classes.append(winner)
    return np.array(found), np.array(classes)


def divide(polygons: Sequence[np.ndarray], coef: np.ndarray, intercept: np.ndarray) -> tuple[Cells, Boundary]:
    """Linear pieces divided by the class of the highest score.

    Args:
        polygons: n convex polygons in the unit square.
        coef: `(n, C, 2)`; the scores of polygon i at p are `coef[i] p + intercept[i]`. Where scores are equal on a whole polygon, the first
            of them wins.
        intercept: `(n, C)`.
    """
    cells: list[tuple[np.ndarray, int, int]] = []
    segments: list[tuple[np.ndarray, int, int, int]] = []
    for i, (polygon, weights, bias) in enumerate(zip(polygons, coef, intercept, strict=True)):
        scores = polygon @ weights.T + bias
        often = np.bincount(scores.argmax(axis=1)).argmax()
        # A class that never exceeds the class winning at most vertices has no cell.
        candidates = np.flatnonzero((scores > scores[:, [often]]).any(axis=0) | (np.arange(len(bias)) == often))
        for k in candidates.tolist():
            cell, labels = _cell(polygon, k, candidates, weights, bias)
            if is_sliver(cell):
                continue
            cells.append((cell, i, k))
            for j, start, end in zip(labels, cell, np.roll(cell, -1, axis=0), strict=True):
                if j > k:  # the other side of the boundary is the cell of j
                    segments.append((np.stack([start, end]), i, k, j))
    return (
        Cells([cell for cell, *_ in cells], np.array([i for _, i, _ in cells]), np.array([k for *_, k in cells])),
        Boundary(
            np.array([ends for ends, *_ in segments]).reshape(-1, 2, 2),
            np.array([i for _, i, *_ in segments], dtype=int),
            np.array([pair for _, _, *pair in segments], dtype=int).reshape(-1, 2),
        ),
    )


def _cell(polygon, k, candidates, weights, bias):
    """The part of a polygon where class k wins; an edge to the cell of class j has the label j, other edges -1."""
    labels = [-1] * len(polygon)
    for j in candidates.tolist():
        values = polygon @ (weights[k] - weights[j]) + (bias[k] - bias[j])
        if j < k and not (values > 0).any():
            return polygon[:0], []
        if j != k and (values < 0).any():
            polygon, labels = clip(polygon, labels, values, j)
            if not len(polygon):
                break
    return polygon, labels
