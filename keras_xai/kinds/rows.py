"""Steps that move rows and tokens, and the number of rows per sample: time steps are samples inside `TimeDistributed`."""

import functools
import math

from keras import layers, ops

from keras_xai.graph.nodes import operation_class
from keras_xai.graph.steps import Graph, Step


def rows_per_sample(graph: Graph) -> dict[int, int]:
    """The number of rows that each tensor of a graph has for each sample, by identifier.

    Args:
        graph: The graph. Reshaping tells how rows are divided or joined; it changes no number of entries.
    """
    rows = dict.fromkeys(graph.inputs, 1)
    for step in graph.steps:
        count = max((rows[identifier] for identifier in step.inputs), default=1)
        if is_reshape(step):
            before, after = step.input_specs[0].shape[1:], step.output_specs[0].shape[1:]
            if None not in (*before, *after):
                count = count * math.prod(before) // math.prod(after)
        rows.update(dict.fromkeys(step.outputs, count))
    return rows


def is_reshape(step: Step) -> bool:
    """Whether a step reshapes a tensor."""
    return isinstance(step.operation, (layers.Reshape, _class_of("reshape")))


def is_concatenation(step: Step) -> bool:
    """Whether a step joins tensors along an axis."""
    return isinstance(step.operation, (layers.Concatenate, _class_of("concatenate")))


def is_selection(step: Step) -> bool:
    """Whether a step selects entries by an index, `x[...]`."""
    return isinstance(step.operation, _class_of("index"))


def is_time_distributed(step: Step) -> bool:
    """Whether a step is a `TimeDistributed` that was not divided into the steps inside, because of a mask or an unknown length."""
    return isinstance(step.operation, layers.TimeDistributed)


@functools.cache
def _class_of(name):
    functions = {
        "reshape": lambda x: ops.reshape(x, (-1, 1)),
        "concatenate": lambda x: ops.concatenate([x, x], axis=1),
        "index": lambda x: x[:, 0],
    }
    return operation_class(functions[name])
