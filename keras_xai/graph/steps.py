"""Traced models: operation calls in execution order."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

import keras
from keras import tree


@dataclasses.dataclass(frozen=True)
class Slot:
    """Placeholder for the `position`-th tensor input in a step's recorded call arguments."""

    position: int


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
        arguments: `(args, kwargs)` of the call, with a `Slot` in place of each tensor.
    """

    path: str
    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[keras.KerasTensor, ...]
    output_specs: tuple[keras.KerasTensor, ...]
    arguments: tuple[tuple, dict] = ((Slot(0),), {})

    def __call__(self, *tensors: Any) -> list:
        """Calls the operation on `tensors`, one for each of `inputs`; returns one tensor for each of `outputs`."""
        args, kwargs = self.bind(tensors)
        return tree.flatten(self.operation(*args, **kwargs))

    def in_training(self, training: bool) -> "Step":
        """The step called in training mode, or at inference, which is the recorded mode."""
        args, kwargs = self.arguments
        return dataclasses.replace(self, arguments=(args, kwargs | {"training": training} if "training" in kwargs else kwargs))

    def bind(self, tensors: Sequence) -> tuple[tuple, dict]:
        """The call's arguments with `tensors` in their places."""
        return tree.map_structure(lambda leaf: tensors[leaf.position] if isinstance(leaf, Slot) else leaf, self.arguments)

    def operands(self, tensors: Sequence) -> list:
        """The leaves of the call's positional arguments, constants included, with `tensors` in their places."""
        return tree.flatten(self.bind(tensors)[0])

    def constants(self) -> list:
        """The leaves of the call's positional arguments other than tensors of the graph: numbers, arrays, variables."""
        return [leaf for leaf in tree.flatten(self.arguments[0]) if not isinstance(leaf, Slot)]

    def takes_tensor(self, position: int) -> bool:
        """Whether the `position`-th positional leaf of the call is a tensor of the graph, not a constant."""
        return isinstance(tree.flatten(self.arguments[0])[position], Slot)


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
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[keras.KerasTensor, ...]
    output_specs: tuple[keras.KerasTensor, ...]
    output_names: tuple[str, ...]
    input_structure: Any
    output_structure: Any
    steps: tuple[Step, ...]

    def find(self, path: str) -> Step:
        """The step at `path`.

        Args:
            path: A layer's path, such as `"backbone/conv5"`; `"conv5:1"` for its second call.

        Raises:
            ValueError: If no step has this path; the message lists similar ones.
        """
        if not isinstance(path, str):
            raise ValueError(
                f"Expected the path of a layer, a string such as {self.steps[0].path if self.steps else ''!r}. Received: layer={path!r}"
            )
        by_path = {step.path: step for step in self.steps}
        if path in by_path:
            return by_path[path]
        near = difflib.get_close_matches(path, by_path, n=3, cutoff=0.3) or list(by_path)[:3]
        raise ValueError(
            f"No layer of the model has the path received. Received: path={path!r}. The nearest paths are {near}. "
            "A layer of a nested model is written 'model_name/layer_name', the second call of a shared layer 'layer_name:1'."
        )
