"""What is explained: which score of the model, before the softmax or sigmoid that turns scores into probabilities."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.graph.split import up_to
from keras_xai.graph.steps import Graph
from keras_xai.graph.trace import operation_class


def strip_probabilities(graph: Graph) -> Graph:
    """The graph without the softmax or sigmoid that each of its outputs may end in, so that its outputs are logits.

    Args:
        graph: A graph whose fused activations have been split off.
    """
    producer = {identifier: step for step in graph.steps for identifier in step.outputs}
    outputs = [
        producer[identifier].inputs[0] if identifier in producer and _gives_probabilities(producer[identifier]) else identifier
        for identifier in graph.outputs
    ]
    return up_to(graph, outputs, graph.output_specs, graph.output_names)


def link_of(whole: Graph, stripped: Graph) -> str | None:
    """What turns the scores into the output: `"softmax"`, `"sigmoid"`, or `None` where they are the output.

    Args:
        whole: A graph of one output.
        stripped: The same without the softmax or sigmoid that it may end in.
    """
    if whole.outputs == stripped.outputs:
        return None
    (last,) = (step for step in whole.steps if whole.outputs[0] in step.outputs)
    return "sigmoid" if isinstance(last.operation, operation_class(ops.sigmoid)) else "softmax"


def _gives_probabilities(step) -> bool:
    operation: Any = step.operation
    if isinstance(operation, (keras.layers.Softmax, operation_class(ops.softmax))):
        return operation.axis in (-1, len(step.output_specs[0].shape) - 1)
    return isinstance(operation, operation_class(ops.sigmoid))


def resolve_target(target: Any, scores: Any) -> Any:
    """The one score of each sample that is explained.

    Args:
        target: `None` for the highest score of each sample, a class index for all samples, an array of one index per
            sample, or a callable that maps `scores` to a tensor of shape `(n,)`. For a model of several outputs, a dict
            of these by output name: their scores are added, outputs that are not named count nothing.
        scores: Tensor `(n, classes)`, or a dict of such tensors by output name.

    Returns:
        Tensor `(n,)`.

    Raises:
        ValueError: If an index is out of range, the number of indices is not the number of samples, an output is not
            known, or none is chosen where there are several.

    Example:

    >>> import numpy as np
    >>> from keras_xai.graph import resolve_target
    >>> scores = np.array([[1.0, 2.0], [4.0, 3.0]])
    >>> np.array(resolve_target([0, 1], scores)).tolist()
    [1.0, 3.0]
    """
    if isinstance(scores, Mapping):
        return _resolve_outputs(target, scores)
    if callable(target):
        value = target(scores)
        if len(value.shape) != 1:
            raise ValueError(
                "A callable `target` must map the scores to one value per sample, a tensor of shape (n,). "
                f"Received a result of shape {tuple(value.shape)} for scores of shape {tuple(scores.shape)}."
            )
        return value
    if target is None:
        return ops.max(scores, axis=-1)
    indices = np.asarray(target)
    if indices.dtype.kind not in "iu" or indices.ndim > 1:
        raise ValueError(
            "Expected `target` to be None, an integer class index, one index per sample, or a callable. "
            f"Received: target={target!r}"
        )
    num_samples, num_classes = scores.shape
    if indices.ndim == 1 and len(indices) != num_samples:
        raise ValueError(f"Expected one target per sample, {num_samples} of them. Received: {len(indices)} targets.")
    if indices.size and (indices.min() < 0 or indices.max() >= num_classes):
        raise ValueError(f"Expected target indices from 0 to {num_classes - 1}. Received: target={target!r}")
    picked = ops.one_hot(np.broadcast_to(indices, (num_samples,)), num_classes, dtype=scores.dtype)
    return ops.sum(ops.where(picked > 0, scores, 0), axis=-1)


def _resolve_outputs(target, scores):
    if not isinstance(target, Mapping):
        raise ValueError(
            f"The model has the outputs {list(scores)}: choose by a dict from output name to target. Received: target={target!r}"
        )
    unknown = [name for name in target if name not in scores]
    if unknown or not target:
        raise ValueError(f"Expected output names out of {list(scores)}. Received: {list(target)}")
    return sum(resolve_target(choice, scores[name]) for name, choice in target.items())
