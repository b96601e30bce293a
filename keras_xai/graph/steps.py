"""Traced models: operation calls in execution order."""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
from keras import ops, tree
from keras.src.backend import get_keras_mask, set_keras_mask


@dataclasses.dataclass(frozen=True)
class Slot:
    """Placeholder for the `position`-th tensor input in a step's recorded call arguments.

    Attributes:
        position: The position.
        fixed: Whether the tensor depends on weights only, not on the inputs of the graph.
        repeated: Whether the tensor is one row, to be repeated for each sample of the batch.
        mask: Position of the tensor input that Keras attaches to this one as its mask; `None` without a mask.
    """

    position: int
    fixed: bool = False
    repeated: bool = False
    mask: int | None = None


@dataclasses.dataclass(frozen=True)
class BatchSize:
    """Placeholder for a number in a call that is `multiple` times the number of samples."""

    multiple: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One call of one operation.

    Attributes:
        path: Path of the call in the model, such as `"backbone/conv5"`. The second call of a shared layer has the path `"conv5:1"`, the
            fused activation of a layer `"conv5.relu"`.
        operation: The called `keras.Operation`, usually a `keras.layers.Layer`.
        inputs: Identifiers of the input tensors.
        outputs: Identifiers of the output tensors.
        input_specs: `keras.KerasTensor` of each input: shape with the batch dimension, and dtype.
        output_specs: The same for each output.
        arguments: `(args, kwargs)` of the call, with a `Slot` in place of each tensor and a `BatchSize` in place of numbers of samples.
        settings: Attributes of the operation, by name, that contain a `BatchSize`.
        sized_by: `(input, axis, multiple)`: the input and its axis whose length is `multiple` times the number of samples, for the
            placeholders.
    """

    path: str
    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[keras.KerasTensor, ...]
    output_specs: tuple[keras.KerasTensor, ...]
    arguments: tuple[tuple, dict] = ((Slot(0),), {})
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sized_by: tuple[int, int, int] = (0, 0, 1)

    def __call__(self, *tensors: Any) -> list:
        """Calls the operation on `tensors`, one for each of `inputs`; returns one tensor for each of `outputs`."""
        args, kwargs = self.bind(tensors)
        operation = self.operation
        if self.settings:
            operation = with_attributes(operation, self._filled(self.settings, tensors))
        # One-hot vectors may be of integers although their specs are of real numbers.
        return [
            ops.cast(y, spec.dtype) if _is_float(spec.dtype) and not _is_float(y.dtype) else y
            for y, spec in zip(tree.flatten(operation(*args, **kwargs)), self.output_specs, strict=True)
        ]

    def in_training(self, training: bool) -> "Step":
        """The step called in training mode, or at inference, which is the recorded mode."""
        args, kwargs = self.arguments
        return dataclasses.replace(self, arguments=(args, kwargs | {"training": training} if "training" in kwargs else kwargs))

    def bind(self, tensors: Sequence) -> tuple[tuple, dict]:
        """The call's arguments with `tensors` in their places."""
        return self._filled(self.arguments, tensors)

    def _filled(self, structure, tensors):
        def filled(leaf):
            if isinstance(leaf, BatchSize):
                return leaf.multiple * self._batch_size(tensors)
            if isinstance(leaf, Slot):
                tensor = tensors[leaf.position]
                if leaf.mask is not None:
                    set_keras_mask(tensor, tensors[leaf.mask])
                elif not getattr(self.operation, "supports_masking", True) and get_keras_mask(tensor) is not None:
                    tensor = ops.copy(tensor)  # without the mask, of which Keras would warn
                return ops.repeat(tensor, self._batch_size(tensors), axis=0) if leaf.repeated else tensor
            return leaf

        return tree.map_structure(filled, structure)

    def _batch_size(self, tensors):
        position, axis, multiple = self.sized_by
        size = ops.shape(tensors[position])[axis]
        return size if multiple == 1 else size // multiple

    def operands(self, tensors: Sequence) -> list:
        """The leaves of the call's positional arguments, constants included, with `tensors` in their places."""
        return tree.flatten(self.bind(tensors)[0])

    def constants(self) -> list:
        """The leaves of the call's positional arguments other than tensors of the graph: numbers, arrays, variables."""
        return [leaf for leaf in tree.flatten(self.arguments[0]) if not isinstance(leaf, Slot)]

    def takes_tensor(self, position: int) -> bool:
        """Whether the `position`-th positional leaf of the call is a tensor that depends on the graph's inputs."""
        leaf = tree.flatten(self.arguments[0])[position]
        return isinstance(leaf, Slot) and not leaf.fixed

    @property
    def num_varying(self) -> int:
        """Number of inputs that depend on the graph's inputs; the others are computed from weights."""
        masks = sum(isinstance(leaf, Slot) and leaf.mask is not None for leaf in tree.flatten(self.arguments))
        return len(self.inputs) - len(self.fixed) - masks

    @property
    def fixed(self) -> set[int]:
        """Positions of the inputs that are computed from weights."""
        return {leaf.position for leaf in tree.flatten(self.arguments) if isinstance(leaf, Slot) and leaf.fixed}

    @property
    def is_masked(self) -> bool:
        """Whether the call has a mask: as an argument, or attached to an input."""
        return bool(_given_masks(self.arguments[1])) or any(
            isinstance(leaf, Slot) and leaf.mask is not None for leaf in tree.flatten(self.arguments)
        )

    def masked(self, masks: Mapping[int, int]) -> "Step":
        """The call with masks attached to its inputs, as far as it may read them and they have none.

        Args:
            masks: Identifiers of the masks, by those of the tensors.
        """
        if not reads_masks(self.operation, self.arguments[1]):
            return self
        leaves = [leaf for leaf in tree.flatten(self.arguments) if isinstance(leaf, Slot)]
        known = {leaf.position for leaf in leaves if leaf.mask is not None} | {leaf.mask for leaf in leaves}
        found = {
            position: masks[identifier]
            for position, identifier in enumerate(self.inputs)
            if identifier in masks and position not in known
        }
        if not found:
            return self
        places = {position: len(self.inputs) + place for place, position in enumerate(found)}

        def attached(leaf):
            return (
                dataclasses.replace(leaf, mask=places[leaf.position])
                if isinstance(leaf, Slot) and leaf.position in places
                else leaf
            )

        return dataclasses.replace(
            self,
            inputs=(*self.inputs, *found.values()),
            input_specs=(*self.input_specs, *(_mask_spec(self.input_specs[position]) for position in found)),
            arguments=tree.map_structure(attached, self.arguments),
        )


