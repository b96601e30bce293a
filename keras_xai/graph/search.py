"""Finds layers of a class."""

import keras

from keras_xai.graph.steps import Graph, Step


def calls_of(graph: Graph, kind: type[keras.Layer]) -> list[Step]:
    """The calls of layers of a class, each with one input tensor.

    Args:
        graph: The graph.
        kind: The class.

    Returns:
        Steps, in the order of the graph.

    Raises:
        ValueError: If a layer of the class is called more than once, or is hidden inside another layer, such as a wrapper.
    """
    found: dict[int, Step] = {}
    for step in graph.steps:
        if isinstance(step.operation, kind):
            if id(step.operation) in found:
                raise ValueError(
                    f"Expected each {kind.__name__} layer to be called once, on one tensor. Received: "
                    f"'{found[id(step.operation)].path}', which is called again as '{step.path}'. Give each call its own "
                    "own."
                )
            found[id(step.operation)] = step
        elif isinstance(step.operation, keras.Layer):
            for layer in layers_of(step.operation, kind):
                raise ValueError(
                    f"Expected each {kind.__name__} layer to be a layer of the model or of a model nested in it. Received: "
                    f"'{layer.name}', which is inside '{step.path}' ({type(step.operation).__name__}), where its input cannot be "
                    "reached. A dense layer acts on the last axis of a tensor of any rank, so that `TimeDistributed` is not needed."
                )
    return list(found.values())


def layers_of(owner: keras.Layer, kind: type[keras.Layer]) -> list:
    """The layers of a class in a model or layer, at any depth.

    Args:
        owner: The model or layer.
        kind: The class.
    """
    return [layer for layer in owner._flatten_layers() if isinstance(layer, kind)]
