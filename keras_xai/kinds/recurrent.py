"""Recurrent layers, divided into the steps of their cells."""

import dataclasses
import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
from keras import layers, ops, tree

from keras_xai.graph.calls import FromWeights, inside, run
from keras_xai.graph.inlining import inlined
from keras_xai.graph.nodes import trace_function
from keras_xai.graph.steps import Graph, Slot, Step, mask_of, with_attributes
from keras_xai.graph.view import unchanged
from keras_xai.kinds.axes import Named, by_format
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.shape import Choice
from keras_xai.kinds.smooth import OfSequence


@final
class Masked(keras.Operation):
    """New entries where a mask is true, old ones elsewhere."""

    def call(self, new, old=None, mask=None):
        """The entries of both, of the shape of `new`.

        Args:
            new: Tensor `(n, ...)`.
            old: A tensor of the same shape; zeros by default.
            mask: Tensor `(n,)`, or of as many entries.
        """
        mask = ops.reshape(ops.cast(mask, "bool"), (-1, *[1] * (len(new.shape) - 1)))
        return ops.where(mask, new, ops.zeros_like(new) if old is None else old)

    def compute_output_spec(self, new, old=None, mask=None):
        return keras.KerasTensor(new.shape, new.dtype)


class Recurrent(OfSequence):
    """A layer that calls its cell for each time step."""

    def __init__(self):
        super().__init__("it computes time step after time step, and is not divided into them here")

    def unrolled(self, step):
        return _unrolled(step)

    def refusal(self, step):
        try:
            self.unrolled(step)
        except ValueError as error:
            return str(error)
        return super().refusal(step)


class Convolutional(Recurrent):
    """A recurrent layer of maps, whose cell convolves."""

    def convolves(self, step):
        return True

    def channel_axis(self, step):
        return -1 - step.operation.cell.rank if self.data_format(step) == "channels_first" else -1

    def axis_names(self, step):
        of_map = by_format(self.data_format(step), step.operation.cell.rank + 1)
        return Named(["T", *of_map], ["T", *of_map] if step.operation.return_sequences else of_map)

    def axis_sources(self, step, position):
        if position:
            return None
        axes = range(1, len(step.input_specs[0].shape) - 1)
        return [*([(0,)] if step.operation.return_sequences else []), *((axis,) for axis in axes)]


class BothDirections(Recurrent):
    """Two recurrent layers, one of which starts from the last time step."""

    def unrolled(self, step):
        layer = step.operation

        def call(sequences, initial_state=None, mask=None, training=None):
            mask = _mask(sequences, initial_state, mask)
            given = {} if mask is None else {"mask": mask}
            states: Sequence = (None, None)
            if initial_state is not None:
                half = len(initial_state) // 2
                states = (initial_state[:half], initial_state[half:])
            found = [
                each(sequences, initial_state=state, **given)
                for each, state in zip((layer.forward_layer, layer.backward_layer), states, strict=True)
            ]
            more = [state for each in found for state in each[1:]] if layer.return_state else []
            y, back = [each[0] if layer.return_state else each for each in found]
            merged = _merged(layer.merge_mode, y, ops.flip(back, axis=1) if layer.return_sequences else back)
            return (*merged, *more) if isinstance(merged, tuple) else (merged, *more) if more else merged

        return inside(step, call, compare=False)  # as in the layer's own `call()`


def _merged(mode, y, back):
    """The output of a `Bidirectional` layer, merged from both directions."""
    if mode == "concat":
        return ops.concatenate([y, back], axis=-1)
    if mode is None:
        return y, back
    return {"sum": lambda: y + back, "ave": lambda: (y + back) / 2, "mul": lambda: y * back}[mode]()


def _unrolled(step: Step) -> Graph:
    """The graph of a recurrent layer, with the steps of its cell for each time step.

    The cell is traced twice, for the states that the layer starts with and for any others, and these steps are repeated.

    Raises:
        ValueError: If the number of time steps is not known, or the cell cannot be traced.
    """
    layer, cells = step.operation, _traced_cells(step)

    def call(sequences, initial_state=None, mask=None, training=None):
        mask = _mask(sequences, initial_state, mask)
        states = None if initial_state is None else tree.flatten(initial_state)
        output: Any = None
        outputs = []
        for time in reversed(range(sequences.shape[1])) if layer.go_backwards else range(sequences.shape[1]):
            x, masks = sequences[:, time], [] if mask is None else [mask[:, time]]
            if states is None:
                new, *updated = cells.first(x, *masks)
            else:
                new, *updated = cells.other(x, *states)
                if mask is not None:
                    updated = [Masked()(one, old, mask=masks[0]) for one, old in zip(updated, states, strict=True)]
            if mask is not None:
                new = Masked()(new, None if layer.zero_output_for_mask else output, mask=masks[0])
            states, output = updated, new
            outputs.append(output)
        output = ops.stack(outputs, axis=1) if layer.return_sequences else output
        return (output, *states) if layer.return_state else output

    def bound(*tensors):
        args, kwargs = step.bind(tensors)
        return call(*args, **kwargs)

    graph = trace_function(bound, step.input_specs, name=f"{type(layer).__name__}.call", owner=layer)
    return _weights_once(inlined(_with_paths(graph, layer.cell.name), _of_cell))


