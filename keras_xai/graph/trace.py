"""Tracing of Keras models into a flat list of operation calls.

This is the only module that reads Keras' symbolic graph. Nested models are flattened, a shared layer appears once per
call, and every call has a path such as ``"backbone/conv5"``.
"""

import collections
import contextlib
import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence

import keras
from keras import tree
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.ops.function import Function

from keras_xai.data.structure import in_order
from keras_xai.graph.steps import Graph, Slot, Step


def trace(model: keras.Model) -> Graph:
    """Traces a model into a graph of operation calls, with nested models flattened.

    Args:
        model: A built `keras.Sequential` or functional `keras.Model`. It is only read.

    Returns:
        A `Graph`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or is subclassed, so that it has no graph.

    Example:

    >>> import keras
    >>> from keras_xai.graph import trace
    >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")], name="backbone")
    >>> model = keras.Sequential([keras.Input((4,)), backbone, keras.layers.Dense(2, name="head")])
    >>> [step.path for step in trace(model).steps]
    ['backbone/hidden', 'head']
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected a `keras.Model`. "
            f"Received: model={model!r} (of type {type(model).__name__}). Pass a Sequential or functional Keras model."
        )
    function = _function_of(model)
    structure = function._inputs_struct
    names = [name or "output" for name in _output_names(function)]
    return _Tracer().trace(function, structure, tuple(names))


def trace_function(
    function: Callable, specs: Sequence[keras.KerasTensor], *, name: str = "", owner: keras.Layer | None = None
) -> Graph:
    """Traces a function written with Keras layers and `keras.ops`.

    Args:
        function: Maps tensors to one tensor. It is called once with symbolic tensors, without leaving records in the called layers.
        specs: Shape (with the batch dimension) and dtype of each argument.
        name: Name of the function in errors; its own name by default.
        owner: The layer of the function. Calls in it that do not lead to the output leave no record either.

    Returns:
        A `Graph` with one output, without steps if the function returns its input.

    Raises:
        ValueError: If the function cannot be called with symbolic tensors or does not return one.
    """
    name = name or getattr(function, "__name__", repr(function))
    with _names_unused(), _unrecorded(owner):
        inputs = [keras.Input(batch_shape=spec.shape, dtype=spec.dtype) for spec in specs]
        try:
            output = function(*inputs)
        except Exception as error:
            message = (str(error).splitlines() or [""])[0].split(". ")[0]
            raise ValueError(
                f"`{name}` cannot be called with a symbolic tensor, unlike functions made of Keras layers and `keras.ops` "
                f"({type(error).__name__}: {message})"
            ) from error
        if not isinstance(output, keras.KerasTensor):
            raise ValueError(f"`{name}` returns {type(output).__name__} and not one tensor")
        graph_function = Function(inputs, output)
        graph = _Tracer().trace(graph_function, inputs, (name,))
        _forget(graph_function)
    return dataclasses.replace(graph, steps=tuple(_relabeled(graph.steps)))


def operation_class(function: Callable, shape: Sequence[int] = (2,)) -> type[keras.Operation]:
    """The class of the `keras.Operation` that a function of `keras.ops` or `keras.activations` records in a graph.

    Args:
        function: Maps a tensor to a tensor; the last of several operations counts.
        shape: Shape of the tensor, without the batch dimension.
    """
    with _names_unused():
        return type(function(keras.KerasTensor((None, *shape)))._keras_history.operation)


@contextlib.contextmanager
def _names_unused():
    """Context manager that releases automatic names: the next `ReLU` of the user is still called "re_lu"."""
    counts = global_state.get_global_attribute("object_name_uids")
    before = None if counts is None else counts.copy()
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


@contextlib.contextmanager
def _unrecorded(owner):
    """Context manager that removes the call records of the layers inside `owner`."""
    records = []
    if owner is not None:
        for layer in owner._flatten_layers():
            records += [(nodes, list(nodes)) for nodes in (layer._inbound_nodes, layer._outbound_nodes)]
    try:
        yield
    finally:
        for nodes, before in records:
            nodes[:] = before


def _forget(function):
    """Removes the records of the calls in `function` from the called operations."""
    nodes = [node for each in function._nodes_by_depth.values() for node in each]
    callers = [(parent.operation, node) for node in nodes for parent in node.parent_nodes]
    for node in nodes:
        node.operation._inbound_nodes.remove(node)
    for operation, node in callers:
        if node in operation._outbound_nodes:
            operation._outbound_nodes.remove(node)


def preceded(step: Step, operation: keras.Operation, graph: Graph) -> Graph:
    """The graph that calls `operation` with the arguments of `step`, and then applies `graph` to its output."""
    start = 1 + max(graph.inputs + graph.outputs + tuple(i for step in graph.steps for i in step.outputs))
    first = dataclasses.replace(step, path="", operation=operation, inputs=(start,), outputs=graph.inputs)
    return dataclasses.replace(graph, inputs=(start,), input_specs=step.input_specs, steps=(first, *graph.steps))


def inlined(graph: Graph, parts: Callable[[Step], Graph | None]) -> Graph:
    """The graph with each step recursively replaced by its parts.

    Args:
        graph: The graph.
        parts: Maps a step to the graph of its parts, or to `None`.
    """
    steps: list[Step] = []
    fresh = itertools.count(1 + max(graph.inputs + tuple(i for step in graph.steps for i in step.outputs)))
    renamed: dict[int, int] = {}  # an output that the parts pass through is the input itself

    def visit(step):
        step = dataclasses.replace(step, inputs=tuple(renamed.get(i, i) for i in step.inputs))
        inner = parts(step)
        if inner is None:
            steps.append(step)
            return
        names = dict(zip(inner.inputs, step.inputs, strict=True))
        for part in inner.steps:
            for identifier in part.outputs:
                names[identifier] = next(fresh)
            suffix = f".{part.path}" if part.path and len(inner.steps) > 1 else ""
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

    for step in graph.steps:
        visit(step)
    outputs = tuple(renamed.get(i, i) for i in graph.outputs)
    return dataclasses.replace(graph, outputs=outputs, steps=tuple(steps))


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


def _function_of(model) -> Function:
    """The symbolic graph of a model; raises with advice if it has none."""
    name = f"'{model.name}' ({type(model).__name__})"
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        if model._functional is None:
            raise ValueError(
                f"Expected a built model. Received: the Sequential model {name}, which has not been built, so that its input "
                "shape is not known. Add `keras.Input(shape)` as its first element, or call it once on data."
            )
        return model._functional
    if isinstance(model, Functional) and type(model).call is Functional.call:
        return model
    raise ValueError(
        f"Expected a Sequential or functional model, which has a graph of layers. Received: {name}, which is subclassed: its layers are "
        "connected by Python code in `call()`. Rebuild it with the functional API, for example `inputs = keras.Input(shape); model = "
        "keras.Model(inputs, your_model.call(inputs))` if `call()` consists of Keras layers and `keras.ops` only."
    )


def _output_names(function) -> list[str]:
    structure = function._outputs_struct
    if isinstance(structure, dict):
        return _distinct([str(path[0]) for path, _ in tree.flatten_with_path(structure)])
    return _distinct([tensor._keras_history.operation.name for tensor in function.outputs])


def _distinct(names) -> list[str]:
    """Names, with ":1" and so on behind those that occurred before or are another's, so that each is one output's."""
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

    def trace(self, function, structure, names) -> Graph:
        inputs = self._fresh(len(function.inputs))
        outputs = self._walk(function, inputs, "")
        return Graph(
            inputs=inputs,
            outputs=outputs,
            input_specs=tuple(function.inputs),
            output_specs=tuple(function.outputs),
            output_names=names,
            input_structure=structure,
            output_structure=function._outputs_struct,
            steps=tuple(self._steps),
        )

    def _fresh(self, count) -> tuple[int, ...]:
        start = self._num_tensors
        self._num_tensors += count
        return tuple(range(start, self._num_tensors))

    def _walk(self, function, inputs, prefix) -> tuple[int, ...]:
        known = dict(zip(map(id, function.inputs), inputs, strict=True))
        calls: dict[int, int] = {}  # number of the next call of each operation
        names = {node.operation.name for nodes in function._nodes_by_depth.values() for node in nodes}
        for depth in sorted(function._nodes_by_depth, reverse=True):
            for node in function._nodes_by_depth[depth]:
                # A node that is not reachable from the inputs belongs to another use of a shared layer.
                if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                    continue
                count = calls.get(id(node.operation), 0)
                path = node.operation.name + (f":{count}" if count else "")
                while count and path in names:  # a layer may be called what the second call of another is
                    count += 1
                    path = f"{node.operation.name}:{count}"
                calls[id(node.operation)] = count + 1
                path = prefix + path
                for tensor, identifier in zip(node.outputs, self._call(node, known, path), strict=True):
                    known[id(tensor)] = identifier
        return tuple(known[id(tensor)] for tensor in function.outputs)

    def _call(self, node, known, path) -> tuple[int, ...]:
        inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
        if isinstance(node.operation, keras.Model):
            function = _function_of(node.operation)
            argument = node.arguments.args[0] if node.arguments.args else next(iter(node.arguments.kwargs.values()))
            given = [known[id(tensor)] for tensor in in_order(argument, function._inputs_struct, function.inputs)]
            return self._walk(function, tuple(given), path + "/")
        slots = iter(range(len(inputs)))
        arguments = tree.map_structure(
            lambda leaf: Slot(next(slots)) if isinstance(leaf, keras.KerasTensor) else leaf,
            (tuple(node.arguments.args), dict(node.arguments.kwargs)),
        )
        if isinstance(node.operation, keras.Layer) and "training" in inspect.signature(node.operation.call).parameters:
            arguments[1]["training"] = (
                False  # as in `model.predict`; the mode of the model's call overrides recorded arguments
            )
        outputs = self._fresh(len(node.outputs))
        self._steps.append(
            Step(path, node.operation, inputs, outputs, tuple(node.input_tensors), tuple(node.outputs), arguments)
        )
        return outputs