# They leave out masked entries, without an argument for the masks.
_MERGES = (keras.layers.Maximum, keras.layers.Minimum, keras.layers.Multiply)


def reads_masks(operation: keras.Operation, named: Mapping[str, Any]) -> bool:
    """Whether a call may read masks that Keras attaches to its inputs.

    Keras' own layers take them as arguments, those that are not given, except for some merges; other layers may read
    them in any other way, unless a mask is given.

    Args:
        operation: The called operation.
        named: The keyword arguments of the call.
    """
    if not isinstance(operation, keras.Layer):
        return False
    given = _given_masks(named)
    if not type(operation).__module__.startswith(("keras.src.layers.", "keras.src.models.")):
        return not given
    if isinstance(operation, _MERGES):
        return True
    parameters = inspect.signature(operation.call).parameters.values()
    return any(each.name.endswith("mask") and each.default is None and each.name not in given for each in parameters)


def removes_masks(operation: keras.Operation) -> bool:
    """Whether a call removes the masks of its inputs for all later calls, as Keras does at run time but not in a symbolic call."""
    return isinstance(operation, keras.layers.MultiHeadAttention)


def _given_masks(named):
    """The names of masks among keyword arguments, without `use_causal_mask`."""
    return {name for name, value in named.items() if "mask" in name and value is not None and not isinstance(value, bool)}


def copy_mask(source: Any, tensor: Any, rows: Any = None) -> None:
    """Attaches the mask of one tensor, if Keras has attached one, to another, which may hold only some of its rows."""
    if (mask := get_keras_mask(source)) is not None:
        set_keras_mask(tensor, mask if rows is None else ops.take(mask, rows, axis=0))


def mask_of(tensor: Any) -> Any:
    """The mask that Keras has attached to a tensor, or `None`."""
    return get_keras_mask(tensor)


def _is_float(dtype):
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype))


def run_steps(
    steps: Iterable[Step], values: dict[int, Any], call: Callable[[Step, dict[int, Any]], Sequence] | None = None
) -> None:
    """Calls steps in order.

    Args:
        steps: The steps.
        values: Tensors by identifier; missing ones are added.
        call: Maps a step and the tensors so far to its outputs; by default its operation is called.
    """
    for step in steps:
        found = step(*(values[identifier] for identifier in step.inputs)) if call is None else call(step, values)
        for identifier, value in zip(step.outputs, found, strict=True):
            values.setdefault(identifier, value)


def with_attributes(operation: keras.Operation, attributes: Mapping[str, Any]) -> Any:
    """A view of an operation with other attributes; the operation is not changed.

    `copy.copy` is not suitable: it saves and reloads a Keras layer, which doubles its weights and disconnects them from training.
    """
    view = object.__new__(type(operation))
    # Bypasses `Layer.__setattr__`, which would record the changes in trackers that both share.
    view.__dict__.update(operation.__dict__)
    view.__dict__.update(attributes)
    return view


def _is_within(path, outer):
    return path == outer or path.startswith((f"{outer}.", f"{outer}/"))


