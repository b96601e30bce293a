"""Facts about axes: the names that a step gives the axes of its tensors, and the input axes that form each output axis.

Axes are those of one sample, without the batch dimension. Their names are the letters of `keras_xai.data.layout.Layout`.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_xai.data.layout import place_letters

# Certainty of the axis names of a step: declared by the user; from a data format; from a layer for sequences or a normalization of
# channels; or from a product of the last axis with weights, to which any axis may be moved.
DECLARED, BY_FORMAT, BY_USE, BY_PRODUCT = range(4)

Names = Sequence[str | None]
# For each axis of the output, the axes of the input that form it, the last one varying fastest.
Sources = list[tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Named:
    """The axis names that a step declares.

    Attributes:
        inputs: The name of each axis of its first input, `None` where it is unknown.
        outputs: The same for its first output.
        certainty: `DECLARED`, `BY_FORMAT`, `BY_USE` or `BY_PRODUCT`.
    """

    inputs: Names
    outputs: Names
    certainty: int = BY_FORMAT


def by_format(data_format: str | None, rank: int) -> Names:
    """The names of the axes of a map: channels and places by a data format; of vectors, the channels alone.

    Args:
        data_format: `"channels_first"` or `"channels_last"`.
        rank: Number of axes of a sample.
    """
    places = list(place_letters(rank - 1)) if rank > 1 else []
    return ["C", *places] if data_format == "channels_first" else [*places, "C"]


def channel_at(axis: int, rank: int) -> Names:
    """Names of which only the channel axis is known.

    Args:
        axis: The axis, counted with the batch dimension or from the end.
        rank: Number of axes of a sample.
    """
    names: list[str | None] = [None] * rank
    if rank > 1 and axis % (rank + 1):
        names[axis % (rank + 1) - 1] = "C"
    return names


def unmoved(shape: Sequence, output_shape: Sequence) -> Sources | None:
    """Axes keep their positions; unknown if the numbers of axes differ."""
    return [(axis,) for axis in range(len(shape))] if len(shape) == len(output_shape) else None


def permuted(step: Any, rank: int) -> Sources | None:
    """The axes of a step that permutes them, by trial on a tensor whose axes all have different sizes."""
    sizes = (1, *range(2, rank + 2))
    (moved,) = step(ops.zeros(sizes))
    if sorted(moved.shape) != sorted(sizes) or moved.shape[0] != 1:
        return None
    return [(sizes.index(size) - 1,) for size in moved.shape[1:]]


def kept_axes(reduced: Any, keepdims: bool, rank: int) -> Sources:
    """The axes of a reduction such as a sum.

    Args:
        reduced: The reduced axes, counted with the batch dimension; `None` for all.
        keepdims: Whether they are kept with length 1.
        rank: Number of axes of a sample.
    """
    gone = _reduced(reduced, rank)
    return [() if axis in gone else (axis,) for axis in range(rank) if keepdims or axis not in gone]


def reduced_names(reduced: Any, rank: int) -> Names:
    """Axis names from a reduction: if all axes but one are reduced together, that one holds the channels."""
    gone = _reduced(reduced, rank)
    if len(gone) < 2 or len(gone) != rank - 1:
        return [None] * rank
    places = iter(place_letters(len(gone)))
    return [next(places) if axis in gone else "C" for axis in range(rank)]


def _reduced(reduced, rank):
    axes = range(rank + 1) if reduced is None else np.atleast_1d(reduced)
    return {int(axis) % (rank + 1) - 1 for axis in axes}


def by_letters(equation: str, operand: int) -> Sources | None:
    """The axes of an operand in the output of an Einstein sum; a summed axis is replaced by the new one, if there is one of each.

    Args:
        equation: The equation.
        operand: The number of the operand.
    """
    if "->" not in equation or "..." in equation:
        return None
    left, output = equation.replace(" ", "").split("->")
    given = left.split(",")[operand]
    summed, new = ([letter for letter in one if letter not in other] for one, other in ((given, output), (output, given)))
    if given[0] != output[0]:  # the batch
        return None
    replaced = dict(zip(new, summed, strict=True)) if len(new) == len(summed) == 1 else {}
    return [(given.index(replaced.get(each, each)) - 1,) if replaced.get(each, each) in given else () for each in output[1:]]


def reshaped(shape: Sequence, output_shape: Sequence) -> Sources | None:
    """The axes of a reshaped sample: axes of length 1 are added or removed, others are split or merged according to their sizes.

    Args:
        shape: Of a sample of the input; `None` for unknown sizes.
        output_shape: Of a sample of the output.
    """
    old, new = list(shape), list(output_shape)
    first = last = 0
    while first < min(len(old), len(new)) and old[first] == new[first] is not None:
        first += 1
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last] is not None:
        last += 1
    sources: Sources = [(axis,) for axis in range(first)]
    sources += _factored(list(range(first, len(old) - last)), old, new[first : len(new) - last])
    return sources + [(axis,) for axis in range(len(old) - last, len(old))]


def _factored(axes, old, sizes):
    """The axes of each of some sizes, into which axes of others are reshaped."""
    if None in sizes or any(old[axis] is None for axis in axes):
        return [tuple(axes) if size != 1 else () for size in sizes]
    sources: Sources = [() for _ in sizes]
    ones = [axis for axis in axes if old[axis] == 1]
    wide = [axis for axis in axes if old[axis] != 1]
    for position, _ in zip([i for i, size in enumerate(sizes) if size == 1], ones, strict=False):
        sources[position] = (ones.pop(0),)
    targets = [i for i, size in enumerate(sizes) if size != 1]
    while wide and targets:
        group, into = [wide.pop(0)], [targets.pop(0)]
        while (before := math.prod(old[axis] for axis in group)) != (after := math.prod(sizes[i] for i in into)):
            if before < after and wide:
                group.append(wide.pop(0))
            elif after < before and targets:
                into.append(targets.pop(0))
            else:
                break
        for position in into:
            sources[position] = tuple(group)
    return sources


def indexed(key: Any, rank: int) -> Sources | None:
    """The axes of `x[key]`: slices keep an axis, integers drop it, `None` makes a new one.

    Args:
        key: The index, of integers, slices, `None` and an ellipsis.
        rank: Number of axes of a sample.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(not (part is None or part is ... or isinstance(part, (int, np.integer, slice))) for part in parts):
        return None
    taken = sum(part is not None and part is not ... for part in parts)
    rest: list = [slice(None)] * (rank + 1 - taken)
    where = parts.index(...) if any(part is ... for part in parts) else len(parts)
    parts[where : where + 1] = rest
    sources: Sources = []
    axis = -1
    for part in parts:
        if part is None:
            sources.append(())
            continue
        if isinstance(part, slice):
            sources.append((axis,))
        axis += 1
    return sources[1:] if sources and sources[0] == (-1,) else None  # the batch is whole
