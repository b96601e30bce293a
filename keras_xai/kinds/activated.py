"""The step whose output is a layer's activation."""

from keras_xai.graph.split import alone
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import expand, kind_of


def activated(graph: Graph, step: Step) -> Step:
    """The step whose output is the activation of a layer.

    This is the layer itself if it has a fused activation function or none follows it, otherwise the batch normalization and the activation
    function that follow it, provided that no other layer uses the tensors in between.

    Args:
        graph: The graph.
        step: A step with one output.
    """
    while not _bends(step):
        (output,) = step.outputs
        consumers = [other for other in graph.steps if output in other.inputs]
        if len(consumers) != 1 or output in graph.outputs or len(consumers[0].outputs) != 1:
            break
        (following,) = consumers
        normalizes = kind_of(following).normalized_axis(following) is not None
        if has_kernels(following) or not (normalizes or _bends(following)):
            break
        step = following
    return step


def has_kernels(step: Step) -> bool:
    """Whether a step multiplies its input by weights, like convolutions and dense layers, wrapped or not."""
    return any(kind_of(part).kernels(part) for part in expand(alone(step)).steps)


def _bends(step):
    """Whether a step is elementwise and not affine."""
    return any(kind_of(part).role in ("gate", "curved") for part in expand(alone(step)).steps)
