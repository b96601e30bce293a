"""Pre-activation responses of the units of a layer."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.data.checks import is_integer
from keras_xai.graph.steps import Graph
from keras_xai.kinds.expansion import kind_of
from keras_xai.network import Network, Scores


@final
class Responses:
    """The units of a layer, or the scores of a model, as a tensor of positions and channels.

    A unit's response is taken before a fused activation function, like a class's score before a final softmax: a ReLU makes all negative
    responses equal and has no derivative there. The response of a pure activation layer is its output.

    Args:
        model: A built model.
        layer: A layer or its path; the model's scores by default.

    Attributes:
        scores: The scores of the model.
        identifier: Identifier of the layer's output among the tensors of a forward pass.
        axis: Channel axis in the layer's output.
        shape: Output shape of one sample, `(*positions, channels)`; `None` for sizes known only when the model runs.
        num_channels: Number of channels, or of classes for the model's scores.
        name: Name of the output in errors and plots.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer, the layer does not have one real-valued output, or no layer is given and the model has
            several outputs.
    """

    def __init__(self, model: keras.Model, layer: str | keras.Layer | None = None):
        self.scores = Scores(model)
        graph = self.scores.graph
        if layer is None:
            if len(graph.outputs) != 1:
                raise ValueError(
                    f"Expected `layer` for a model of several outputs, here {list(graph.output_names)}. Received: layer=None. "
                    "Give the path of the layer that computes the output."
                )
            self.name, self.identifier, spec = "score", graph.outputs[0], graph.output_specs[0]
        else:
            self.name = self.scores.path_of(layer)
            step = self._linear(self.name)
            self.identifier, spec = step.outputs[0], step.output_specs[0]
        if len(spec.shape) < 2 or not keras.backend.is_float_dtype(spec.dtype):
            raise ValueError(
                f"Expected a layer with a real-valued output of shape (n, ..., channels). Received: '{self.name}', of shape "
                f"{tuple(spec.shape)} and dtype {spec.dtype}."
            )
        self.axis = len(spec.shape) - 1 if layer is None else self.scores.axes.channel(self.identifier)
        rest = [size for place, size in enumerate(spec.shape) if place not in (0, self.axis)]
        self.num_channels: int = spec.shape[self.axis]
        self.shape: tuple[int | None, ...] = (*rest, self.num_channels)

    def _linear(self, layer):
        """The step of a layer without its fused activation function."""
        last = self.scores.find(layer)
        for step in self.scores.graph.steps:
            if step.path == layer and hasattr(step.operation, "activation") and len(step.outputs) == 1:
                return step
        return last

    @property
    def graph(self) -> Graph:
        """The model's steps."""
        return self.scores.graph

    def of(self, inputs: Sequence) -> Any:
        """The responses to a batch, tensor `(n, *positions, channels)`; call it within a compiled program."""
        values = self.scores.run(inputs, until=[self.identifier])
        return ops.moveaxis(values[self.identifier], self.axis, -1)

    def leaking(self, leak: float) -> "Responses":
        """The same responses, with derivatives that also pass through inactive ReLUs and similar activations.

        Args:
            leak: Constant added to the derivative of each of them.
        """
        leaking = copy.copy(self)
        leaking.scores = copy.copy(self.scores)
        steps = [
            dataclasses.replace(step, operation=_Leaking(step.operation, leak)) if kind_of(step).role == "gate" else step
            for step in self.graph.steps
        ]
        leaking.scores.network = Network(dataclasses.replace(self.graph, steps=tuple(steps)), self.scores.dtype)
        return leaking

    def units(self, units: Any) -> list[tuple[int, ...]]:
        """Checks units and returns a tuple `(channel,)` or `(*position, channel)` for each.

        Args:
            units: A channel, or a class for the model's scores; a tuple `(*position, channel)` for a single unit of a map; or a list of
                these.

        Raises:
            ValueError: If there are no units, or the layer does not have one of them.
        """
        given = list(units) if isinstance(units, (list, np.ndarray, range)) else [units]
        found = [tuple(each) if isinstance(each, (tuple, np.ndarray, list)) else (each,) for each in given]
        if not found or not all(map(self._has, found)):
            positions = f", or tuples of {len(self.shape)} integers for single units" if len(self.shape) > 1 else ""
            raise ValueError(
                f"Expected `units` to be channels of '{self.name}', from 0 to {self.num_channels - 1}{positions}; its output has the "
                f"shape {self.shape}. Received: units={units!r}"
            )
        return [tuple(int(entry) for entry in each) for each in found]

    def _has(self, unit):
        sizes = self.shape if len(unit) > 1 else self.shape[-1:]
        return len(unit) == len(sizes) and all(
            is_integer(entry) and 0 <= entry < (size or np.inf) for entry, size in zip(unit, sizes, strict=True)
        )


class _Leaking(keras.Operation):
    """An activation function with a custom derivative."""

    def __init__(self, operation, leak):
        super().__init__()
        self._operation = operation
        self._leak = leak

    def __call__(self, x, *args, **kwargs):
        return self._operation(x, *args, **kwargs) + self._leak * (x - ops.stop_gradient(x))
