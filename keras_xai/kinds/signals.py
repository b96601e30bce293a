"""Products of a signal with a gate, as in LSTM and GRU."""

import functools
from collections.abc import Iterable

from keras import ops

from keras_xai.graph.nodes import operation_class
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.product import ScaledByConstant
from keras_xai.kinds.smooth import Product


def signals(steps: Iterable[Step]) -> dict[Step, int]:
    """The products of a gate and a signal, with the identifier of the signal.

    A gate is a sigmoid, or one minus it. The other factor is none, and both have the shape of the product.

    Args:
        steps: Steps in the order of a graph.
    """
    gates: set[int] = set()
    found = {}
    for step in steps:
        within = [identifier in gates for identifier in step.inputs]
        if isinstance(step.operation, _sigmoids()) or (any(within) and _is_complement(step)):
            gates.update(step.outputs)
        elif within.count(True) == 1 and _multiplies_two(step):
            found[step] = step.inputs[within.index(False)]
    return found


def _multiplies_two(step):
    shapes = {tuple(spec.shape) for spec in (*step.input_specs, *step.output_specs)}
    return (
        type(kind_of(step)) in (Product, ScaledByConstant) and len(step.inputs) == step.num_varying == 2 and len(shapes) == 1
    )


def _is_complement(step):
    return isinstance(step.operation, _subtraction()) and len(step.inputs) == 1 and step.constants() == [1]


@functools.cache
def _sigmoids():
    return tuple(map(operation_class, (ops.sigmoid, ops.hard_sigmoid)))


@functools.cache
def _subtraction():
    return operation_class(lambda x: 1 - x)
