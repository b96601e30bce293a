"""Tensors of a network that are nonnegative for all inputs."""

from collections.abc import Iterable

from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of


def nonnegative_tensors(steps: Iterable[Step], known: Iterable[int] = ()) -> frozenset[int]:
    """Identifiers of tensors that are provably nonnegative.

    Args:
        steps: Simple steps, in the order of a graph.
        known: Identifiers of tensors known to be nonnegative.
    """
    found = set(known)
    for step in steps:
        kind = kind_of(step)
        if kind.nonnegative(step) or (found.issuperset(step.inputs) and kind.keeps_sign(step)):
            found.update(step.outputs)
    return frozenset(found)
