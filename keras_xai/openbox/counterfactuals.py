"""Decision boundaries inside linear pieces, and the nearest inputs behind them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_xai.openbox.projection import nearest_step
from keras_xai.openbox.space import Box

_WORST = 16  # violated constraints added at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Counterfactuals:
    """For each of n samples the nearest input of its region, and box, that the network puts in another class.

    Attributes:
        x: `(n, *input_shape)`; NaN where the region has no such input.
        label: `(n,)` index of the class that wins there, -1 where there is none.
        distance: `(n,)`, from the sample, in the norm asked for; `inf` where there is none.
        plane_distance: `(n,)`, the distance to the nearest decision boundary of the linear piece if it went on without end:
            a lower bound for `distance`.
        verified: `(n,)` booleans: the network, run on `x` in float64, does put it in class `label`.
    """

    x: Any
    label: np.ndarray
    distance: np.ndarray
    plane_distance: np.ndarray
    verified: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Rivals:
    """The classes that could win instead, in one linear piece.

    Attributes:
        labels: `(r,)` class indices.
        lead: `(r,)`, by how much each is behind the winner at the sample.
        normals: `(r, d)`, the gradients of rival minus winner.
    """

    labels: np.ndarray
    lead: np.ndarray
    normals: np.ndarray

    def distances(self, dual_norm: float) -> np.ndarray:
        """Distance to the plane on which each rival draws level; `inf` for one that never does."""
        lengths = np.linalg.norm(self.normals, ord=dual_norm, axis=1)
        return np.divide(self.lead, lengths, out=np.full(len(lengths), np.inf), where=lengths > 0)


def rivals_of(scores: np.ndarray, coef: np.ndarray, outputs: np.ndarray) -> Rivals:
    """The rivals of the winner.

    Args:
        scores: `(k,)`; a single score stands for two classes, the second of which wins where it is positive.
        coef: `(k, d)`.
        outputs: `(k,)` class indices.
    """
    if len(scores) == 1:
        scores, coef, outputs = np.append(0.0, scores), np.vstack([np.zeros_like(coef), coef]), np.arange(2)
    winner = int(np.argmax(scores))
    others = np.delete(np.arange(len(scores)), winner)
    return Rivals(outputs[others], scores[winner] - scores[others], coef[others] - coef[winner])


def nearest_counterfactual(
    rivals: Rivals, *, target: int | None, norm: float, dual_norm: float, margin: float, more: Callable
) -> tuple[np.ndarray | None, int]:
    """The shortest step to where a rival wins by `margin`, and the rival; `(None, -1)` where there is none.

    Args:
        rivals: The rivals.
        target: The class that is to win; whichever is nearest by default.
        norm: 1, 2 or infinity.
        dual_norm: Its dual.
        margin: In units of the scores.
        more: As for `nearest_step`: the constraints of the region and the box.
    """
    distances = rivals.distances(dual_norm)
    best, best_label, best_length = None, -1, np.inf
    for rival in np.argsort(distances) if target is None else np.flatnonzero(rivals.labels == target):
        if not distances[rival] < best_length:  # each plane is a lower bound, and they are in order
            break
        normals, lead = rivals.normals[[rival]], rivals.lead[[rival]]
        if target is not None:  # not only ahead of the winner, but of all
            others = np.arange(len(distances)) != rival
            normals = np.vstack([normals, normals - rivals.normals[others]])
            lead = np.append(lead, lead - rivals.lead[others])
        real = normals.any(axis=1)
        if (lead[~real] + margin > 0).any():
            continue
        step = nearest_step(normals[real], -lead[real] - margin, norm, more)
        if step is not None and np.linalg.norm(step, ord=norm) < best_length:
            best, best_label, best_length = step, int(rivals.labels[rival]), float(np.linalg.norm(step, ord=norm))
    return best, best_label


def constraints_of(x: np.ndarray, box: Box, region: Callable) -> Callable:
    """The constraints of a region and a box that steps from a sample violate, as `nearest_step` wants them.

    Args:
        x: `(d,)`, the sample.
        box: Limits of the inputs.
        region: Maps a step to the rows and values, at the step 0, of the region's constraints that it violates most.
    """
    unit = np.eye(len(x))

    def more(step):
        point = x + step
        below, above = (np.flatnonzero(outside) for outside in (point < box.lower, point > box.upper))
        rows, values = region(step)
        return np.vstack([rows, unit[below], -unit[above]]), np.concatenate([values, (x - box.lower)[below], (box.upper - x)[above]])

    return more


def worst(values: np.ndarray, at_sample: np.ndarray) -> np.ndarray:
    """Indices of the constraints that are violated most, relative to their values at the sample; at most 16."""
    violated = np.flatnonzero(values < 0)
    depth = values[violated] / np.maximum(at_sample[violated], np.finfo(float).tiny)
    return violated[np.argsort(depth)[:_WORST]]
