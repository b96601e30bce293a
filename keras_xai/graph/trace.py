"""Tracing of Keras models into a flat list of operation calls."""

from collections.abc import Sequence

import keras

from keras_xai.data.checks import check_flag
from keras_xai.graph.nodes import function_of, names_unused, trace_nodes
from keras_xai.graph.sizes import at_sizes, has_lost_sizes
from keras_xai.graph.steps import Graph
from keras_xai.graph.subclassed import trace_subclassed


@names_unused()
def trace(model: keras.Model, *, training: bool = False, shapes: Sequence[Sequence[int]] | None = None) -> Graph:
    """Traces a model into a graph of operation calls, with nested models flattened.

    A subclassed model is traced through its `call()`; if that is not possible, because it consists of other things than Keras layers and
    `keras.ops`, the graph is a single call of the model.

    Args:
        model: A built `keras.Model`. It is only read.
        training: Whether the `call()` of a subclassed model is traced in training mode.
        shapes: Shape of a sample of each input, to fill in sizes that the model leaves open, `keras.Input((None,))`: layers whose `call()`
            needs them can be traced then.

    Returns:
        A `Graph`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built: a Sequential model without input shape, or a subclassed model that was never called; or
            `training` is not a boolean, or `shapes` are not those of samples.

    Example:

    >>> import keras
    >>> from keras_xai.graph import trace
    >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")], name="backbone")
    >>> model = keras.Sequential([keras.Input((4,)), backbone, keras.layers.Dense(2, name="head")])
    >>> [step.path for step in trace(model).steps]
    ['backbone/hidden', 'head']
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a `keras.Model`. Received: model={model!r} (of type {type(model).__name__}).")
    check_flag("training", training)
    function = function_of(model)
    if function is None:
        return trace_subclassed(model, training=training, shapes=shapes)
    graph = trace_nodes(function)
    if shapes is None and has_lost_sizes(graph):
        shapes = [spec.shape[1:] for spec in graph.input_specs]
    return graph if shapes is None else at_sizes(graph, shapes)