def _mask_spec(spec):
    """A mask has an entry for each vector along the last axis."""
    return keras.KerasTensor(spec.shape[:-1] if len(spec.shape) > 2 else spec.shape, "bool")


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Operation calls in a valid execution order.

    Attributes:
        inputs: Identifiers of the graph's input tensors.
        outputs: Identifiers of the graph's output tensors.
        input_specs: `keras.KerasTensor` of each input.
        output_specs: `keras.KerasTensor` of each output.
        output_names: Name of each output: the model's own for a dict of outputs, otherwise that of the producing layer.
        input_structure: The inputs in the model's structure (a tensor, list, tuple or dict), of `keras.KerasTensor`.
        output_structure: The outputs in the model's structure, of `keras.KerasTensor`.
        steps: The calls.
        masks: Identifiers of the masks that Keras attaches to outputs, by those of the outputs.
        calls: Path and operation of each call that the model's code contains: steps, nested models, and layers replaced by their parts.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[keras.KerasTensor, ...]
    output_specs: tuple[keras.KerasTensor, ...]
    output_names: tuple[str, ...]
    input_structure: Any
    output_structure: Any
    steps: tuple[Step, ...]
    masks: Mapping[int, int] = dataclasses.field(default_factory=dict)
    calls: tuple[tuple[str, keras.Operation], ...] = ()

    def path_of(self, layer: Any) -> str:
        """The path of a layer.

        Args:
            layer: The `keras.Layer` itself, or its path, which is returned as it is.

        Raises:
            ValueError: If it is neither, the model does not call the layer or calls it several times, or the layer is within a step.
        """
        if isinstance(layer, str):
            return layer
        if not isinstance(layer, keras.Layer):
            raise ValueError(
                "Expected the path of a layer, a string such as "
                f"{self.steps[0].path if self.steps else ''!r}, or the layer itself. Received: layer={layer!r}"
            )
        paths = list(dict.fromkeys(path for path, operation in self.calls if operation is layer))
        if len(paths) == 1:
            return paths[0]
        if paths:
            raise ValueError(
                f"Expected a layer that the model calls once. Received: layer={layer!r}, which is called {len(paths)} times, as "
                f"{paths[:4]}. Give the path of one call."
            )
        for step in self.steps:
            if isinstance(step.operation, keras.Layer) and any(each is layer for each in step.operation._flatten_layers()):
                raise ValueError(
                    f"Expected a layer whose output can be reached. Received: layer={layer!r}, which is inside '{step.path}' "
                    f"({type(step.operation).__name__}). Choose '{step.path}' or another layer."
                )
        raise ValueError(
            f"Expected a layer that the model calls. Received: layer={layer!r}, which is not one of them. The nearest paths are "
            f"{self._nearest(layer.name)}."
        )

    def paths_of(self, layers: Iterable) -> list[str]:
        """The paths of different layers, each as for `path_of`."""
        paths = [self.path_of(layer) for layer in layers]
        if len(set(paths)) < len(paths):
            raise ValueError(f"Expected different layers. Received: layers with the paths {paths}.")
        return paths

    def _nearest(self, path):
        paths = [step.path for step in self.steps]
        return difflib.get_close_matches(path, paths, n=3, cutoff=0.3) or paths[:3]

    def find(self, path: str) -> Step:
        """The step at `path`.

        Args:
            path: A layer's path, such as `"backbone/conv5"`; `"conv5:1"` for its second call.

        Raises:
            ValueError: If no step has this path; the message lists similar ones.
        """
        found = next((step for step in self.steps if step.path == path), None)
        if found is not None:
            return found
        raise ValueError(
            f"No layer of the model has the path received. Received: path={path!r}. The nearest paths are {self._nearest(path)}. "
            "A layer of a nested model is written 'model_name/layer_name', the second call of a shared layer 'layer_name:1'."
        )

    def within(self, path: str) -> list[Step]:
        """The steps of a layer, or of a nested model.

        Args:
            path: Its path.
        """
        others = [other for other, _ in self.calls if other.startswith(f"{path}.")]  # which are called so, and are no parts
        return [
            step
            for step in self.steps
            if _is_within(step.path, path) and not any(_is_within(step.path, other) for other in others)
        ]

    def end_of(self, path: str) -> Step:
        """The step that computes the output of a layer, also of one that consists of several steps, or of a nested model.

        Args:
            path: A path as for `find`, also of a layer that contains steps: `"backbone"` for the output of `"backbone/conv5"`.

        Raises:
            ValueError: If there is no such layer, or it has several outputs.
        """
        within = self.within(path)
        used = {*self.outputs, *(i for step in self.steps if step not in within for i in step.inputs)}
        ends = [step for step in within if used.intersection(step.outputs)] or within[-1:]
        if len(ends) > 1:
            raise ValueError(
                f"Expected a layer with one output. Received: '{path}', from which {[step.path for step in ends]} lead on. Choose one "
                "of them."
            )
        return ends[0] if ends else self.find(path)

    def outer_path(self, step: Step) -> str:
        """The path of the smallest layer of which this step is the end; of the step itself if that is a layer."""
        if isinstance(step.operation, keras.Layer) or "." not in step.path:
            return step.path
        around = step.path.rpartition(".")[0]
        try:
            return around if self.end_of(around) is step else step.path
        except ValueError:
            return step.path
