"""Activations of layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.backend import compiled
from keras_xai.data.arrays import typed
from keras_xai.data.batches import joined
from keras_xai.data.checks import Verbose, check_layers, check_verbose
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.graph.split import up_to
from keras_xai.graph.steps import Graph
from keras_xai.graph.trace import trace
from keras_xai.kinds.activated import activated
from keras_xai.kinds.expansion import kind_of, open_layers
from keras_xai.kinds.rows import rows_per_sample
from keras_xai.network import Network
from keras_xai.network.batching import batch_size_for
from keras_xai.network.tokens import check_tokens


def activations(
    model: keras.Model,
    x: Any,
    layers: Sequence[str | keras.Layer] | None = None,
    *,
    batch_size: int | None = None,
    verbose: Verbose = "auto",
) -> dict[str, np.ndarray]:
    """Computes activations of layers at inference, in one forward pass.

    Args:
        model: A built model; only read.
        x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them for a model
            of several inputs, or a dataset of batches `x` or `(x, y, ...)`, such as a `tf.data.Dataset`.
        layers: Layers or their paths, such as `"backbone/conv5"` for a layer in a nested model, or `"conv5:1"` for the second call of a
            shared layer. The result is the layer's output, including its fused activation.

            By default all convolutional layers of the model and its nested models. If a convolution has no fused activation, its
            activations are taken after the batch normalization and activation layers that directly follow it, provided that no other layer
            uses the tensors in between. They are returned under the path of the convolution.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors. A dataset keeps its own batches.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        For each path, an array `(n, *output_shape)` in the dtype of the layer's output, in the order of `layers` or of the model.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or no convolutional layer, if a layer has several outputs, or if `x` does not fit it,
            is empty, or contains NaN or infinity.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import activations
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, use_bias=False, name="conv1"),
    ...     keras.layers.BatchNormalization(),
    ...     keras.layers.ReLU(),
    ...     keras.layers.Conv2D(6, 3, activation="relu", name="conv2"),
    ... ])
    >>> found = activations(model, np.random.default_rng(0).normal(size=(5, 8, 8, 1)))
    >>> [(path, values.shape) for path, values in found.items()]
    [('conv1', (5, 6, 6, 4)), ('conv2', (5, 4, 4, 6))]
    >>> bool(found["conv1"].min() >= 0)
    True
    """
    check_verbose(verbose)
    graph = graph_to(model, layers)
    outputs = program(graph)
    parts: dict[str, list[np.ndarray]] = {path: [] for path in graph.output_names}
    samples = Samples(x, graph, batch_size_for(graph, batch_size))
    for batch in progress(samples, samples.num_batches, verbose):
        check_tokens(graph, batch)
        for path, values in outputs(typed(batch, graph)).items():
            parts[path].append(ops.convert_to_numpy(values))
    # Each layer's batches are released after concatenation, so that only one layer is in memory twice.
    return {path: joined(parts.pop(path)) for path in graph.output_names}


def graph_to(model: keras.Model, layers: Sequence[str | keras.Layer] | None) -> Graph:
    """The subgraph that computes the activations of layers.

    Args:
        model: A built model.
        layers: Layers or their paths; by default the convolutional layers, with their activations.

    Returns:
        A graph with one output per layer, named by its path.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or the layers do not exist.
    """
    graph = open_layers(trace(model))
    if layers is None:
        chosen = {step.path: activated(graph, step) for step in graph.steps if _is_convolution(step)}
        if not chosen:
            classes = sorted({type(step.operation).__name__ for step in graph.steps})
            raise ValueError(
                f"Expected a model with convolutional layers. Received: '{model.name}', which consists of {', '.join(classes)}. "
                f"Give the paths of layers: layers={[step.path for step in graph.steps][:3]}"
            )
    else:
        check_layers("layers", layers)
        chosen = {path: graph.end_of(path) for path in graph.paths_of(layers)}
    several = [path for path, step in chosen.items() if len(step.outputs) != 1]
    if several:
        raise ValueError(f"Expected layers with one output. Received: {several}.")
    return up_to(
        graph,
        [step.outputs[0] for step in chosen.values()],
        [step.output_specs[0] for step in chosen.values()],
        list(chosen),
    )


def program(graph: Graph, function: Callable[[str, Any], Any] = lambda path, values: values) -> Callable[[list], dict]:
    """The outputs of a graph as a compiled function of a batch.

    Weights are read at each call, and the model is not changed.

    Args:
        graph: The return value of `graph_to`.
        function: Maps the name of an output and its tensor to a nest of tensors, within the compiled program.

    Returns:
        A function that maps a list of arrays, one for each input, to a dict from each output's name to the result of `function`.

    Raises:
        ValueError: If the device cannot compute some of the layers.
    """
    network = Network(graph)
    rows = rows_per_sample(graph)

    def outputs(inputs):
        values = network.run(inputs)
        return [
            function(path, _by_sample(values[identifier], rows[identifier]))
            for path, identifier in zip(graph.output_names, graph.outputs, strict=True)
        ]

    inner = compiled(outputs, [[((None, *spec.shape[1:]), spec.dtype) for spec in graph.input_specs]])
    return lambda batch: dict(zip(graph.output_names, inner(list(batch)), strict=True))


def _by_sample(values, rows):
    """Activations with a first axis for samples, and one for the rows of each if there are several."""
    return values if rows == 1 else ops.reshape(values, (-1, rows, *values.shape[1:]))


def check_finite(path: str, vectors: np.ndarray, samples: np.ndarray | None = None) -> None:
    """Rejects activations that are NaN or infinite.

    Args:
        path: The layer's path.
        vectors: `(n, d)`, the layer's activations.
        samples: `(n,)`, names of the samples for the error message; their indices by default.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise ValueError(
            f"The activations of '{path}' are NaN or infinite for sample {bad[0] if samples is None else samples[bad[0]]}. Check the "
            "model's weights and the range of its inputs."
        )


def _is_convolution(step):
    """Whether a step is a convolutional layer or a wrapper of one."""
    return isinstance(step.operation, keras.Layer) and kind_of(step).convolves(step)
