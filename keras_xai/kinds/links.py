"""Link functions: the final softmax or sigmoid that turns scores into probabilities."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_xai.graph.split import up_to
from keras_xai.graph.steps import Graph
from keras_xai.kinds.expansion import kind_of

# What each link makes of scores.
LINKS: dict[str | None, Callable[[Any], Any]] = {"softmax": ops.softmax, "sigmoid": ops.sigmoid, None: lambda scores: scores}


def strip_probabilities(graph: Graph) -> Graph:
    """The graph without final softmax and sigmoid, so that its outputs are logits.

    Args:
        graph: A graph whose fused activations have been split off.
    """
    producer = {identifier: step for step in graph.steps for identifier in step.outputs}
    outputs = [
        producer[identifier].inputs[0] if identifier in producer and _link(producer[identifier]) else identifier
        for identifier in graph.outputs
    ]
    return up_to(graph, outputs, graph.output_specs, graph.output_names)


def link_of(whole: Graph, stripped: Graph) -> str | None:
    """The function from scores to the output: `"softmax"`, `"sigmoid"`, or `None` for the identity.

    Args:
        whole: A graph of one output.
        stripped: The same without the softmax or sigmoid that it may end in.
    """
    if whole.outputs == stripped.outputs:
        return None
    (last,) = (step for step in whole.steps if whole.outputs[0] in step.outputs)
    return _link(last)


def _link(step):
    return kind_of(step).link(step)
