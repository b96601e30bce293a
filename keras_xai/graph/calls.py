"""Tracing through `call()`: the operations inside a subclassed model or an unregistered layer."""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops, tree

from keras_xai.graph.nodes import names_unused, trace_function
from keras_xai.graph.steps import BatchSize, Graph, Slot, Step, mask_of, run_steps
from keras_xai.graph.view import losses_kept, unchanged

# A call may compute with the number of samples. Traces with two numbers show which values are multiples of it.
_BATCHES = (2, 3)
# Attributes of operations that do not change their results.
_BOOKKEEPING = {"name", "_auto_config", "_inbound_nodes", "_outbound_nodes", "_remat_mode"}


class DiffersError(ValueError):
    """Raised if a traced graph does not compute the same as the call."""


@names_unused()
def inside(step: Step, call: Callable | None = None, *, compare: bool = True) -> Graph:
    """The graph of the operations inside a call, used only if it computes the same as the call.

    The paths of layers in it begin with `"/"`.

    Args:
        step: The call of a layer, or of a subclassed model.
        call: A function of the same arguments to trace in place of the layer's `call()`.
        compare: Whether to compare the two. A graph of a call that needs to know the number of samples is always compared.

    Raises:
        ValueError: If the layer's `call()` consists of other things than Keras layers and `keras.ops`, or if it computes something else
            than its operations, as random layers do.
    """
    call = call or step.operation.call
    try:
        graph = _Trace(step, call, None).graph()
        if compare:
            _check_equal(step, graph)
    except ValueError:
        if not _only_batch_is_open(step):
            raise
        graph = _of_batches(step, call)
        _check_equal(step, graph)
    return dataclasses.replace(
        graph,
        steps=tuple(dataclasses.replace(each, path=_inner(each.path, each.operation)) for each in graph.steps),
        calls=tuple((_inner(path, operation), operation) for path, operation in graph.calls),
    )


def _inner(path, operation):
    return f"/{path}" if isinstance(operation, keras.Layer) else path


def _only_batch_is_open(step):
    return all(spec.shape[:1] == (None,) and None not in spec.shape[1:] for spec in step.input_specs)


class _Trace:
    """The trace of a call for a given number of samples."""

    @names_unused()  # also when a run traces the call again
    def __init__(self, step: Step, call: Callable, batch: int | None):
        self.step = step
        self._call = call
        self.specs = [
            spec if batch is None else keras.KerasTensor((batch, *spec.shape[1:]), spec.dtype) for spec in step.input_specs
        ]
        operation = step.operation
        owner = operation if isinstance(operation, keras.Layer) else None
        self.raw = trace_function(self._bound, self.specs, name=f"{type(operation).__name__}.call", owner=owner)

    def _bound(self, *tensors):
        args, kwargs = self.step.bind(tensors)
        if not _takes_training(self._call):
            kwargs.pop("training", None)  # which layers inside it get nevertheless
        outputs = self._call(*args, **kwargs | _attached_masks(self.step.operation, args, kwargs))
        return tree.map_structure(lambda y: Independent()(y, tensors[0]) if _is_computed(y) and tensors else y, outputs)

    def computed(self) -> list:
        """Tensors that the call computes without its inputs, in order: from weights, numbers and sizes."""
        return [leaf for step in self.raw.steps for leaf in tree.flatten(step.arguments) if _is_computed(leaf)]

    def graph(self) -> Graph:
        """The graph, in which tensors that depend on weights are computed anew in each run."""
        return _with_computed(self.raw, self, [False] * len(self.computed()))

    def again(self) -> "_Trace":
        return _Trace(self.step, self._call, self.specs[0].shape[0] if self.specs else None)


def _takes_training(call):
    parameters = inspect.signature(call).parameters
    return "training" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _attached_masks(operation, args, kwargs):
    """The arguments that Keras fills with the masks attached to tensors before it calls a layer's `call()`."""
    if not isinstance(operation, keras.Layer):
        return {}
    signature = inspect.signature(operation.call)
    given = signature.bind(*args, **kwargs).arguments
    tensors = {
        name: value
        for name, value in given.items()
        if any(isinstance(leaf, keras.KerasTensor) for leaf in tree.flatten(value)) and not name.endswith("mask")
    }
    names = {name: f"{name}_mask" for name in tensors} if len(tensors) > 1 else dict.fromkeys(tensors, "mask")
    return {
        argument: tree.map_structure(mask_of, tensors[name])
        for name, argument in names.items()
        if argument in signature.parameters and given.get(argument) is None
    }