@dataclasses.dataclass(frozen=True)
class _Cells:
    """The traced calls of a cell: for the states that the layer starts with, and for any others."""

    first: "CellCall | None"
    other: "CellCall"


def _traced_cells(step: Step) -> _Cells:
    layer = step.operation
    given = _SIGNATURE.bind(*step.arguments[0], **step.arguments[1]).arguments
    sequences = step.input_specs[given["sequences"].position]
    _check(step, sequences)
    cell = _without_dropout(layer.cell)
    frame = keras.KerasTensor((None, *sequences.shape[2:]), sequences.dtype)
    structure, first = given.get("initial_state"), None
    if structure is None:
        structure = layer.get_initial_state(batch_size=1)
        masked = given.get("mask") is not None or given["sequences"].mask is not None
        specs = (frame, keras.KerasTensor((None,), "bool")) if masked else (frame,)
        called = _call_of(FirstCall(layer, cell), specs, ((Slot(0),), {"mask": Slot(1)} if masked else {}))
        first = CellCall(inside(called, called.operation.traced))
        states = list(first.graph.output_specs[1:])
    else:
        states = [step.input_specs[leaf.position] if isinstance(leaf, Slot) else leaf for leaf in tree.flatten(structure)]
        structure = structure if tree.is_nested(structure) else [structure]
    slots = tree.pack_sequence_as(structure, [Slot(1 + place) for place in range(len(states))])
    named = [keras.KerasTensor((None, *each.shape[1:]), each.dtype) for each in states]
    called = _call_of(cell, (frame, *named), ((Slot(0), slots), _at_inference(cell)))
    return _Cells(first, CellCall(inside(called, _traceable(cell))))


def _call_of(operation, specs, arguments) -> Step:
    """The call of a layer, whose outputs are found by calling it."""
    step = Step("", operation, tuple(range(len(specs))), (), specs, (), arguments)
    args, kwargs = step.bind([ops.zeros([1, *spec.shape[1:]], spec.dtype) for spec in specs])
    with unchanged():
        found = tree.flatten(operation(*args, **kwargs))
    outputs = tuple(keras.KerasTensor((None, *each.shape[1:]), keras.backend.standardize_dtype(each.dtype)) for each in found)
    return dataclasses.replace(step, outputs=tuple(range(len(specs), len(specs) + len(outputs))), output_specs=outputs)


def _signature(sequences, initial_state=None, mask=None, training=None):
    """The arguments of the calls of recurrent layers."""


_SIGNATURE = inspect.signature(_signature)


