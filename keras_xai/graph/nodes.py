"""Keras' symbolic graph, read into steps.

This is the only module that reads it. Nested models are flattened, a shared layer appears once per call, and every call has a path such as
``"backbone/conv5"``.
"""

import collections
import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence

import keras
from keras import tree
from keras.src.backend.common import global_state
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope
from keras.src.models.functional import Functional
from keras.src.ops.function import Function

from keras_xai.backend import interrupts_wait, scopes_kept
from keras_xai.data.structure import in_order
from keras_xai.graph.steps import Graph, Slot, Step, mask_of, reads_masks, removes_masks
from keras_xai.graph.view import losses_kept, unchanged


def function_of(model: keras.Model) -> Function | None:
    """The symbolic graph of a model; `None` for a subclassed model, whose layers are connected by code in `call()`.

    Args:
        model: A Keras model.

    Raises:
        ValueError: If the model is a Sequential model that is not built.
    """
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        if model._functional is None:
            raise ValueError(
                f"Expected a built model. Received: the Sequential model '{model.name}' ({type(model).__name__}), which has not been "
                "built, so that its input shape is not known. Add `keras.Input(shape)` as its first element, or call it once on data."
            )
        return model._functional
    return model if isinstance(model, Functional) and type(model).call is Functional.call else None


def trace_nodes(function: Function) -> Graph:
    """Traces the nodes of Keras' symbolic graph.

    Args:
        function: A functional model, or another `keras.Function`.
    """
    names = [name or "output" for name in _output_names(function)]
    return _Tracer().trace(function, function._inputs_struct, tuple(names))


def trace_function(
    function: Callable, specs: Sequence[keras.KerasTensor], *, name: str = "", owner: keras.Layer | None = None
) -> Graph:
    """Traces a function written with Keras layers and `keras.ops`.

    Args:
        function: Maps tensors to a tensor, or a list, tuple or dict of them. It is called once with symbolic tensors, without leaving
            records in the called layers.
        specs: Shape (with the batch dimension) and dtype of each argument.
        name: Name of the function in errors; its own name by default.
        owner: The layer of the function. Calls in it that do not lead to the output leave no record either.

    Returns:
        A `Graph`, without steps if the function returns its input.

    Raises:
        ValueError: If the function cannot be called with symbolic tensors or does not return them.
    """
    name = name or getattr(function, "__name__", repr(function))
    with names_unused(), _unrecorded(owner), _stateless() as scope:
        inputs = [keras.Input(batch_shape=spec.shape, dtype=spec.dtype) for spec in specs]
        variables = getattr(owner, "variables", ())
        before = [scope.get_current_value(variable) for variable in variables]
        try:
            outputs = function(*inputs)
        except Exception as error:
            message = (str(error).splitlines() or [""])[0].split(". ")[0]
            raise ValueError(
                f"`{name}` cannot be called with a symbolic tensor, unlike functions made of Keras layers and `keras.ops` "
                f"({type(error).__name__}: {message})"
            ) from error
        if any(scope.get_current_value(each) is not value for each, value in zip(variables, before, strict=True)):
            raise ValueError(f"`{name}` changes variables, or draws random numbers")
        for output in tree.flatten(outputs) or [outputs]:
            if not isinstance(output, keras.KerasTensor):
                raise ValueError(f"`{name}` returns {type(output).__name__} and not a tensor that is computed from its input")
        graph_function = Function(inputs, outputs)
        graph = _Tracer().trace(graph_function, inputs, (name,) * len(graph_function.outputs), with_masks=True)
        _forget(graph_function)
    return dataclasses.replace(graph, steps=tuple(_relabeled(graph.steps)))


def operation_class(function: Callable, shape: Sequence[int] = (2,)) -> type[keras.Operation]:
    """The class of the `keras.Operation` that a function of `keras.ops` or `keras.activations` records in a graph.

    Args:
        function: Maps a tensor to a tensor; the last of several operations counts.
        shape: Shape of the tensor, without the batch dimension.
    """
    with names_unused():
        return type(function(keras.KerasTensor((None, *shape)))._keras_history.operation)


@contextlib.contextmanager
def names_unused():
    """Context manager that releases automatic names: the next `ReLU` of the user is still called "re_lu". Scopes of Keras are left."""
    counts = global_state.get_global_attribute("object_name_uids")
    before = None if counts is None else counts.copy()
    try:
        with interrupts_wait(), scopes_kept():
            yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