@final
class Independent(keras.Operation):
    """An output of a call that does not depend on its input, such as position embeddings."""

    def call(self, tensor, x):
        """The tensor, with a row for each sample if it has one row.

        Args:
            tensor: The tensor.
            x: An input of the call, which only tells the number of samples.
        """
        return ops.repeat(tensor, ops.shape(x)[0], axis=0) if tensor.shape[:1] == (1,) else tensor

    def compute_output_spec(self, tensor, x):
        """Shape and dtype of the result."""
        rows = x.shape[:1] if tensor.shape[:1] == (1,) else tensor.shape[:1]
        return keras.KerasTensor((*rows, *tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))


@final
class FromWeights(keras.Operation):
    """The tensors that a call computes from the weights of its layer alone.

    Args:
        traced: The call.
        wanted: Position of each tensor among those that the call computes.
        rows: Whether a tensor has a row for each sample, all equal, of which one is returned.
    """

    def __init__(self, traced: _Trace, wanted: Sequence[int], rows: Sequence[bool]):
        super().__init__(name="from_weights")
        self._traced = traced
        self._wanted = wanted
        self._rows = rows

    def call(self):
        """The tensors, computed anew."""
        found = self._traced.again().computed()
        return [found[i][:1] if rows else found[i] for i, rows in zip(self._wanted, self._rows, strict=True)]


def _is_computed(leaf):
    # `keras.ops` treats a variable as a tensor, which is read at each call.
    return ops.is_tensor(leaf) and not isinstance(leaf, (keras.Variable, keras.KerasTensor))


def _with_computed(graph: Graph, traced: _Trace, rows: Sequence[bool]) -> Graph:
    """The graph with a first step for the tensors that depend on weights; other computed tensors are constants."""
    tensors = traced.computed()
    wanted = [i for i, varies in enumerate(_depend_on_weights(traced, tensors)) if varies]
    repeated = [i for i, each in enumerate(rows) if each]
    start = 1 + max([*graph.inputs, *(i for step in graph.steps for i in step.outputs)])
    live = sorted({*wanted, *repeated})
    identifiers = dict(zip(live, range(start, start + len(live)), strict=True))
    numbers = itertools.count()
    steps = []
    for step in graph.steps:
        more: list[int] = []

        def replaced(leaf, step=step, more=more):
            if not _is_computed(leaf):
                return leaf
            number = next(numbers)
            if number not in identifiers:
                return leaf
            more.append(number)
            return Slot(len(step.inputs) + len(more) - 1, fixed=True, repeated=rows[number])

        arguments = tree.map_structure(replaced, step.arguments)
        steps.append(
            dataclasses.replace(
                step,
                arguments=arguments,
                inputs=(*step.inputs, *(identifiers[i] for i in more)),
                input_specs=(*step.input_specs, *(_spec(tensors[i], rows[i]) for i in more)),
            )
        )
    if live:
        operation = FromWeights(traced, live, [rows[i] for i in live])
        specs = tuple(_spec(tensors[i], rows[i]) for i in live)
        steps.insert(0, Step("from_weights", operation, (), tuple(identifiers.values()), (), specs, ((), {})))
    return dataclasses.replace(graph, steps=tuple(steps))


def _spec(tensor, row):
    shape = tuple(tensor.shape)
    return keras.KerasTensor((1, *shape[1:]) if row else shape, keras.backend.standardize_dtype(tensor.dtype))


def _depend_on_weights(traced, tensors):
    """Whether each tensor changes with the weights of the layer."""
    variables = getattr(traced.step.operation, "variables", [])
    if not tensors or not variables:
        return [False] * len(tensors)
    changed = [(variable, _other(variable)) for variable in variables if keras.backend.is_float_dtype(variable.dtype)]
    with unchanged(changed):
        others = traced.again().computed()
    return [
        not np.array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), equal_nan=one.dtype not in ("bool", "string")
        )
        for one, other in zip(tensors, others, strict=True)
    ]


def _other(variable):
    noise = np.random.default_rng(0).uniform(0.5, 1.5, variable.shape)
    return ops.convert_to_tensor(noise, dtype=variable.dtype) + ops.convert_to_tensor(variable)


def _of_batches(step: Step, call: Callable) -> Graph:
    """The graph of a call that reads the number of samples, from traces with two different numbers."""
    name = f"{type(step.operation).__name__}.call"
    traces = [_Trace(step, call, batch) for batch in _BATCHES]
    few, more = (each.raw for each in traces)
    if len(few.steps) != len(more.steps) or few.outputs != more.outputs:
        raise ValueError(f"`{name}` does other things with {_BATCHES[0]} samples than with {_BATCHES[1]}")
    rows = [_rows(*pair) for pair in zip(*(each.computed() for each in traces), strict=True)]
    steps = tuple(_merged_step(*pair, name) for pair in zip(few.steps, more.steps, strict=True))
    specs = [_merged_spec(*pair) for pair in zip(few.output_specs, more.output_specs, strict=True)]
    graph = dataclasses.replace(
        few,
        steps=steps,
        input_specs=step.input_specs,
        output_specs=tuple(specs),
        output_structure=tree.pack_sequence_as(few.output_structure, specs),
    )
    return _with_computed(graph, traces[0], rows)


