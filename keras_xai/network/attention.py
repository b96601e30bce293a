"""Attention in a graph: softmax steps whose outputs weight values, their layers, and their tokens."""

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, final

from keras import KerasTensor, Layer, ops

from keras_xai.graph.nodes import function_of
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.shape import Choice


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Attention:
    """Attention weights in a graph, in which attention runs as single steps.

    Attributes:
        path: Path of the attention layer; of the softmax itself if no layer has both it and the product with the values.
        identifier: Identifier of the weights, as they are multiplied by the values: after masks and dropout.
        spec: Their shape and dtype.
        softmax: The step that computes them.
        product: The step that multiplies them by the values.
        values: Identifier of the values.
        queries: Axes of the queries in the weights.
        keys: Axes of the keys. All axes other than these and the first count as heads.
    """

    path: str
    identifier: int
    spec: KerasTensor
    softmax: Step
    product: Step
    values: int
    queries: tuple[int, ...]
    keys: tuple[int, ...]

    def count(self, axes: Sequence[int]) -> int | None:
        """The number of queries or of keys, `None` if it is unknown."""
        sizes = [self.spec.shape[axis] for axis in axes]
        return None if None in sizes else math.prod(sizes)

    def by_head(self, tensor: Any) -> Any:
        """The weights, or a tensor of their shape, as `(rows, heads, queries, keys)`."""
        apart = {0, *self.queries, *self.keys}
        heads = [axis for axis in range(len(self.spec.shape)) if axis not in apart]
        shape = ops.shape(tensor)
        sizes = [math.prod(shape[axis] for axis in axes) for axes in (heads, self.queries, self.keys)]
        return ops.reshape(ops.transpose(tensor, (0, *heads, *self.queries, *self.keys)), (-1, *sizes))


def attentions_of(graph: Graph) -> list[Attention]:
    """The attention weights in a graph, in the order in which they are computed.

    Args:
        graph: A graph in which attention is divided into steps, see `keras_xai.kinds.expansion.expand`.
    """
    uses = collections.defaultdict(list)
    for step in graph.steps:
        for position, identifier in enumerate(step.inputs):
            uses[identifier].append((step, position))
    found = [each for step in graph.steps if _is_softmax(step) and (each := _attention(step, uses)) is not None]
    paths = [_layer_of(graph, each) for each in found]
    # Two attentions in one layer are distinguished by their softmax.
    return [
        dataclasses.replace(each, path=path if path and paths.count(path) == 1 else each.softmax.path)
        for each, path in zip(found, paths, strict=True)
    ]


def sources_of(graph: Graph, attentions: Iterable[Attention], inputs: Iterable[int]) -> dict[int, frozenset]:
    """The sources of each tensor of a graph: inputs, and the last attention on the path from them.

    Args:
        graph: The graph.
        attentions: The attention in it.
        inputs: Positions of the inputs that count. What depends on them by comparisons only, as masks do, does not.

    Returns:
        By identifier, a set of positions of inputs and of `Attention`.
    """
    counted = set(inputs)
    found: dict[int, frozenset] = {
        identifier: frozenset({position} & counted) for position, identifier in enumerate(graph.inputs)
    }
    products = {each.product.outputs[0]: each for each in attentions}
    for step in graph.steps:
        behind = frozenset().union(*(found[identifier] for identifier in step.inputs))
        for identifier, spec in zip(step.outputs, step.output_specs, strict=True):
            found[identifier] = (
                frozenset({products[identifier]})
                if identifier in products
                else frozenset()
                if spec.dtype == "bool"
                else behind
            )
    return found


def operands_of(graph: Graph, attention: Attention, sources: dict[int, frozenset]) -> list[int]:
    """Identifiers of the tensors that the weights are computed from: a query and a key, or fewer if one of them is constant.

    Args:
        graph: The graph.
        attention: The attention.
        sources: As from `sources_of`.
    """
    makers = {identifier: step for step in graph.steps for identifier in step.outputs}
    tensor = attention.softmax.inputs[0]
    while tensor in makers:
        given = [identifier for identifier in makers[tensor].inputs if sources[identifier]]
        if len(given) != 1:
            return given
        (tensor,) = given
    return [tensor]


def _is_softmax(step):
    kind = kind_of(step)
    return len(step.inputs) == 1 and kind.gates(step) and kind.relevance(step) == "softmax"


def _attention(softmax, uses):
    """The attention whose weights a softmax computes, `None` if it weights no values."""
    (tensor,) = softmax.outputs
    rank = len(softmax.output_specs[0].shape)
    axes = softmax.operation.axis
    keys = tuple(sorted(axis % rank for axis in (axes if isinstance(axes, (list, tuple)) else [axes])))
    reached, queue = {tensor}, [tensor]
    while queue:
        identifier = queue.pop(0)
        for step, position in uses[identifier]:
            if step.num_varying == len(step.inputs) == 2 and (found := _weighted(step, position, keys)) is not None:
                queries, values = found
                spec = step.input_specs[position]
                return Attention("", identifier, spec, softmax, step, values, queries, keys)
            if _keeps(step, position) and step.outputs[0] not in reached:
                reached.add(step.outputs[0])
                queue.append(step.outputs[0])
    return None


def _keeps(step, position):
    """Whether a step only masks, drops or casts the entries of an input."""
    if len(step.outputs) != 1 or tuple(step.output_specs[0].shape) != tuple(step.input_specs[position].shape):
        return False
    kind = kind_of(step)
    return kind.elementwise(step) or isinstance(kind, Choice)


def _weighted(step, position, keys):
    """The axes of the queries in an input of a product, and the identifier of the other, `None` if it does not sum over the keys."""
    letters = kind_of(step).letters(step)
    if letters is None or len(step.input_specs[position].shape) < 3:
        return None
    own, other, output = letters[position], letters[1 - position], letters[2]
    if any(own[axis] not in other or own[axis] in output for axis in keys):
        return None
    alone = [axis for axis, letter in enumerate(own) if letter in output and letter not in other]
    queries = tuple(alone[-len(keys) :])  # heads that share their values come before
    return (queries, step.inputs[1 - position]) if len(queries) == len(keys) else None


def _layer_of(graph, attention):
    """The path of the innermost layer that has both the softmax and the product, empty if none has."""
    ends = attention.softmax.path, attention.product.path
    around = [
        path
        for path, operation in graph.calls
        if isinstance(operation, Layer)
        and not (hasattr(operation, "layers") and function_of(operation) is not None)
        and all(end.startswith((f"{path}.", f"{path}/")) for end in ends)
    ]
    return max(around, key=len, default="")