@contextlib.contextmanager
def _stateless():
    """Context manager in which calls change no variable: the current stateless scope, with its values, or a new one."""
    if in_stateless_scope():
        yield get_stateless_scope()
    else:
        with unchanged() as scope:
            yield scope


@contextlib.contextmanager
def _unrecorded(owner):
    """Context manager that removes the call records of the layers inside `owner`, and keeps their losses."""
    records = []
    if owner is not None:
        for layer in owner._flatten_layers():
            records += [(nodes, list(nodes)) for nodes in (layer._inbound_nodes, layer._outbound_nodes)]
    try:
        with losses_kept(owner), _specs_of_calls(owner):
            yield
    finally:
        for nodes, before in records:
            nodes[:] = before


@contextlib.contextmanager
def _specs_of_calls(owner):
    """Context manager in which layers inside `owner` report the output sizes that their `call()` determines.

    A layer may inherit a `compute_output_spec()` that lacks arguments of its `call()`, or that leaves sizes open, which does not matter as
    long as the layer around it runs.
    """
    changed = [] if owner is None else [each for each in owner._flatten_layers() if each is not owner]
    for layer in changed:
        # Bypasses `Layer.__setattr__`, which would keep a record of it.
        layer.__dict__["compute_output_spec"] = functools.partial(_output_spec, layer)
    try:
        yield
    finally:
        for layer in changed:
            layer.__dict__.pop("compute_output_spec", None)


def _output_spec(layer, *args, **kwargs):
    given = tree.flatten((args, kwargs))
    if kwargs.keys() <= inspect.signature(type(layer).compute_output_spec).parameters.keys():
        found = type(layer).compute_output_spec(layer, *args, **kwargs)
        if not _are_open(tree.flatten(found)) or _are_open(given):
            return found
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)


def _are_open(leaves):
    return any(is_open(leaf) for leaf in leaves if isinstance(leaf, keras.KerasTensor))


def is_open(spec: keras.KerasTensor) -> bool:
    """Whether sizes of a sample are unknown."""
    return None in spec.shape[1:]


def _forget(function):
    """Removes the records of the calls in `function` from the called operations."""
    nodes = [node for each in function._nodes_by_depth.values() for node in each]
    callers = [(parent.operation, node) for node in nodes for parent in node.parent_nodes]
    for node in nodes:
        node.operation._inbound_nodes.remove(node)
    for operation, node in callers:
        if node in operation._outbound_nodes:
            operation._outbound_nodes.remove(node)


def _relabeled(steps):
    """Steps named by their operations' classes, because automatic names depend on the process's history."""
    count: collections.Counter = collections.Counter()
    for step in steps:
        if isinstance(step.operation, keras.Layer):
            yield step
            continue
        label = type(step.operation).__name__.lower()
        yield dataclasses.replace(step, path=label + (f":{count[label]}" if count[label] else ""))
        count[label] += 1


def _output_names(function) -> list[str]:
    structure = function._outputs_struct
    if isinstance(structure, dict):
        return distinct([str(path[0]) for path, _ in tree.flatten_with_path(structure)])
    return distinct([tensor._keras_history.operation.name for tensor in function.outputs])


def distinct(names: Sequence[str]) -> list[str]:
    """Distinct names: appends ":1" and so on to repeated names."""
    found: list[str] = []
    for name in names:
        count, each = 0, name
        while each in found or (count and each in names):
            count += 1
            each = f"{name}:{count}"
        found.append(each)
    return found


