"""Graphs with inputs of unknown sizes, at the sizes of given samples."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import tree

from keras_xai.data.checks import is_number
from keras_xai.graph.nodes import is_open, names_unused
from keras_xai.graph.steps import Graph, Step


def has_lost_sizes(graph: Graph) -> bool:
    """Whether sizes inside a graph are unknown although those of its inputs are known, as in a nested model of inputs of any size."""
    return not any(map(is_open, graph.input_specs)) and any(is_open(spec) for step in graph.steps for spec in step.input_specs)


@names_unused()
def at_sizes(graph: Graph, shapes: Sequence[Sequence[int]]) -> Graph:
    """The graph with the sizes of its tensors for inputs of given sizes; it computes the same.

    Args:
        graph: The calls of a functional model.
        shapes: Shape of a sample of each input, which fills in unknown sizes.
    """
    inputs = all_sized(graph.input_specs, shapes)
    specs = dict(zip(graph.inputs, inputs, strict=True))
    steps = []
    for step in graph.steps:
        given = tuple(_like(spec, specs.get(each, spec)) for each, spec in zip(step.inputs, step.input_specs, strict=True))
        found = _outputs(step, given)
        specs.update(zip(step.outputs, found, strict=True))
        steps.append(dataclasses.replace(step, input_specs=given, output_specs=found))
    outputs = tuple(_like(spec, specs[each]) for each, spec in zip(graph.outputs, graph.output_specs, strict=True))
    return dataclasses.replace(
        graph,
        steps=tuple(steps),
        input_specs=tuple(inputs),
        input_structure=tree.pack_sequence_as(graph.input_structure, inputs),
        output_specs=outputs,
        output_structure=tree.pack_sequence_as(graph.output_structure, list(outputs)),
    )


def _like(spec, other):
    """A specification with the sizes of another one."""
    if len(spec.shape) != len(other.shape) or spec.shape[1:] == other.shape[1:]:
        return spec
    return keras.KerasTensor((*spec.shape[:1], *other.shape[1:]), spec.dtype, name=spec.name)


def all_sized(specs: Sequence[keras.KerasTensor], shapes: Any) -> list[keras.KerasTensor]:
    """The specifications of inputs with the sizes of samples in place of unknown ones.

    Args:
        specs: Those of the inputs.
        shapes: Shape of a sample of each input.

    Raises:
        ValueError: If there is not one shape for each input.
    """
    if not (isinstance(shapes, (list, tuple)) and len(shapes) == len(specs) and all(map(_is_shape, shapes))):
        raise ValueError(
            "Expected `shapes` to be a list of the shape of a sample of each input, such as [(6,)], for inputs of the shapes "
            f"{[spec.shape[1:] for spec in specs]}. Received: shapes={shapes!r}"
        )
    return [_sized(spec, shape) for spec, shape in zip(specs, shapes, strict=True)]


def _is_shape(shape):
    return isinstance(shape, (list, tuple)) and all(size is None or (is_number(size) and size >= 1) for size in shape)


def _sized(spec: keras.KerasTensor, shape: Sequence[int]) -> keras.KerasTensor:
    if not is_open(spec) or len(shape) != len(spec.shape) - 1:
        return spec
    sizes = [size if known is None else known for known, size in zip(spec.shape[1:], shape, strict=True)]
    return keras.KerasTensor((spec.shape[0], *sizes), spec.dtype, name=spec.name)


def _outputs(step: Step, inputs: Sequence[keras.KerasTensor]) -> tuple[keras.KerasTensor, ...]:
    """The output specs of a step for inputs of given sizes; unchanged if the step cannot compute them."""
    args, kwargs = step.bind([keras.KerasTensor(spec.shape, spec.dtype) for spec in inputs])
    try:
        found = tree.flatten(step.operation.compute_output_spec(*args, **kwargs))
    except Exception:  # of layers that cannot be called with symbolic tensors
        return step.output_specs
    if len(found) != len(step.output_specs):
        return step.output_specs
    return tuple(_like(old, new) for old, new in zip(step.output_specs, found, strict=True))
