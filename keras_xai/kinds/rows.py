"""Rows of a tensor for each sample: time steps are samples for a layer inside `TimeDistributed`."""

import functools
import math

from keras import ops

from keras_xai.graph.nodes import operation_class
from keras_xai.graph.steps import Graph


def rows_per_sample(graph: Graph) -> dict[int, int]:
    """The number of rows that each tensor of a graph has for each sample, by identifier.

    Args:
        graph: The graph. Reshaping tells how rows are divided or joined; it changes no number of entries.
    """
    rows = dict.fromkeys(graph.inputs, 1)
    for step in graph.steps:
        count = max((rows[identifier] for identifier in step.inputs), default=1)
        if isinstance(step.operation, _reshape()):
            before, after = step.input_specs[0].shape[1:], step.output_specs[0].shape[1:]
            if None not in (*before, *after):
                count = count * math.prod(before) // math.prod(after)
        rows.update(dict.fromkeys(step.outputs, count))
    return rows


@functools.cache
def _reshape():
    return operation_class(lambda x: ops.reshape(x, (-1, 1)))
