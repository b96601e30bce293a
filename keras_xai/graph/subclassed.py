"""Graphs of subclassed models."""

import dataclasses
import inspect
import itertools
from collections.abc import Sequence

import keras
from keras import tree
from keras.src.backend import compute_output_spec
from keras.src.models.functional import Functional

from keras_xai.graph.calls import DiffersError, inside
from keras_xai.graph.nodes import distinct
from keras_xai.graph.sizes import all_sized
from keras_xai.graph.split import alone
from keras_xai.graph.steps import Graph, Slot, Step
from keras_xai.graph.view import losses_kept

# Maximum number of inputs for which all combinations of types are tried.
_FEW_INPUTS = 3


def trace_subclassed(model: keras.Model, *, training: bool, shapes: Sequence[Sequence[int]] | None = None) -> Graph:
    """Traces a subclassed model through its `call()`; a single call of the model if that is not possible.

    Keras records the shapes that a model was called with, not the types: inputs are real numbers if the model takes them, otherwise
    integers.

    Args:
        model: A subclassed model that was built or called.
        training: Whether `call()` runs in training mode, if it has one.
        shapes: Shape of a sample of each input, to fill in unknown sizes.

    Raises:
        ValueError: If it was never built, or its `call()` needs further arguments, or takes neither real numbers nor integers.
    """
    inputs = _recorded_inputs(model)
    if shapes is not None:
        inputs = tree.pack_sequence_as(inputs, all_sized(tree.flatten(inputs), shapes))
    step, outputs, graph = _traced(model, inputs, training)
    if graph is None:
        graph = alone(step)
    names = {identifier: each.path.removeprefix("/") for each in graph.steps for identifier in each.outputs}
    return dataclasses.replace(
        graph,
        steps=tuple(dataclasses.replace(each, path=each.path.removeprefix("/")) for each in graph.steps),
        calls=tuple((path.removeprefix("/"), operation) for path, operation in graph.calls),
        output_names=tuple(
            distinct(
                [str(path[0]) for path, _ in tree.flatten_with_path(outputs)]
                if isinstance(outputs, dict)
                else [names.get(identifier, "output") for identifier in graph.outputs]
            )
        ),
        input_specs=step.input_specs,
        input_structure=tree.pack_sequence_as(inputs, step.input_specs),
        output_structure=outputs,
    )


def _traced(model, inputs, training):
    """The call of a model in the first types that it takes, its outputs in their structure, and the graph inside it, or `None`."""
    found, error = None, None
    for dtypes in _types(model, inputs):
        try:
            step, outputs = _call(model, inputs, dtypes, training)
        except Exception as exception:
            error = error or exception
            continue
        found = found or (step, outputs, None)
        try:
            # In training mode, random layers such as dropout differ from run to run.
            return step, outputs, inside(step, compare=not training)
        except DiffersError:
            break  # it takes these types; others would be another function
        except ValueError:
            continue
    if found is None:
        raise ValueError(
            f"Expected a model that can be called with symbolic tensors. Received: '{model.name}' ({type(model).__name__}), whose `call()` "
            f"fails with {type(error).__name__}: {(str(error).splitlines() or [''])[0]} If it takes strings or other inputs than real "
            "numbers and integers, wrap it in a functional model, `keras.Model(inputs, model(inputs))` with `inputs = keras.Input(shape, "
            "dtype=...)`."
        ) from error
    return found


def _types(model, inputs):
    """The types that inputs may have, a tuple for each try."""
    count = len(tree.flatten(inputs))
    if isinstance(model, Functional):  # with a `call()` of its own
        return [tuple(spec.dtype for spec in tree.flatten(inputs))]
    candidates = ("float64" if model.compute_dtype == "float64" else "float32", "int32")
    if count <= _FEW_INPUTS:
        return list(itertools.product(candidates, repeat=count))
    return [(each,) * count for each in candidates]


def _call(model, inputs, dtypes, training):
    specs = [
        keras.KerasTensor(spec.shape, dtype, name=spec.name) for spec, dtype in zip(tree.flatten(inputs), dtypes, strict=True)
    ]
    accepted = inspect.signature(model.call).parameters
    more = {"training": training} if "training" in accepted else {}
    given = tree.pack_sequence_as(inputs, specs)
    with losses_kept(model):
        outputs = compute_output_spec(lambda values: model.call(values, **more), given)
    flat = tree.flatten(outputs)
    if not flat or not all(isinstance(each, keras.KerasTensor) for each in flat):
        raise ValueError("it does not return tensors.")
    slots = tree.pack_sequence_as(inputs, [Slot(position) for position in range(len(specs))])
    numbers = range(len(specs) + len(flat))
    step = Step(
        model.name,
        model,
        tuple(numbers[: len(specs)]),
        tuple(numbers[len(specs) :]),
        tuple(specs),
        tuple(flat),
        ((slots,), {"training": training}),
    )
    return step, outputs


def _recorded_inputs(model):
    """The inputs that a model was built or called with, in their structure, as symbolic tensors of any batch size."""
    shapes = getattr(model, "_build_shapes_dict", None)
    parameters = list(inspect.signature(model.call).parameters.values())
    needed = [
        each.name
        for each in parameters[1:]
        if each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    if needed or not parameters:
        raise ValueError(
            f"Expected a model whose `call()` takes its inputs as one argument, as `model.predict` passes them. Received: '{model.name}' "
            f"({type(model).__name__}), whose `call()` also needs {needed}. Give these arguments defaults, or take all inputs as one "
            "list, tuple or dict."
        )
    if isinstance(model, Functional):
        return model._inputs_struct
    if not model.built or not shapes:
        raise ValueError(
            f"Expected a built model. Received: '{model.name}' ({type(model).__name__}), which was never called, so that its input "
            "shape is not known. Call it once on data, as `model.predict(x)` does, or `model.build(input_shape)`."
        )
    shape = next(iter(shapes.values()))

    def spec(path, sizes):
        name = "_".join(map(str, path)) if path else parameters[0].name
        return keras.KerasTensor((None, *sizes[1:]), name=name if not name.isdigit() else f"{parameters[0].name}_{name}")

    return _map_shapes(spec, shape, ())


def _map_shapes(function, shapes, path):
    if isinstance(shapes, dict):
        return {key: _map_shapes(function, each, (*path, key)) for key, each in shapes.items()}
    if shapes and isinstance(shapes[0], (list, tuple, dict)):
        return type(shapes)(_map_shapes(function, each, (*path, i)) for i, each in enumerate(shapes))
    return function(path, shapes)
