"""Which tensors of a network have no negative entries, whatever the input."""

from collections.abc import Iterable

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds import kind_of


def nonnegative_tensors(layers: Iterable[tuple[Step, Graph]]) -> frozenset[int]:
    """Identifiers of tensors that have no negative entries. Others may have none either.

    Args:
        layers: The calls of a network in order, each with the simple steps that it consists of.
    """
    known: set[int] = set()
    for step, parts in layers:
        within = known & set(step.inputs)
        for part in parts.steps:
            kind = kind_of(part)
            if kind.nonnegative(part) or (within.issuperset(part.inputs) and kind.keeps_sign(part)):
                within.update(part.outputs)
        known.update(outer for outer, inner in zip(step.outputs, parts.outputs, strict=True) if inner in within)
    return frozenset(known)
