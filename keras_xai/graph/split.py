"""Subgraphs: splits, prefixes and single steps."""

import dataclasses
from collections.abc import Iterable, Sequence

import keras

from keras_xai.graph.steps import Graph, Step


def split(graph: Graph, path: str) -> tuple[Graph, Graph]:
    """Splits a graph after a layer.

    Args:
        graph: The graph.
        path: The layer's path.

    Returns:
        `(before, after)`: from the graph's inputs to the layer's output, and from there to the graph's outputs.

    Raises:
        ValueError: If there is no such layer, it does not have one output, or the graph's outputs also depend on the inputs by other paths.
    """
    step = graph.end_of(path)
    if len(step.outputs) != 1:
        raise ValueError(f"Expected a layer with one output. Received: '{path}', which has {len(step.outputs)}.")
    around = [other.path for other in leading_to(graph, graph.outputs, step.outputs) if set(other.inputs) & set(graph.inputs)]
    if around or set(graph.outputs) & set(graph.inputs):
        raise ValueError(
            f"Expected a layer through which the whole output of the model passes. Received: '{path}', while the output also depends on "
            f"the model's input through {around[:3]}. Choose a layer after the merge of the branches."
        )
    before = up_to(graph, step.outputs, step.output_specs, (path,))
    after = dataclasses.replace(
        graph,
        inputs=step.outputs,
        input_specs=step.output_specs,
        input_structure=step.output_specs[0],
        steps=leading_to(graph, graph.outputs, step.outputs),
    )
    return before, after


def upstream(graph: Graph, step: Step) -> Graph:
    """The subgraph that computes the inputs of a step.

    Args:
        graph: The graph.
        step: One of its steps.

    Returns:
        A graph with the same inputs, whose outputs are the step's inputs.
    """
    return up_to(graph, step.inputs, step.input_specs, tuple(spec.name for spec in step.input_specs))


def up_to(graph: Graph, outputs: Sequence[int], specs: Sequence[keras.KerasTensor], names: Sequence[str]) -> Graph:
    """The subgraph that computes other tensors than the graph's outputs.

    Args:
        graph: The graph.
        outputs: Identifiers of the tensors.
        specs: `keras.KerasTensor` of each.
        names: Name of each tensor.

    Returns:
        A graph with the same inputs, whose outputs are these tensors.
    """
    return dataclasses.replace(
        graph,
        outputs=tuple(outputs),
        output_specs=tuple(specs),
        output_names=tuple(names),
        output_structure=list(specs),
        steps=leading_to(graph, outputs, graph.inputs),
    )


def alone(step: Step) -> Graph:
    """The graph of one step.

    Args:
        step: The step.

    Returns:
        A graph whose inputs and outputs are those of the step.
    """
    return Graph(
        inputs=step.inputs,
        outputs=step.outputs,
        input_specs=step.input_specs,
        output_specs=step.output_specs,
        output_names=tuple(step.path for _ in step.outputs),
        input_structure=list(step.input_specs),
        output_structure=list(step.output_specs),
        steps=(step,),
    )


def leading_to(graph: Graph, outputs: Iterable[int], known: Iterable[int] = ()) -> tuple[Step, ...]:
    """The steps that lead to tensors, in order.

    Args:
        graph: The graph.
        outputs: Identifiers of the tensors.
        known: Identifiers of known tensors in addition to the graph's inputs.
    """
    known = set(known)
    wanted = set(outputs) - known
    steps = []
    for step in reversed(graph.steps):
        if wanted & set(step.outputs):
            wanted |= set(step.inputs) - known
            steps.append(step)
    return tuple(reversed(steps))
