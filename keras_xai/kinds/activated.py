"""Where the activation of a layer is taken."""

from keras_xai.graph.split import alone
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import expand, kind_of


def activated(graph: Graph, step: Step) -> Step:
    """The step whose output is the activation of a layer.

    That is the layer itself if an activation function is part of it or none follows it, else the batch normalization and the
    activation function that follow it, as long as nothing else takes what is in between.

    Args:
        graph: The graph.
        step: A step of one output.
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
    """Whether a step multiplies its input by weights, as convolutions and dense layers do, alone or wrapped."""
    return any(kind_of(part).kernels(part) for part in expand(alone(step)).steps)


def _bends(step):
    """Whether a step acts on single entries other than by one line."""
    return any(kind_of(part).role in ("gate", "curved") for part in expand(alone(step)).steps)
