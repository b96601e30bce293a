"""Frames: tensors whose time steps are computed separately, as under `TimeDistributed`."""

import dataclasses
from typing import final

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.rows import is_reshape, is_time_distributed, rows_per_sample


@final
@dataclasses.dataclass(frozen=True)
class Frames:
    """The arrangement of the frames of samples in a tensor.

    Attributes:
        apart: Whether each frame is a row of the tensor, `(n * frames, ...)`, instead of an entry of axis 1, `(n, frames, ...)`.
    """

    apart: bool


def frames_of(graph: Graph) -> dict[int, Frames]:
    """The tensors of a graph whose frames do not mix after `TimeDistributed` begins, by identifier."""
    rows, found = rows_per_sample(graph), {}
    for step in graph.steps:
        if not step.inputs or len(step.outputs) != 1:
            continue
        (output,), shape = step.outputs, step.output_specs[0].shape
        first, before = step.inputs[0], step.input_specs[0].shape
        if is_time_distributed(step):
            found[output] = Frames(apart=False)
        elif is_reshape(step) and rows[first] != rows[output]:
            if rows[first] == 1 and before[1:] == (rows[output], *shape[1:]):
                found[output] = Frames(apart=True)
            elif first in found and rows[output] == 1 and shape[1:] == (rows[first], *before[1:]):
                found[output] = Frames(apart=False)
        else:
            kept = [
                found[each] for position, each in enumerate(step.inputs) if each in found and _keeps(step, position, found)
            ]
            if kept and (rows[output] > 1) == kept[0].apart:
                found[output] = kept[0]
    return found


def _keeps(step: Step, position: int, found) -> bool:
    """Whether a frame of the output depends on the same frame of an input only."""
    if found[step.inputs[position]].apart:
        return True  # rows do not mix
    shape, output_shape = step.input_specs[position].shape[1:], step.output_specs[0].shape[1:]
    if len(shape) < 2 or len(output_shape) < 2 or shape[0] != output_shape[0]:
        return False
    if None in (*shape, *output_shape):
        return kind_of(step).elementwise(step)
    wanted = [(0, 1), *((0, size) for size in output_shape[1:])]
    return tuple(kind_of(step).receptive_range(step, wanted, shape, output_shape)[0]) == (0, 1)
