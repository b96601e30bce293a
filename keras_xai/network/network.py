"""Forward passes through a traced model, stopped or resumed at any tensor, in any floating-point type."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import keras
from keras import ops

from keras_xai.backend import check_batch
from keras_xai.graph.runnable import check_runnable
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Step, run_steps
from keras_xai.graph.view import arithmetic, in_dtype, unchanged


@final
class Network:
    """A runnable graph. A run does not change the model, and reads its weights anew.

    Args:
        graph: The calls of a model, or of a part of it.
        dtype: Floating-point type of all arithmetic; by default that of each layer.
        held: Whether steps run as their affine maps on a linear piece, for which only steps that are layers leave the channels-first
            format.

    Attributes:
        graph: The calls, in `dtype`.
        dtype: As passed.

    Raises:
        ValueError: If the device cannot compute some of the steps, see `check_runnable`.
    """

    def __init__(self, graph: Graph, dtype: str | None = None, *, held: bool = False):
        self.graph = graph if dtype is None else in_dtype(graph, dtype)
        self.dtype = dtype
        check_runnable((step for step in self.graph.steps if not (held and isinstance(step.operation, keras.Layer))), dtype)

    def run(
        self,
        inputs: Sequence,
        *,
        until: Sequence[int] = (),
        known: Mapping[int, Any] | None = None,
        call: Callable[[Step, dict[int, Any]], Sequence] | None = None,
    ) -> dict[int, Any]:
        """The tensors of a forward pass by identifier.

        Args:
            inputs: One tensor for each input of the graph.
            until: Identifiers of the last tensors to compute; by default the graph's outputs.
            known: Known tensors by identifier, which are not computed.
            call: Maps a step and the tensors so far to its outputs; by default its operation is called.
        """
        check_batch(inputs)
        values = dict(zip(self.graph.inputs, inputs, strict=True)) | dict(known or {})
        with self.scope():
            run_steps(leading_to(self.graph, until or self.graph.outputs, values), values, call or self._called)
        return values

    def _called(self, step, values):
        tensors = [values[identifier] for identifier in step.inputs]
        size = step.input_specs[0].shape[0] if step.input_specs and getattr(step.operation, "stateful", False) else None
        return step(*tensors) if size is None else _in_batches(step, size, tensors, self.scope)

    def outputs(self, values: Mapping[int, Any]) -> list:
        """The outputs of the graph among the tensors of a forward pass."""
        return [values[identifier] for identifier in self.graph.outputs]

    def scope(self) -> AbstractContextManager:
        """Context manager in which steps compute as in `run`."""
        return unchanged() if self.dtype is None else arithmetic(self.dtype)


def _in_batches(step, size, tensors, scope):
    """A step that has a state for each of a fixed number of rows, on any number of rows; each batch starts at the present state."""
    count = ops.shape(tensors[0])[0]
    batches = (count + size - 1) // size
    rows = ops.minimum(ops.arange(batches * size, dtype="int32"), count - 1)
    divided = tuple(ops.reshape(ops.take(x, rows, axis=0), (batches, size, *x.shape[1:])) for x in tensors)

    def called(batch):
        with scope():  # its own, in which no state is left behind by another batch
            return tuple(step(*batch))

    return [ops.reshape(y, (-1, *y.shape[2:]))[:count] for y in ops.map(called, divided)]
