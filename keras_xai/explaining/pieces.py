"""Explanations sample by sample until the time is over, and their join."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation, Method
from keras_xai.data.batches import joined
from keras_xai.data.texts import widened
from keras_xai.explaining import budget as clock
from keras_xai.explaining.budget import Budget

_PIECE = 2.0  # seconds that a piece may take


def in_pieces(
    work: Callable[[slice], Any], count: int, budget: Budget, passes: float, share: float = 1.0
) -> tuple[list, float]:
    """Works on samples piece by piece until the budget is spent.

    Args:
        work: Works on a slice of the samples.
        count: The number of samples.
        budget: The budget; `budget.fits` was asked for the first sample already.
        passes: Forward passes for each sample.
        share: The share of the seconds left at the start that the work may take.

    Returns:
        The results of the pieces, and the seconds for each sample after the first, which may compile programs.
    """
    end = budget.used + share * budget.left
    found, done, size = [], 0, 1
    each = passes * budget.pass_seconds
    spent: list[float] = []
    while done < count and (done == 0 or budget.used + each * size <= end):
        start = clock.now()
        found.append(work(slice(done, done + size)))
        seconds = (clock.now() - start) / size
        if done:
            each = max(each, seconds) if len(spent) == 0 else max(seconds, each / 2)
            spent.append(seconds * size)
        done += size
        fitting = int(min(_PIECE, max(end - budget.used, 0)) / max(each, 1e-6))
        size = max(1, min(count - done, fitting))
    return found, sum(spent) / max(done - 1, 1) if spent else each


def explained_in_pieces(
    method: Method, x: Callable[[slice], Any], target: Callable[[slice], Any], baseline: Callable[[slice], Any], **options: Any
) -> tuple[Explanation, float]:
    """An explanation of as many samples as fit, and the seconds for each.

    Args:
        method: The method.
        x: Samples by slice.
        target: Their targets.
        baseline: Their baselines.
        **options: Arguments of `in_pieces` other than `work`.
    """

    def work(part):
        return method(x(part), target(part), baseline(part) if method.takes_baseline else None)

    parts, seconds = in_pieces(work, **options)
    return joined_explanations(parts), seconds


def joined_explanations(parts: Sequence[Explanation]) -> Explanation:
    """Explanations of consecutive samples by the same method as one.

    The targets must be classes, or the same function for all.
    """
    if len(parts) == 1:
        return parts[0]
    changed = {name: _joined([getattr(part, name) for part in parts]) for name in parts[0].fields_by_row}
    if not parts[0].shared_baseline:
        changed["baseline"] = _joined([part.baseline for part in parts])
    counts = [len(part) for part in parts]
    passes = float(np.average([part.num_forward_passes for part in parts], weights=counts))
    return dataclasses.replace(parts[0], **changed, num_forward_passes=passes)


def _joined(several):
    """Nests of arrays `(n, ...)` as one; other leaves are those of the first."""
    flat = [tree.flatten(each) for each in several]
    leaves = [_joined_leaf(leaves) for leaves in zip(*flat, strict=True)]
    return tree.pack_sequence_as(several[0], leaves)


def _joined_leaf(leaves):
    if not isinstance(leaves[0], np.ndarray):
        return leaves[0]
    texts = leaves[0].ndim == 2 and len({leaf.shape[1] for leaf in leaves}) > 1
    return joined(widened(leaves, "" if leaves[0].dtype.kind == "U" else 0) if texts else list(leaves))
