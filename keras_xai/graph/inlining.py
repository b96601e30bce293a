"""Composition of graphs: replacing steps by their parts, and prepending steps."""

import dataclasses
import itertools
from collections.abc import Callable

import keras

from keras_xai.graph.steps import Graph, Step


def preceded(step: Step, operation: keras.Operation, graph: Graph) -> Graph:
    """The graph that calls `operation` with the arguments of `step`, and then applies `graph` to its output."""
    start = 1 + max(graph.inputs + graph.outputs + tuple(i for step in graph.steps for i in step.outputs))
    first = dataclasses.replace(step, path="", operation=operation, inputs=(start,), outputs=graph.inputs)
    return dataclasses.replace(graph, inputs=(start,), input_specs=step.input_specs, steps=(first, *graph.steps))


def inlined(graph: Graph, parts: Callable[[Step], Graph | None]) -> Graph:
    """The graph with each step recursively replaced by its parts.

    Args:
        graph: The graph.
        parts: Maps a step to the graph of its parts, or to `None`. A part `"relu"` of the step `"dense"` has the path `"dense.relu"`, a
            layer `"/relu"` inside it the path `"dense/relu"`.
    """
    steps: list[Step] = []
    fresh = itertools.count(1 + max(graph.inputs + tuple(i for step in graph.steps for i in step.outputs)))
    renamed: dict[int, int] = {}  # an output that the parts pass through is the input itself
    calls = list(graph.calls)
    masks: dict[int, int] = {}  # masks that parts attach to their outputs, which Keras does not record

    def visit(step):
        step = dataclasses.replace(step, inputs=tuple(renamed.get(i, i) for i in step.inputs))
        step = step.masked(masks)
        inner = parts(step)
        if inner is None:
            steps.append(step)
            if _passes_masks(step) and step.inputs[0] in masks:
                masks[step.outputs[0]] = masks[step.inputs[0]]
            return
        names = dict(zip(inner.inputs, step.inputs, strict=True))
        calls.extend((step.path + path, layer) for path, layer in inner.calls if path.startswith("/"))
        for part in inner.steps:
            for identifier in part.outputs:
                names[identifier] = next(fresh)
            suffix = f".{part.path}" if part.path and len(inner.steps) > 1 else ""
            suffix = part.path if part.path.startswith("/") else suffix
            visit(
                dataclasses.replace(
                    part,
                    path=step.path + suffix,
                    inputs=tuple(names[i] for i in part.inputs),
                    outputs=tuple(names[i] for i in part.outputs),
                )
            )
        for outer, identifier in zip(step.outputs, inner.outputs, strict=True):
            renamed[outer] = renamed.get(names[identifier], names[identifier])
            if identifier in inner.masks:
                masks[renamed[outer]] = renamed.get(names[inner.masks[identifier]], names[inner.masks[identifier]])

    for step in graph.steps:
        visit(step)
    outputs = tuple(renamed.get(i, i) for i in graph.outputs)
    return dataclasses.replace(graph, outputs=outputs, steps=tuple(steps), calls=tuple(calls))


def _passes_masks(step):
    """Whether a layer attaches the mask of its input to its output."""
    operation = step.operation
    default = isinstance(operation, keras.Layer) and type(operation).compute_mask is keras.Layer.compute_mask
    return default and operation.supports_masking