class _Tracer:
    """Numbers tensors and collects steps while traversing a function and its nested models."""

    def __init__(self):
        self._steps: list[Step] = []
        self._num_tensors = 0
        self._masks: dict[int, int] = {}
        self._unmasked: set[int] = set()  # tensors whose mask Keras removes when the model runs, which a trace does not show
        self._calls: list[tuple[str, keras.Operation]] = []

    def trace(self, function, structure, names, *, with_masks=False) -> Graph:
        inputs = self._fresh(len(function.inputs))
        outputs = self._walk(function, inputs, "", with_masks=with_masks)
        return Graph(
            inputs=inputs,
            outputs=outputs,
            input_specs=tuple(function.inputs),
            output_specs=tuple(function.outputs),
            output_names=names,
            input_structure=structure,
            output_structure=function._outputs_struct,
            steps=tuple(self._steps),
            masks=self._masks,
            calls=tuple(self._calls),
        )

    def _fresh(self, count) -> tuple[int, ...]:
        start = self._num_tensors
        self._num_tensors += count
        return tuple(range(start, self._num_tensors))

    def _walk(self, function, inputs, prefix, *, with_masks=False) -> tuple[int, ...]:
        known = dict(zip(map(id, function.inputs), inputs, strict=True))
        calls: dict[int, int] = {}  # number of the next call of each operation
        names = {node.operation.name for nodes in function._nodes_by_depth.values() for node in nodes}
        for depth in sorted(function._nodes_by_depth, reverse=True):
            for node in function._nodes_by_depth[depth]:
                # A node that is not reachable from the inputs belongs to another use of a shared layer.
                if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                    continue
                if id(node.outputs[0]) not in known:
                    self._visit(node, known, (calls, names), prefix)
        for tensor in function.outputs if with_masks else ():
            if (mask := mask_of(tensor)) is not None:
                self._reach(mask, known, (calls, names), prefix)
                if id(mask) in known:
                    self._masks[known[id(tensor)]] = known[id(mask)]
        return tuple(known[id(tensor)] for tensor in function.outputs)

    def _visit(self, node, known, named, prefix):
        reads = reads_masks(node.operation, node.arguments.kwargs)
        masks = [
            mask_of(tensor) if reads and known[id(tensor)] not in self._unmasked else None for tensor in node.input_tensors
        ]
        for mask in masks:
            if mask is not None:
                self._reach(mask, known, named, prefix)
        calls, names = named
        count, path = calls.get(id(node.operation), 0), node.operation.name
        while count and (
            path == node.operation.name or path in names
        ):  # a layer may be called what a second call of another is
            path = f"{node.operation.name}:{count}"
            count += path in names
        calls[id(node.operation)] = count + 1
        path = prefix + path
        outputs = self._call(node, known, path, masks)
        for tensor, identifier in zip(node.outputs, outputs, strict=True):
            known[id(tensor)] = identifier
        self._remove_masks(node, known, outputs)

    def _remove_masks(self, node, known, outputs):
        """Notes which tensors have no mask after a call."""
        first = next(iter((*node.arguments.args, *node.arguments.kwargs.values())), None)
        # The mask of an output is computed from those of the first argument; a merge joins the masks of all arguments.
        if any(known[id(each)] in self._unmasked for each in tree.flatten(first) if isinstance(each, keras.KerasTensor)):
            self._unmasked.update(outputs)
        if removes_masks(node.operation):
            self._unmasked.update(known[id(tensor)] for tensor in node.input_tensors)

    def _reach(self, tensor, known, named, prefix):
        """Visits the nodes that compute a mask; they do not lead to an output of the model."""
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if id(tensor) in known or node.is_input:
            return
        for each in node.input_tensors:
            self._reach(each, known, named, prefix)
        if all(id(each) in known for each in node.input_tensors):
            self._visit(node, known, named, prefix)

    def _call(self, node, known, path, masks) -> tuple[int, ...]:
        self._calls.append((path, node.operation))
        inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
        function = function_of(node.operation) if isinstance(node.operation, keras.Model) else None
        if function is not None:
            argument = node.arguments.args[0] if node.arguments.args else next(iter(node.arguments.kwargs.values()))
            given = [known[id(tensor)] for tensor in in_order(argument, function._inputs_struct, function.inputs)]
            return self._walk(function, tuple(given), path + "/")
        masked = [position for position, mask in enumerate(masks) if mask is not None and id(mask) in known]
        count = len(inputs)
        slots = iter(
            [Slot(position, mask=count + masked.index(position) if position in masked else None) for position in range(count)]
        )
        inputs += tuple(known[id(masks[position])] for position in masked)
        specs = (*node.input_tensors, *(masks[position] for position in masked))
        arguments = tree.map_structure(
            lambda leaf: next(slots) if isinstance(leaf, keras.KerasTensor) else leaf,
            (tuple(node.arguments.args), dict(node.arguments.kwargs)),
        )
        if isinstance(node.operation, keras.Layer) and "training" in inspect.signature(node.operation.call).parameters:
            arguments[1]["training"] = (
                False  # as in `model.predict`; the mode of the model's call overrides recorded arguments
            )
        outputs = self._fresh(len(node.outputs))
        self._steps.append(Step(path, node.operation, inputs, outputs, specs, tuple(node.outputs), arguments))
        return outputs