@final
class CellCall(keras.Operation):
    """A call of a cell of which the graph is known.

    Args:
        graph: Its inputs are one time step and the states, its outputs the output and the new states.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph

    def call(self, *tensors):
        return run(self.graph, tensors)

    def compute_output_spec(self, *tensors):
        return [keras.KerasTensor(spec.shape, spec.dtype) for spec in self.graph.output_specs]


class FirstCall(keras.Layer):
    """The first call of a cell, with the states that its layer starts with.

    Args:
        layer: The recurrent layer.
        cell: Its cell.
    """

    def __init__(self, layer: keras.Layer, cell: keras.Layer):
        super().__init__(dtype=layer.dtype_policy)
        self.supports_masking = True
        self._recurrent = layer
        self._cell = cell

    def call(self, x, mask=None):
        return self.result(self._cell, x, mask)

    def traced(self, x, mask=None):
        """The same without a record of the call of the cell, whose operations are recorded instead."""
        return self.result(_traceable(self._cell), x, mask)

    def result(self, cell: Any, x: Any, mask: Any) -> list:
        """The output and the new states of `cell`, where a mask is false the old ones."""
        states = self._recurrent.get_initial_state(batch_size=ops.shape(x)[0])
        new, *updated = tree.flatten(cell(x, states, **_at_inference(self._cell)))
        if mask is not None:
            pairs = zip(updated, tree.flatten(states), strict=True)
            updated = [Masked()(one, ops.cast(other, one.dtype), mask=mask) for one, other in pairs]
        return [new, *updated]


def _at_inference(cell):
    return {"training": False} if cell._call_has_training_arg else {}


def _mask(sequences, initial_state, mask):
    """The mask of a call: an argument or, as Keras finds it for calls of one tensor, attached to the sequences."""
    mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
    return mask_of(sequences) if mask is None and initial_state is None else mask


def _check(step: Step, spec) -> None:
    """Raises a `ValueError` for calls that cannot be divided into time steps."""
    layer, reason = step.operation, None
    if spec.shape[1] is None:
        reason = "it calls its cell once for each time step, and their number is not known; give `keras.Input` a length"
    elif layer.stateful:
        reason = "it is stateful, and starts from other states for each row of a batch; build it with `stateful=False`"
    elif not isinstance(layer.cell, keras.Layer):
        reason = f"its cell is not a Keras layer, but a {type(layer.cell).__name__}"
    elif step.arguments[1].get("training") and drops(layer):
        reason = "it drops entries in training, the same ones for all time steps"
    if reason:
        raise ValueError(reason)


def drops(layer: Any) -> bool:
    """Whether a recurrent layer drops entries in training."""
    rates = ("dropout", "recurrent_dropout")
    within = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    return any(getattr(each, name, 0) for each in within for name in rates)


def _without_dropout(cell):
    """A view of a cell that draws no random numbers; some cells draw unused ones at inference."""
    if not drops(cell):
        return cell
    none = {name: 0.0 for name in ("dropout", "recurrent_dropout") if hasattr(cell, name)}
    inner = {"cells": [_without_dropout(each) for each in cell.cells]} if isinstance(cell, layers.StackedRNNCells) else {}
    return with_attributes(cell, none | inner)


def _traceable(cell) -> Callable:
    """The `call()` of a cell without records of the calls of stacked cells, whose operations are recorded instead."""
    if not isinstance(cell, layers.StackedRNNCells):
        return cell.call
    # Stacked cells that are not callable are run by their `call()`.
    return with_attributes(cell, {"cells": [types.SimpleNamespace(call=_traceable(each)) for each in cell.cells]}).call


def _with_paths(graph: Graph, name: str) -> Graph:
    """The graph in which calls of the cell have the paths of a layer that is called several times."""
    steps, count = [], 0
    for step in graph.steps:
        if isinstance(step.operation, CellCall):
            step = dataclasses.replace(step, path=f"/{name}" + (f":{count}" if count else ""))
            count += 1
        steps.append(step)
    return dataclasses.replace(graph, steps=tuple(steps))


def _of_cell(step: Step) -> Graph | None:
    return step.operation.graph if isinstance(step.operation, CellCall) else None


def _weights_once(graph: Graph) -> Graph:
    """The graph in which results that the calls of a cell compute from weights alone are computed once."""
    first: dict[FromWeights, Step] = {}
    renamed: dict[int, int] = {}
    steps = []
    for step in graph.steps:
        if isinstance(step.operation, FromWeights) and step.operation in first:
            renamed.update(zip(step.outputs, first[step.operation].outputs, strict=True))
            continue
        if isinstance(step.operation, FromWeights):
            first[step.operation] = step
        steps.append(dataclasses.replace(step, inputs=tuple(renamed.get(i, i) for i in step.inputs)))
    return dataclasses.replace(graph, steps=tuple(steps))


_SERIES, _MAPS = (4, 2), {1: (3, 6, 2), 2: (3, 6, 6, 2), 3: (2, 4, 4, 4, 2)}

register(
    Masked,
    Choice(),
    Example((4,), lambda x: Masked()(x, -x, mask=ops.convert_to_tensor([False]))),
    Example((4,), lambda x: Masked()(x, mask=ops.convert_to_tensor([True]))),
)
register(layers.RNN, Recurrent(), Example(_SERIES, lambda x: layers.RNN(layers.LSTMCell(2))(x)))
for _class in (layers.LSTM, layers.GRU, layers.SimpleRNN):
    register(_class, Recurrent(), Example(_SERIES, lambda x, cls=_class: cls(2)(x)))
for _rank, _class in ((1, layers.ConvLSTM1D), (2, layers.ConvLSTM2D), (3, layers.ConvLSTM3D)):
    register(_class, Convolutional(), Example(_MAPS[_rank], lambda x, cls=_class: cls(2, 3)(x)))
register(
    layers.Bidirectional,
    BothDirections(),
    Example(_SERIES, lambda x: layers.Bidirectional(layers.LSTM(2))(x)),
)