def _rows(one, other):
    """Whether a computed tensor has a row for each sample; raises if the rows are not equal."""
    if tuple(one.shape) == tuple(other.shape):
        return False
    every = ops.convert_to_numpy(other)
    if one.shape[1:] != other.shape[1:] or (len(one), len(other)) != _BATCHES or not (every == every[:1]).all():
        raise ValueError("it computes a tensor from the number of samples")
    return True


def _merged_step(one: Step, other: Step, name) -> Step:
    """One call of two traces, with the numbers in them that are multiples of the number of samples."""
    if type(one.operation) is not type(other.operation) or (one.inputs, one.outputs) != (other.inputs, other.outputs):
        raise ValueError(f"`{name}` does other things with {_BATCHES[0]} samples than with {_BATCHES[1]}")
    settings = {}
    if one.operation is not other.operation:
        for attribute, value in vars(one.operation).items():
            if attribute not in _BOOKKEEPING:
                merged = _merged(value, vars(other.operation)[attribute], name)
                if _has_sizes(merged):
                    settings[attribute] = merged
    arguments = tree.map_structure(lambda a, b: _merged(a, b, name), one.arguments, other.arguments)
    sizes = [
        (position, axis, few // _BATCHES[0])
        for position, specs in enumerate(zip(one.input_specs, other.input_specs, strict=True))
        for axis, (few, more) in enumerate(zip(*(spec.shape for spec in specs), strict=True))
        if few != more
    ]
    return dataclasses.replace(
        one,
        arguments=arguments,
        settings=settings,
        sized_by=sizes[0] if sizes else (0, 0, 1),
        input_specs=tuple(_merged_spec(*pair) for pair in zip(one.input_specs, other.input_specs, strict=True)),
        output_specs=tuple(_merged_spec(*pair) for pair in zip(one.output_specs, other.output_specs, strict=True)),
    )


def _merged(one: Any, other: Any, name) -> Any:
    if _is_computed(one) or _is_computed(other):
        return one
    if isinstance(one, (list, tuple)) and type(one) is type(other) and len(one) == len(other):
        return type(one)(_merged(a, b, name) for a, b in zip(one, other, strict=True))
    if type(one) is int and type(other) is int and one != other and one * _BATCHES[1] == other * _BATCHES[0]:
        return BatchSize(one // _BATCHES[0])
    if isinstance(one, np.ndarray) and np.array_equal(one, other):
        return one
    if one is other or (type(one) is type(other) and not isinstance(one, np.ndarray) and (one == other or callable(one))):
        return one
    raise ValueError(f"`{name}` computes with the number of samples: {one!r} of {_BATCHES[0]}, {other!r} of {_BATCHES[1]}")


def _has_sizes(value):
    if isinstance(value, (list, tuple)):
        return any(map(_has_sizes, value))
    return isinstance(value, BatchSize)


def _merged_spec(one, other):
    shape = [few if few == more else None for few, more in zip(one.shape, other.shape, strict=True)]
    return keras.KerasTensor(shape, one.dtype)


def _check_equal(step: Step, graph: Graph) -> None:
    """Rejects a graph that differs from the call on random inputs in two batches.

    In training mode, which layers draw random numbers in, graphs tell which layers are called and are not compared.
    """
    if step.arguments[1].get("training"):
        return
    generator = np.random.default_rng(0)
    for batch in _BATCHES:
        given = [_drawn(generator, spec, batch) for spec in step.input_specs]
        try:
            with losses_kept(step.operation):
                with unchanged():
                    theirs = step(*given)
                with unchanged():
                    ours = run(graph, given)
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"the operations in its `call()` cannot be run by themselves ({type(error).__name__}: {first})"
            ) from error
        for one, other in zip(ours, theirs, strict=True):
            if not _close(one, other):
                raise DiffersError("the operations in its `call()` do not compute what the layer does")


def run(graph: Graph, inputs: Sequence) -> list:
    """The outputs of a graph, step by step."""
    values = dict(zip(graph.inputs, inputs, strict=True))
    run_steps(graph.steps, values)
    return [values[i] for i in graph.outputs]


def _drawn(generator, spec, batch):
    shape = [batch, *(size or 6 for size in spec.shape[1:])]
    whole = not keras.backend.is_float_dtype(spec.dtype)
    return ops.convert_to_tensor(generator.integers(0, 2, shape) if whole else generator.normal(size=shape), dtype=spec.dtype)


def _close(one, other):
    a, b = (ops.convert_to_numpy(ops.cast(each, "float64")) for each in (one, other))
    half = keras.backend.standardize_dtype(other.dtype) in ("float16", "bfloat16")
    tolerance = 0.05 if half else 1e-4
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance * size + 1e-6, equal_nan=True)
