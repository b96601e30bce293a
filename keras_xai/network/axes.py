"""Which axis of a tensor holds the channels."""

from keras_xai.graph.steps import Graph
from keras_xai.kinds.expansion import kind_of


def channel_axis(graph: Graph, identifier: int, rank: int) -> int:
    """The axis of the channels of a tensor, by the nearest layer with a `data_format`; the last one without such a layer.

    Args:
        graph: The graph.
        identifier: Identifier of the tensor.
        rank: Number of its axes, that of samples included.
    """
    return 1 if _channels_first(graph, identifier) else rank - 1


def _channels_first(graph, identifier):
    before, after = {identifier}, {identifier}
    for step in reversed(graph.steps):
        if before & set(step.outputs):
            if data_format := kind_of(step).data_format(step):
                return data_format == "channels_first"
            before.update(step.inputs)
    for step in graph.steps:
        if after & set(step.inputs):
            if data_format := kind_of(step).data_format(step):
                return data_format == "channels_first"
            after.update(step.outputs)
    return False
